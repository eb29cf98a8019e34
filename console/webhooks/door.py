"""What all pages of webhooks begin with: the endpoints that somebody sees, and one of them.

An endpoint is an application's or the operators'. The latter tells of the machine, so it wants rights to the machine.
"""

from typing import Final
from uuid import UUID

from accounts.audit import Values
from accounts.roles import Right
from console.choosing import picked
from console.guard import NotAllowed
from console.owners import owners
from console.visit import Visit
from core.refusal import conflict
from store.database import Connection
from webhooks import standing
from webhooks.endpoints import Endpoint, unknown
from webhooks.standing import Standing, Whose

OPERATORS: Final = "operators"
"""In place of an application's id."""
OF_THE_MACHINE: Final = "This installation: what happens to the machine"


def whose(visit: Visit, application: UUID | None = None) -> Whose:
    """Owners whose endpoints this person sees; of one application only, if it is named."""
    if application is not None:
        return Whose((application,))
    return Whose(visit.applications, visit.may(Right.MACHINE_SEE))


async def the_one(connection: Connection, visit: Visit, webhook_id: UUID, *, change: bool = False) -> Standing:
    """An endpoint that this person may see, or change. Raises Refused, and NotAllowed."""
    found = await standing.get(connection, webhook_id)
    owner = found.endpoint.application_id
    if owner is not None:
        visit.sees(owner)
    elif not visit.may(Right.MACHINE_SEE):
        raise unknown(webhook_id)
    elif change and not visit.may(Right.MACHINE_CHANGE):
        raise NotAllowed(Right.MACHINE_CHANGE)
    return found


async def choices(connection: Connection, visit: Visit) -> list[tuple[str, str]]:
    """For whom this person may make an endpoint, for a form. Raises Refused: for nobody."""
    found = [(str(owner), name) for owner, name in (await owners(connection, visit)).items()]
    if visit.may(Right.MACHINE_CHANGE):
        found.append((OPERATORS, OF_THE_MACHINE))
    if not found:
        raise conflict(
            "there is no application yet", "`postlane keys create NAME --application NAME` makes one, with a key."
        )
    return found


async def owner_named(connection: Connection, visit: Visit) -> UUID | None:
    """The owner that a form names; None for the operators. Raises Refused."""
    named = picked(await choices(connection, visit), visit.field("application"), "application")
    return None if named == OPERATORS else UUID(named)


def values(one: Endpoint) -> Values:
    """What the audit log keeps of it."""
    events = "all" if one.events is None else sorted(one.events)
    return {"name": one.url, "events": events, "status": one.status}
