"""`/users`: everybody who may sign in, their roles and sessions. Passwords are theirs: they choose them by a link."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from fastapi import APIRouter, Response

from accounts import identities, sessions, sign_in_links, users
from accounts import repository as accounts
from accounts.audit import Entry
from accounts.repository import Application
from accounts.roles import MEANING, Right, Role
from accounts.sessions import Session
from accounts.sign_in_links import VALID, Purpose
from accounts.users import NewUser, User
from console import menu
from console.guard import ConsoleRoute, needs
from console.noun import Noun
from console.rendering import page
from console.visit import Visit, Visiting
from core.refusal import Refused, invalid, not_found
from store.database import Connection
from web.faces.users import user_audit

router = APIRouter(route_class=ConsoleRoute)

ROLES: Final = [(role.value, f"{role.value.capitalize()}: {MEANING[role].lower()}") for role in Role]


@router.get("/users")
@needs(Right.USERS_CHANGE)
async def list_users(visit: Visiting) -> Response:
    """All of them, one open at the side."""
    return await _page(visit, opened=visit.asked("open"))


@router.post("/users")
@needs(Right.USERS_CHANGE)
async def create(visit: Visiting) -> Response:
    """A new user, and the link by which they choose a password, shown this once."""
    try:
        async with visit.given.database.transaction() as connection:
            limits = await _limits(connection, visit) or ()
            wanted = NewUser(visit.field("email"), _role(visit), visit.field("name"), limits)
            user = await users.create(connection, wanted)
            await visit.note(connection, Entry("user.create", user.email, after=user_audit(user)))
            token = await sign_in_links.make(connection, Purpose.PASSWORD, user.id)
    except Refused as error:
        return await _page(visit, error)
    return await _page(visit, link=_link(visit, token), linked=user)


@router.post("/users/{user_id}/change")
@needs(Right.USERS_CHANGE)
async def change(visit: Visiting, user_id: UUID) -> Response:
    """Another role, from their next request on."""
    try:
        async with visit.given.database.transaction() as connection:
            before = await _user(connection, user_id)
            await users.set_role(connection, before, _role(visit), await _limits(connection, visit))
            await _noted(visit, connection, before, "user.change")
    except Refused as error:
        if error.kind == "not_found":
            raise
        return await _page(visit, error, opened=str(user_id))
    return visit.go(f"/users?open={user_id}", f"{before.shown} is changed.")


@router.post("/users/{user_id}/disable")
@needs(Right.USERS_CHANGE)
async def disable(visit: Visiting, user_id: UUID) -> Response:
    """Out at once, and not in again."""
    async with visit.given.database.transaction() as connection:
        before = await _user(connection, user_id)
        await users.disable(connection, before)
        await _noted(visit, connection, before, "user.disable")
    return visit.go(f"/users?open={user_id}", f"{before.shown} is signed out and may not sign in.")


@router.post("/users/{user_id}/enable")
@needs(Right.USERS_CHANGE)
async def enable(visit: Visiting, user_id: UUID) -> Response:
    """In again."""
    async with visit.given.database.transaction() as connection:
        before = await _user(connection, user_id)
        await users.enable(connection, before)
        await _noted(visit, connection, before, "user.enable")
    return visit.go(f"/users?open={user_id}", f"{before.shown} may sign in again.")


@router.post("/users/{user_id}/reset")
@needs(Right.USERS_CHANGE)
async def reset(visit: Visiting, user_id: UUID) -> Response:
    """A link for another password, shown this once; if wanted, without their second factor."""
    async with visit.given.database.transaction() as connection:
        user = await _user(connection, user_id)
        if user.disabled_at is not None:
            raise Refused("conflict", f"{user.email} is disabled", hint="Enable them first.")
        if visit.field("code"):
            await users.set_totp(connection, user.id, None)
        after = {"second_factor_removed": bool(visit.field("code"))}
        await visit.note(connection, Entry("user.reset", user.email, after=after))
        token = await sign_in_links.make(connection, Purpose.PASSWORD, user.id)
    return await _page(visit, link=_link(visit, token), linked=user, opened=str(user_id))


@router.post("/users/{user_id}/unlink")
@needs(Right.USERS_CHANGE)
async def unlink(visit: Visiting, user_id: UUID) -> Response:
    """The next identity of the provider with their address is theirs."""
    async with visit.given.database.transaction() as connection:
        user = await _user(connection, user_id)
        issuer = await identities.forget(connection, user)
        await visit.note(connection, Entry("user.unlink", user.email, before={"provider": issuer}))
    return visit.go(f"/users?open={user_id}", f"{user.shown} signs in by the next identity with their address.")


@router.post("/users/{user_id}/sessions/{session_id}/end")
@needs(Right.USERS_CHANGE)
async def end_session(visit: Visiting, user_id: UUID, session_id: UUID) -> Response:
    """Sign one of their browsers out."""
    async with visit.given.database.transaction() as connection:
        user = await _user(connection, user_id)
        ended = await sessions.end(connection, user_id, session_id)
        await visit.note(connection, Entry("session.end", user.email, before={"ip": ended.ip}))
    return visit.go(f"/users?open={user_id}", "That browser is signed out.")


async def _page(
    visit: Visit, error: Refused | None = None, *, link: str = "", linked: User | None = None, opened: str = ""
) -> Response:
    async with visit.given.database.connection() as connection:
        everybody = await users.every(connection)
        shown = next((one for one in everybody if str(one.id) == opened), None)
        theirs: Sequence[Session] = await sessions.of_user(connection, shown.id) if shown else ()
        provider = await identities.issuer_of(connection, shown.id) if shown else ""
        applications: Sequence[Application] = await accounts.applications(connection)
    return page(
        visit,
        "users/users.html",
        422 if error else 200,
        users=everybody,
        shown=shown,
        sessions=theirs,
        provider=provider,
        applications=applications,
        names={one.id: one.name for one in applications},
        roles=ROLES,
        error=error,
        link=link,
        linked=linked,
        days=VALID[Purpose.PASSWORD].days,
    )


async def _user(connection: Connection, user_id: UUID) -> User:
    found = await users.by_id(connection, user_id)
    if found is None:
        raise not_found("there is no such user")
    return found


async def _noted(visit: Visit, connection: Connection, before: User, action: str) -> None:
    after = await _user(connection, before.id)
    await visit.note(connection, Entry(action, after.email, user_audit(before), user_audit(after)))


async def _limits(connection: Connection, visit: Visit) -> tuple[UUID, ...] | None:
    """Those that were ticked, None for all, if that was said. Raises Refused."""
    if visit.field("limits") == "all":
        return None
    known = {str(one.id): one.id for one in await accounts.applications(connection)}
    ticked = visit.form.get("applications") or ()
    if not set(ticked) <= known.keys():
        raise invalid("applications", "one of them is gone; load the page again")
    if visit.field("limits") == "some" and not ticked:
        raise invalid("applications", "tick one application at least, or choose all of them")
    return tuple(known[one] for one in ticked)


def _role(visit: Visit) -> Role:
    try:
        return Role(visit.field("role"))
    except ValueError:
        raise invalid("role", "choose one") from None


def _link(visit: Visit, token: str) -> str:
    """Where the browser reaches this console, unless a setting says it."""
    own = visit.given.settings.console_url or str(visit.request.base_url).rstrip("/")
    return f"{own}/link/{token}"


NOUN = Noun(router, [menu.Entry("Administer", 10, "Users", "/users", "users", Right.USERS_CHANGE)])
