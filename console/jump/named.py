"""What is called like a text: campaigns, segments and pools that somebody may see. For a search by name."""

from dataclasses import dataclass
from typing import Final

from accounts.roles import Right
from audience import segments
from campaigns import repository as campaigns
from console.visit import Visit
from pools import administration
from store.database import Connection

MOST: Final = 20
"""Of each kind; whoever finds more types more of the name."""


@dataclass(frozen=True, slots=True)
class Named:
    """One thing."""

    kind: str
    name: str
    path: str


async def named(connection: Connection, visit: Visit, text: str) -> list[Named]:
    """Those whose name holds the text, in any case; those that are called just so first."""
    found = []
    if visit.may(Right.CAMPAIGNS_SEE):
        for key, name in await campaigns.named(connection, visit.applications, text, MOST):
            found.append(Named("Campaign", name, f"/campaigns/{key}"))
    if visit.may(Right.PEOPLE_SEE):
        for key, name in await segments.named(connection, visit.applications, text, MOST):
            found.append(Named("Segment", name, f"/segments/{key}"))
    if visit.may(Right.MACHINE_SEE):
        pools = await administration.all_pools(connection)
        found += [Named("Pool", one.name, "/pools") for one in pools if text.lower() in one.name.lower()]
    return sorted(found, key=lambda one: one.name.lower() != text.lower())


def the_one(found: list[Named], text: str) -> Named | None:
    """The only one, or the only one that is called just so: where a search leads at once."""
    exact = [one for one in found if one.name.lower() == text.lower()]
    some = exact or found
    return some[0] if len(some) == 1 else None
