"""What is wrong with the source of a template: all that was found, each with its line."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

MOST: Final = 20
"""Faults told at once."""


@dataclass(frozen=True, slots=True, order=True)
class Fault:
    """A mistake. `line` is 0 where none can be named; `where` names the part of a document of blocks."""

    line: int
    reason: str
    where: str = ""

    def __str__(self) -> str:
        place = self.where or (f"line {self.line}" if self.line else "")
        return f"{place}: {self.reason}" if place else self.reason


class SourceError(Exception):
    """A source that nothing can be made of."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = tuple(sorted(faults))[:MOST]
        super().__init__("; ".join(map(str, self.faults)))


def wrong(reason: str, line: int = 0, where: str = "") -> SourceError:
    """An error for one fault."""
    return SourceError([Fault(line, reason, where)])
