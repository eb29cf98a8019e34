"""`/keys`: the API keys of applications, live and for tests. A token is shown once, on the page that makes it.

Thin: `accounts/repository`. Keys of operators are made and seen on the command line only. Another process feels a
revoked key within `accounts.directory.KEEP_SECONDS`.
"""

from functools import partial
from typing import Final
from uuid import UUID

from fastapi import APIRouter, Response

from accounts import counting, repository
from accounts.audit import Entry
from accounts.repository import ApiKey, KeyRequest
from accounts.roles import Right
from console import menu, owners
from console.choosing import chosen_id
from console.guard import ConsoleRoute, needs
from console.keys import words
from console.listing import listed, opened, window
from console.noun import Noun
from console.rendering import page
from console.visit import Visit, Visiting
from core.refusal import Refused, invalid, not_found
from store.database import Connection
from web.faces.api_keys import key_audit

router = APIRouter(route_class=ConsoleRoute)
NOUN = Noun(router, [menu.Entry("Send", 30, "API keys", "/keys", "keys", Right.SENDING_SEE)])

_LONGEST: Final = 100


@router.get("/keys")
@needs(Right.SENDING_SEE)
async def list_keys(visit: Visiting) -> Response:
    """All that somebody sees, one perhaps open at the side."""
    return await _list(visit)


@router.post("/keys")
@needs(Right.SENDING_CHANGE)
async def create(visit: Visiting) -> Response:
    """Makes a key; its token stands on this answer and nowhere else."""
    try:
        async with visit.given.database.transaction() as connection:
            owner = (await owners.chosen(connection, visit)).chosen
            wanted = await _wanted(connection, visit, owner)
            made, token = await repository.create_key(connection, wanted)
            await visit.note(connection, Entry("key.create", made.name, None, key_audit(made), owner))
    except Refused as error:
        return await _list(visit, error)
    return await _list(visit, made=made, token=token)


@router.post("/keys/{key_id}/rename")
@needs(Right.SENDING_CHANGE)
async def rename(visit: Visiting, key_id: UUID) -> Response:
    """Another name; the token stays what it is."""
    try:
        name = _name(visit)
        async with visit.given.database.transaction() as connection:
            before = await _seen(visit, connection, key_id)
            await repository.rename_key(connection, before.application_id, key_id, name)
            after = await _seen(visit, connection, key_id)
            entry = Entry("key.update", name, key_audit(before), key_audit(after), after.application_id)
            await visit.note(connection, entry)
    except Refused as error:
        if error.kind == "not_found":
            raise
        return await _list(visit, error, open_id=str(key_id))
    return visit.go(f"/keys?open={key_id}", f"{name} is its name now.")


@router.post("/keys/{key_id}/revoke")
@needs(Right.SENDING_CHANGE)
async def revoke(visit: Visiting, key_id: UUID) -> Response:
    """Whatever uses it is refused from now on."""
    async with visit.given.database.transaction() as connection:
        gone = await _seen(visit, connection, key_id)
        await repository.delete_key(connection, gone.application_id, key_id)
        await visit.note(connection, Entry("key.delete", gone.name, key_audit(gone), None, gone.application_id))
    return visit.go("/keys", f"{gone.name} is revoked. Within five seconds nothing works with it.")


async def _list(
    visit: Visit, error: Refused | None = None, *, made: ApiKey | None = None, token: str = "", open_id: str = ""
) -> Response:
    wanted, open_id = window(visit), open_id or visit.asked("open")
    async with visit.given.database.connection() as connection:
        names = await owners.owners(connection, visit)
        chosen = owners.asked_for(visit, names)
        mine = chosen or list(names)
        found = await repository.keys_of(connection, mine, wanted) if names else None
        counted = await counting.keys(connection, mine)
        shown = await _open(visit, connection, open_id)
        domains = (await repository.domains_of(connection, list(names))).entries if names else []
    rows = listed(visit, found, wanted, lambda one: one.id) if found else None
    return page(
        visit, "keys/list.html", 422 if error else 200, list=rows, names=names, options=owners.options_of(names),
        chosen=str(chosen[0]) if chosen else "", error=error, made=made, token=token, shown=shown, words=words,
        options_of_domains=[(str(one.id), one.name) for one in domains], called={one.id: one.name for one in domains},
        answered=words.who_may_send(counted),
        at=partial(opened, visit),
    )  # fmt: skip


async def _open(visit: Visit, connection: Connection, open_id: str) -> ApiKey | None:
    """The key in the panel; None for none, and for one that is gone or not theirs."""
    try:
        return await _seen(visit, connection, UUID(open_id)) if open_id else None
    except (ValueError, Refused):
        return None


async def _wanted(connection: Connection, visit: Visit, owner: UUID) -> KeyRequest:
    """What the form asks for. The domain is locked: it may not go before the key is there. Raises Refused."""
    permission, mode, named = visit.field("permission"), visit.field("mode"), visit.field("domain")
    if permission not in words.MAY:
        raise invalid("permission", "choose one")
    if mode not in dict(words.MODES):
        raise invalid("mode", "choose one")
    if named and permission != "sending_access":
        raise invalid("domain", "a key for one domain can only send: choose that above, or all domains here")
    try:
        key = await chosen_id(connection, visit, "domain", "Domain", owner)
        domain = await repository.domain(connection, owner, UUID(key), lock=True) if key else None
    except ValueError:
        domain = None
    if named and domain is None:
        raise invalid("domain", "it is none of this application's")
    return KeyRequest(owner, _name(visit), permission, domain.id if domain else None, mode == "test")


def _name(visit: Visit) -> str:
    name = visit.field("name")
    if not name or len(name) > _LONGEST or not name.isprintable():
        raise invalid("name", f"it must have 1 to {_LONGEST} printable characters")
    return name


async def _seen(visit: Visit, connection: Connection, key_id: UUID) -> ApiKey:
    """The key, if it is one that they see. Raises Refused."""
    found = await repository.key(connection, key_id)
    if found is None:
        raise not_found("there is no such key")
    visit.sees(found.application_id)
    return found
