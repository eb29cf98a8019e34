"""`/sign-in`, `/sign-out`, and `/link/<token>`: the first user, a new password, or one sign-in.

A link acts on POST only: what looks at links before people do uses none up. Password and code are checked after both
were counted (`console/throttling`), and a wrong address takes as long as a wrong password.
"""

from typing import Final

from fastapi import APIRouter, Response

from accounts import audit, passwords, sessions, sign_in_links, users
from accounts.audit import Actor, Entry
from accounts.roles import Role
from accounts.sign_in_links import Link, Purpose
from accounts.users import NewUser, User
from console.cookies import SESSION
from console.guard import ConsoleRoute, local, open_to_all, signed_in
from console.rendering import page
from console.sign_in import tickets, work
from console.sign_in.pages import again, code_page
from console.sign_in.work import Known, Why
from console.visit import Visit, Visiting
from core.refusal import Refused, invalid
from store.database import Connection
from web.connections import client_of

router = APIRouter(route_class=ConsoleRoute)


NO_PASSWORDS: Final = "No passwords are taken here."


@router.get("/sign-in")
@open_to_all
async def ask(visit: Visiting) -> Response:
    """The form; whoever is signed in goes on at once."""
    back = local(visit.asked("next", 2000) or "/")
    if visit.user is not None:
        return visit.go(back)
    async with visit.given.database.connection() as connection:
        first = not await users.any_exists(connection)
    return page(visit, "sign_in/sign_in.html", back=back, wrong="", email="", first=first)


@router.post("/sign-in")
@open_to_all
async def sign_in(visit: Visiting) -> Response:
    """Address and password."""
    if not visit.given.settings.console_passwords:
        return _again(visit, NO_PASSWORDS)
    known = await work.check_password(visit, visit.field("email"), visit.secret("password"))
    if isinstance(known, str):
        return _again(visit, known)
    if known.user.has_totp:
        return code_page(visit, tickets.ticket(visit, known.user.id, known.password_hash, tickets.PASSWORD))
    return await _signed_in(visit, known, tickets.PASSWORD)


@router.post("/sign-in/code")
@open_to_all
async def code(visit: Visiting) -> Response:
    """The second factor."""
    ticket = tickets.read_ticket(visit, visit.field("ticket"))
    if ticket is None:
        return visit.go("/sign-in")
    if not visit.given.attempts.may(client_of(visit.ip), "", f"code of {ticket.user_id}"):
        async with visit.given.database.connection() as connection:
            user = await users.by_id(connection, ticket.user_id)
        await work.refused(visit, user, Why.TOO_MANY)
        return _again(visit, work.TOO_MANY)
    known = await work.check_code(visit, ticket, visit.field("code"))
    if known is None:
        return code_page(visit, visit.field("ticket"), "That code is wrong, or was used already.")
    return await _signed_in(visit, known, f"{ticket.by} and code")


@router.post("/sign-out")
@signed_in
async def sign_out(visit: Visiting) -> Response:
    """End this session."""
    assert visit.session is not None
    async with visit.given.database.transaction() as connection:
        await sessions.end(connection, visit.me.id, visit.session.id)
        await visit.note(connection, Entry("session.end", visit.me.email))
    answer = visit.go("/sign-in")
    visit.cookies.forget(answer, SESSION)
    return answer


@router.get("/link/{token}")
@open_to_all
async def open_link(visit: Visiting, token: str) -> Response:
    """What the link is for, and its form."""
    async with visit.given.database.connection() as connection:
        link = await sign_in_links.look(connection, token)
    return _link_page(visit, token, link)


@router.post("/link/{token}")
@open_to_all
async def use_link(visit: Visiting, token: str) -> Response:
    """Do it, once. What is refused leaves the link as it was."""
    async with visit.given.database.connection() as connection:
        link = await sign_in_links.look(connection, token)
    if link is None:
        return _link_page(visit, token, None)
    by = f"link: {link.purpose}"
    try:
        password = await _new_password(visit, link)
        async with visit.given.database.transaction() as connection:
            used = await sign_in_links.use(connection, token)
            if used is None:
                return _link_page(visit, token, None)
            user = await _whose(visit, connection, used)
            if password:
                await users.set_password(connection, user.id, password)
                await audit.write(
                    connection, _as(visit, user), Entry("user.password", user.email, after={"by": "link"})
                )
            if used.purpose is Purpose.PASSWORD and user.has_totp:  # the link stands for the password alone
                return code_page(visit, tickets.ticket(visit, user.id, password, by))
            token = await work.begin(visit, connection, user, by)
    except Refused as error:
        return _link_page(visit, token, link, error)
    return work.come_in(visit, user, token)


def _again(visit: Visit, wrong: str) -> Response:
    return again(visit, wrong, 429 if wrong == work.TOO_MANY else 422)


def _link_page(visit: Visit, token: str, link: Link | None, error: Refused | None = None) -> Response:
    status = 410 if link is None else 422 if error else 200
    email = visit.field("email")
    return page(visit, "sign_in/link.html", status, token=token, link=link, error=error, email=email, Purpose=Purpose)


async def _new_password(visit: Visit, link: Link) -> str:
    """The hash of the password that was chosen, "" where none is wanted. Raises Refused."""
    if link.purpose is Purpose.SIGN_IN:
        return ""
    password = visit.secret("password")
    passwords.check(password, link.user.email if link.user else visit.field("email"))
    if password != visit.secret("again"):
        raise invalid("again", "the two passwords differ")
    return await passwords.hashed(password)


async def _whose(visit: Visit, connection: Connection, link: Link) -> User:
    if link.user is not None:
        return link.user
    user = await users.create(connection, NewUser(visit.field("email"), Role.ADMIN))
    await audit.write(connection, _as(visit, user), Entry("user.create", user.email, after={"role": user.role.value}))
    return user


def _as(visit: Visit, user: User) -> Actor:
    """Who acts before they are signed in."""
    return Actor(user.email, "console", user.id, visit.ip)


async def _signed_in(visit: Visit, known: Known, how: str) -> Response:
    async with visit.given.database.transaction() as connection:
        if not await users.hold(connection, known.user.id, known.password_hash):
            return _again(visit, work.WRONG)
        token = await work.begin(visit, connection, known.user, how)
    return work.come_in(visit, known.user, token)
