"""What one folder of the console is made of."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from fastapi import APIRouter

from console.menu import Entry
from console.visit import Visit

Jump = Callable[[Visit, str], Awaitable[str | None]]
"""What somebody typed into the search → the address of the page that shows it, or None."""


@dataclass(frozen=True, slots=True)
class Noun:
    """A folder with its routes."""

    router: APIRouter
    menu: Sequence[Entry] = ()
    jump: Jump | None = None
