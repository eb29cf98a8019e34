"""Applications as operators run them: made, renamed, limited. Raises Refused; `repository` stores.

Deleting one is `campaigns/withdrawal`: its mail may be under way.
"""

from dataclasses import dataclass
from typing import Final
from uuid import UUID

from accounts import quotas, repository
from accounts.audit import Values
from accounts.quotas import Quota, quota_face
from accounts.repository import OPERATORS, Application
from core.refusal import conflict, invalid, not_found
from store.database import Connection

LONGEST: Final = 100


@dataclass(frozen=True, slots=True)
class Changes:
    """What is to be different; None stays as it is."""

    name: str | None = None
    quota: Quota | None = None


async def create(connection: Connection, name: str, quota: Quota) -> Application:
    """A new application, without keys and domains."""
    named = _named(name)
    made = await repository.create_application(connection, named)
    if made is None:
        raise _taken(named)
    return await change(connection, made, Changes(quota=quota)) if quota else made


async def change(connection: Connection, found: Application, wanted: Changes) -> Application:
    """The application as it is after that."""
    if wanted.name is not None:
        named = _named(wanted.name)
        if not await repository.rename_application(connection, found.id, named):
            raise _taken(named)
    if wanted.quota is not None:
        await quotas.set_quota(connection, found.id, wanted.quota)
    return await one(connection, found.id)


async def one(connection: Connection, application_id: UUID) -> Application:
    """The application with this id."""
    found = await repository.application_by_id(connection, application_id)
    if found is None:
        raise not_found(f"there is no application {application_id}")
    return found


def application_audit(found: Application) -> Values:
    """For the audit log."""
    return {"name": found.name, **quota_face(found.quota)}


def _named(text: str) -> str:
    name = text.strip()
    if not name or len(name) > LONGEST or not name.isprintable() or name == OPERATORS:
        raise invalid("name", f"it must have 1 to {LONGEST} printable characters")
    return name


def _taken(name: str) -> Exception:
    return conflict(f"there is an application {name} already", "Take another name.")
