"""What the wire layer remembers about mail servers, and how it forgets.

Owns one kind of store: bounded, each fact with an end. It knows nothing about the facts. Which there are, what sets
and what clears each, and how long it lives at most, is the table of docs/wire-memory.md: a new fact gets its row there,
and something contrary that clears it before its time.
"""

import time
from collections.abc import Callable
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Memory(Generic[K, V]):
    """Facts by key. Empty it is falsy, so that a hot path pays nothing for what is rare."""

    def __init__(self, most: int, clock: Callable[[], float] = time.monotonic) -> None:
        """`most`: facts kept; the one noted longest ago goes first."""
        self._most = most
        self._clock = clock
        self._facts: dict[K, tuple[V, float]] = {}

    def __len__(self) -> int:
        return len(self._facts)

    def get(self, key: K) -> V | None:
        """The fact, unless its time is up."""
        known = self._facts.get(key)
        if known is None:
            return None
        value, until = known
        if until > self._clock():
            return value
        del self._facts[key]
        return None

    def note(self, key: K, value: V, seconds: float) -> None:
        """Remember for so long from now, whatever was known."""
        self._facts.pop(key, None)
        while len(self._facts) >= self._most:
            del self._facts[next(iter(self._facts))]  # dicts keep the order of insertion
        self._facts[key] = value, self._clock() + seconds

    def amend(self, key: K, value: V) -> None:
        """Another value for a fact that is known, which ends when it would have ended."""
        known = self._facts.get(key)
        if known is not None:
            self._facts[key] = value, known[1]

    def forget(self, key: K) -> None:
        """The contrary was seen."""
        self._facts.pop(key, None)
