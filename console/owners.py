"""Applications on pages of what belongs to one of them: those that somebody sees, and the one that is meant."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from accounts import repository as accounts
from console import choosing
from console.visit import Visit
from core.refusal import Refused, conflict
from store.database import Connection


class Unclear(Refused):
    """The address names no application, or several: nothing is shown but the choice."""

    def __init__(self, options: Sequence[tuple[str, str]], text: str) -> None:
        super().__init__("invalid", choosing.trouble(options, text), "application", "Say which one is meant.")
        self.options = options


@dataclass(frozen=True, slots=True)
class Owners:
    """The choice of a page."""

    names: Mapping[UUID, str]
    chosen: UUID

    @property
    def options(self) -> Sequence[tuple[str, str]]:
        """For a form."""
        return options_of(self.names)


async def owners(connection: Connection, visit: Visit) -> Mapping[UUID, str]:
    """Applications that this person sees, by id."""
    mine = visit.applications
    return {one.id: one.name for one in await accounts.applications(connection) if not mine or one.id in mine}


def options_of(names: Mapping[UUID, str]) -> Sequence[tuple[str, str]]:
    """For a form."""
    return [(str(owner), name) for owner, name in names.items()]


def asked_for(visit: Visit, names: Mapping[UUID, str]) -> list[UUID]:
    """The one that a list over several is narrowed to, by id or name, or a part of one name only; none for all of them.
    Raises Unclear."""
    options, text = options_of(names), visit.asked("application")
    said = choosing.picked(options, text, "application") if visit.form and text else choosing.pick(options, text)
    if text and said is None:
        raise Unclear(options, text)
    return [one for one in names if str(one) == said]


async def chosen(connection: Connection, visit: Visit) -> Owners:
    """The one that form or address name; where they name none, the one that was made last. Raises Refused: there is
    none, and Unclear: the address names none of them, or several.

    A form names it wholly, and is refused when it is gone, or not theirs (any more): what it makes would be another's.
    """
    names = await owners(connection, visit)
    if not names:
        raise conflict(
            "there is no application yet", "Make one under Applications, or `postlane keys create NAME` makes one."
        )
    if named := visit.field("application"):
        return Owners(names, UUID(choosing.picked(options_of(names), named, "application")))
    return Owners(names, next(iter(asked_for(visit, names)), list(names)[-1]))
