"""`/account`: what everybody may change about themselves. What makes signing in weaker asks for the password again."""

from typing import Final
from uuid import UUID
from zoneinfo import available_timezones

from fastapi import APIRouter, Response

from accounts import passwords, second_factor, sessions, users
from accounts.audit import Entry
from accounts.users import User
from console.cookies import SESSION
from console.guard import ConsoleRoute, signed_in
from console.noun import Noun
from console.rendering import page
from console.sign_in.tickets import key_of, signed_key
from console.sign_in.work import TOO_MANY, Why, begin, refused
from console.visit import Visit, Visiting
from core.refusal import Refused, conflict, invalid
from store.database import Connection
from web.connections import client_of

router = APIRouter(route_class=ConsoleRoute)
NOUN = Noun(router)

ZONES: Final = sorted(zone for zone in available_timezones() if "/" in zone and not zone.startswith(("Etc/", "posix/")))


@router.get("/account")
@signed_in
async def show(visit: Visiting) -> Response:
    """All of it."""
    return await _page(visit)


@router.post("/account/profile")
@signed_in
async def profile(visit: Visiting) -> Response:
    """Name and time zone."""
    try:
        async with visit.given.database.transaction() as connection:
            await users.set_profile(connection, visit.me.id, visit.field("name"), visit.field("zone"))
            before = {"name": visit.me.name, "zone": visit.me.zone}
            after = {"name": visit.field("name"), "zone": visit.field("zone")}
            await visit.note(connection, Entry("user.change", visit.me.email, before, after))
    except Refused as error:
        return await _page(visit, error)
    return visit.go("/account", "Saved.")


@router.post("/account/password")
@signed_in
async def password(visit: Visiting) -> Response:
    """Another password: every other browser is signed out, this one goes on with a new session."""
    fresh = visit.secret("password")
    try:
        await _known_password(visit)
        passwords.check(fresh, visit.me.email)
        if fresh != visit.secret("again"):
            raise invalid("again", "the two passwords differ")
        hashed = await passwords.hashed(fresh)
    except Refused as error:
        return await _page(visit, error)
    async with visit.given.database.transaction() as connection:
        await users.set_password(connection, visit.me.id, hashed)
        await visit.note(connection, Entry("user.password", visit.me.email))
        token = await begin(visit, connection, visit.me, "new password")
    answer = visit.go("/account", "Your password is changed. Every other browser is signed out.")
    visit.cookies.write(answer, SESSION, token)
    return answer


@router.post("/account/second-factor")
@signed_in
async def add_second_factor(visit: Visiting) -> Response:
    """First a key to put into the application on a phone; then a code of it, which shows that it is there.

    The key is ours and was given for the password: no other is taken, and none in place of one that is in force.
    """
    if visit.me.has_totp:
        raise conflict("there is a second factor already", "Take it away first; that asks for the password.")
    key, code = key_of(visit, visit.field("key")), visit.field("code")
    try:
        if not key or not code:
            await _known_password(visit)
            return await _page(visit, key=second_factor.fresh_key())
        step = second_factor.step_of(key, code, visit.now)
        if step is None:
            raise invalid("code", "that is not the code of this moment; look at the clock of the phone, too")
    except Refused as error:
        return await _page(visit, error, key)
    async with visit.given.database.transaction() as connection:
        sealed = second_factor.sealed(key, visit.me.id, visit.given.secret)
        await users.set_totp(connection, visit.me.id, sealed)
        await users.use_totp_step(connection, visit.me.id, step)
        await visit.note(connection, Entry("user.second_factor", visit.me.email, {"on": False}, {"on": True}))
    return visit.go("/account", "From now on a sign-in asks for a code.")


@router.post("/account/second-factor/remove")
@signed_in
async def remove_second_factor(visit: Visiting) -> Response:
    """The password is enough again."""
    try:
        await _known_password(visit)
    except Refused as error:
        return await _page(visit, error)
    async with visit.given.database.transaction() as connection:
        await users.set_totp(connection, visit.me.id, None)
        await visit.note(connection, Entry("user.second_factor", visit.me.email, {"on": True}, {"on": False}))
    return visit.go("/account", "Signing in takes the password alone.")


@router.post("/account/sessions/{session_id}/end")
@signed_in
async def end_session(visit: Visiting, session_id: UUID) -> Response:
    """Sign one of one's browsers out."""
    async with visit.given.database.transaction() as connection:
        ended = await sessions.end(connection, visit.me.id, session_id)
        await visit.note(connection, Entry("session.end", visit.me.email, before={"ip": ended.ip}))
    return visit.go("/account", "That browser is signed out.")


@router.post("/account/sessions/end-others")
@signed_in
async def end_others(visit: Visiting) -> Response:
    """Sign all others out."""
    assert visit.session is not None
    async with visit.given.database.transaction() as connection:
        n = await sessions.end_others(connection, visit.me.id, visit.session.id)
        await visit.note(connection, Entry("session.end", visit.me.email, before={"browsers": n}))
    return visit.go("/account", f"{n} other browser{'s are' if n != 1 else ' is'} signed out.")


async def _known_password(visit: Visit) -> None:
    """Raise Refused unless the password they have now was given; who has none needs to give none."""
    if not visit.me.has_password:
        return
    if not visit.given.attempts.may(client_of(visit.ip), "", f"password of {visit.me.id}"):
        await refused(visit, visit.me, Why.TOO_MANY)
        raise Refused("conflict", TOO_MANY)
    async with visit.given.database.connection() as connection:
        found = await users.secrets_of(connection, visit.me.email)
    given = visit.secret("current")
    if found is None or not await passwords.matches(found[1], given):
        await refused(visit, visit.me, Why.PASSWORD)
        raise invalid("current", "that is not your password")


async def _page(visit: Visit, error: Refused | None = None, key: str = "") -> Response:
    async with visit.given.database.connection() as connection:
        me, mine = await _me(connection, visit), await sessions.of_user(connection, visit.me.id)
    address = second_factor.address_of(key, me.email) if key else ""
    return page(
        visit,
        "account/account.html",
        422 if error else 200,
        me=me,
        sessions=mine,
        zones=ZONES,
        error=error,
        key_shown=key,
        key_signed=signed_key(visit, key) if key else "",
        key_address=address,
        at=visit.path,
    )


async def _me(connection: Connection, visit: Visit) -> User:
    """As the database has it now: the form just sent may have changed it."""
    return await users.by_id(connection, visit.me.id) or visit.me
