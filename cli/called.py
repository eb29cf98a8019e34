"""Which command runs: its words and what was named to it. Imports nothing heavy: `cli/main` marks every command."""

from collections.abc import Callable, Collection
from contextvars import ContextVar
from dataclasses import dataclass
from functools import wraps
from typing import Any, Final


@dataclass(frozen=True, slots=True)
class Called:
    """A command as it was called."""

    words: tuple[str, ...]
    """`("pools", "update")`."""
    named: Collection[str] = ()
    """Texts that it was given."""


CALLED: Final[ContextVar[Called | None]] = ContextVar("called", default=None)


def marked(command: Any, words: tuple[str, ...]) -> Any:  # Typer does not export the type of a command
    """The command, or group of commands, each of which says that it runs."""
    for name, one in getattr(command, "commands", {}).items():
        marked(one, (*words, name))
    if command.callback is not None and not hasattr(command, "commands"):
        command.callback = _marking(command.callback, words)
    return command


def _marking(callback: Callable[..., Any], words: tuple[str, ...]) -> Callable[..., Any]:
    @wraps(callback)
    def run(*arguments: Any, **options: Any) -> Any:
        before = CALLED.set(Called(words, [one for one in options.values() if isinstance(one, str) and one]))
        try:
            return callback(*arguments, **options)
        finally:
            CALLED.reset(before)

    return run
