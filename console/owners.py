"""Applications on pages of what belongs to one of them: those that somebody sees, and the one that is meant."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from accounts import repository as accounts
from console import choosing
from console.visit import Visit
from core.refusal import conflict, invalid
from store.database import Connection


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
    """The one that a list over several is narrowed to, by id or name; none for all of them."""
    said = choosing.pick(options_of(names), visit.asked("application"))
    return [one for one in names if str(one) == said]


async def chosen(connection: Connection, visit: Visit) -> Owners:
    """The one that form or address name, else the one that was made last. Raises Refused: there is none.

    A form is refused when the one that it names is gone, or not theirs (any more): what it makes would be another's.
    """
    names = await owners(connection, visit)
    if not names:
        raise conflict(
            "there is no application yet", "Make one under Applications, or `postlane keys create NAME` makes one."
        )
    options, named = options_of(names), visit.field("application")
    if named and choosing.pick(options, named) is None:
        raise invalid("application", choosing.trouble(options, named))
    said = choosing.pick(options, named or visit.asked("application"))
    return Owners(names, next((one for one in names if str(one) == said), list(names)[-1]))
