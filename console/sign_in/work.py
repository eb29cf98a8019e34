"""What a sign-in does: look at a password, begin a session, note it. No page is made here."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from fastapi import Response

from accounts import audit, passwords, second_factor, sessions, users
from accounts.audit import Actor, Entry
from accounts.sessions import Browser
from accounts.users import User
from console.cookies import SESSION
from console.guard import local
from console.sign_in import tickets
from console.sign_in.tickets import Ticket
from console.visit import Visit
from core.logs import get_logger
from core.refusal import Refused
from store.database import Connection
from web.connections import client_of

WRONG: Final = "Address and password do not belong together."
TOO_MANY: Final = "Too many attempts. Wait a quarter of an hour, or run `postlane console link` on the server."


_log = get_logger(__name__)


class Why(StrEnum):
    """Why a sign-in was refused. The values are shown."""

    PASSWORD = "wrong password"  # a word, not one of them
    CODE = "wrong code"
    DISABLED = "disabled"
    TOO_MANY = "too many attempts"


@dataclass(frozen=True, slots=True)
class Known:
    """Somebody whose password was right."""

    user: User
    password_hash: str | None
    """As it was then. Whoever set another one since is not let in by the one before."""


async def check_password(visit: Visit, email: str, password: str) -> Known | str:
    """Who it is, or what to tell them: the same for an unknown address and a wrong password."""
    async with visit.given.database.connection() as connection:
        found = await users.secrets_of(connection, email)
    user, stored, _ = found or (None, None, None)
    browser = visit.cookies.known(visit.request, user.id if user else None)
    if not visit.given.attempts.may(client_of(visit.ip), email, browser):
        await refused(visit, user, Why.TOO_MANY)
        return TOO_MANY
    right = await passwords.matches(stored, password)
    if not right or user is None or user.disabled_at is not None:
        await refused(visit, user, Why.DISABLED if right and user else Why.PASSWORD, tickets.PASSWORD)
        return WRONG
    return Known(user, stored)


async def check_code(visit: Visit, ticket: Ticket, code: str) -> Known | None:
    """Who it is, when the code is theirs and was not used before, and the password of the ticket is still theirs."""
    async with visit.given.database.transaction() as connection:
        user = await users.by_id(connection, ticket.user_id)
        found = await users.secrets_of(connection, user.email) if user else None
        if user is None or found is None or found[2] is None or not tickets.stands_for(visit, ticket, found[1]):
            return None
        key = second_factor.opened(found[2], user.id, visit.given.secret)
        step = second_factor.step_of(key, code, visit.now)
        right = step is not None and await users.use_totp_step(connection, user.id, step)
    if not right:
        await refused(visit, user, Why.CODE, ticket.by)
        return None
    return Known(user, found[1])


async def refused(visit: Visit, user: User | None, why: Why, by: str = "") -> None:
    """Leave a trace. A wrong code stands in the audit log, too, for what comes before it (`by`) is known to somebody;
    so does the first attempt in a while that was one too many for an account."""
    _log.warning("sign_in_refused", why=why, client=visit.ip, user_id=str(user.id) if user else "")
    if user is None or why is Why.PASSWORD or (why is Why.TOO_MANY and not visit.given.attempts.tell(str(user.id))):
        return
    async with visit.given.database.transaction() as connection:
        entry = Entry("session.refused", user.email, after={"why": f"{_came(by)}{why}"})
        await audit.write(connection, Actor("unknown", "console", None, visit.ip), entry)


def _came(by: str) -> str:
    if not by:
        return ""
    return "right password, " if by == tickets.PASSWORD else f"came by {by}, "


async def begin(visit: Visit, connection: Connection, user: User, how: str) -> str:
    """A session in the transaction of its sign-in, a new one whatever there was before; its token."""
    browser = Browser(visit.ip, visit.request.headers.get("user-agent", ""), zone_of(visit))
    token = await sessions.begin(connection, user.id, browser)
    await users.note_sign_in(connection, user.id)
    actor = Actor(user.email, "console", user.id, visit.ip)
    await audit.write(connection, actor, Entry("session.begin", user.email, after={"by": how}))
    return token


def come_in(visit: Visit, user: User, token: str, said: str = "") -> Response:
    """Into the console, with the session."""
    answer = visit.go(local(visit.field("next") or "/"), said)
    visit.cookies.write(answer, SESSION, token)
    visit.cookies.know(answer, user.id)
    return answer


def zone_of(visit: Visit) -> str:
    """The browser's time zone, as far as it is one."""
    try:
        return users.known_zone(visit.field("browser_zone")[:60])
    except Refused:
        return ""
