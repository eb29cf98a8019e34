"""`/sign-in/openid`: to the provider and back.

What belongs to one sign-in (state, nonce, verifier of PKCE) lies in a cookie of the browser that began it, signed, for
ten minutes, and goes when it comes back, whatever comes of it. Whoever brings a state that is not in their own cookie
was sent by somebody else. A second factor is asked for all the same.
"""

import base64
import binascii
import hmac
import json
import secrets
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from fastapi import APIRouter, Response

from accounts import audit, identities, openid, users
from accounts.audit import Actor, Entry
from accounts.identities import CameIn, Identity
from accounts.openid import Asked, OpenIdError
from accounts.roles import Role
from accounts.users import User
from console.guard import ConsoleRoute, local, open_to_all
from console.sign_in import tickets, work
from console.sign_in.pages import again, code_page
from console.sign_in.work import Why
from console.visit import Visit, Visiting
from core.errors import UnavailableError
from core.logs import get_logger
from core.refusal import Refused, not_found
from store.database import Connection
from web.connections import client_of
from web.faces.users import user_audit

if TYPE_CHECKING:
    from accounts.openid_provider import OpenIdProvider

router = APIRouter(route_class=ConsoleRoute)

COOKIE: Final = "openid"
_SECONDS: Final = 600
"""To sign in there, and to find the phone."""
_LONGEST_CODE: Final = 4_000
STALE: Final = "This sign-in was not begun in this browser, or too long ago. Begin again."
_AWAY: Final = "The provider does not answer. Try again, or come in by a link: `postlane console link` on the server."
_NOT_GOOD: Final = "What the provider said about you could not be verified. The console's log says why."

_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Begun:
    """What the cookie holds."""

    asked: Asked
    back: str
    zone: str


class _ShutOutError(Refused):
    """Somebody known, who may not sign in: neither identity nor role of theirs is kept."""

    def __init__(self, user: User) -> None:
        super().__init__("conflict", f"{user.email} may not sign in here any more")
        self.user = user


@router.get("/sign-in/openid")
@open_to_all
async def begin(visit: Visiting) -> Response:
    """To the provider."""
    provider = _provider(visit)
    if not visit.given.attempts.comes(client_of(visit.ip)):
        return again(visit, work.TOO_MANY, 429)
    asked = Asked(*(secrets.token_urlsafe(32) for _ in range(3)))
    try:
        answer = visit.go(await provider.sign_in_url(asked))
    except (OpenIdError, UnavailableError) as error:
        return _failed(visit, error)
    begun = Begun(asked, local(visit.asked("next", 2000) or "/"), visit.asked("browser_zone"))
    visit.cookies.write(answer, COOKIE, _written(visit, begun), _SECONDS)
    return answer


@router.get("/sign-in/openid/done")
@open_to_all
async def done(visit: Visiting) -> Response:
    """Back from there."""
    answer = await _came_back(visit, _provider(visit))
    visit.cookies.forget(answer, COOKIE)
    return answer


async def _came_back(visit: Visit, provider: "OpenIdProvider") -> Response:
    begun = _read(visit, visit.cookies.read(visit.request, COOKIE))
    if begun is None or not hmac.compare_digest(begun.asked.state.encode(), visit.asked("state").encode()):
        return again(visit, STALE, 400)
    if not visit.given.attempts.comes(client_of(visit.ip)):  # one state may be brought with many codes
        return again(visit, work.TOO_MANY, 429)
    visit = replace(visit, form={"next": [begun.back], "browser_zone": [begun.zone]})
    if visit.asked("error"):
        return again(visit, f"The provider did not let you in: {visit.asked('error', 100)}.", 403)
    try:
        found = await provider.identity(visit.asked("code", _LONGEST_CODE), begun.asked, visit.now.timestamp())
    except (OpenIdError, UnavailableError) as error:
        return _failed(visit, error)
    try:
        return await _let_in(visit, provider.client.issuer, found)
    except Refused as error:
        _log.warning("sign_in_refused", why=error.code, client=visit.ip, user_id="")
        return again(visit, " ".join(filter(None, (f"{error.reason[:1].upper()}{error.reason[1:]}.", error.hint))), 403)


async def _let_in(visit: Visit, issuer: str, found: Identity) -> Response:
    """A session for whoever it is, or the question for their code. Raises Refused: then nothing of them is changed."""
    by = f"provider: {issuer}"
    try:
        async with visit.given.database.transaction() as connection:
            came = await identities.come_in(connection, issuer, found, _role(visit, found))
            secret = await users.secrets_of(connection, came.user.email)
            password = secret[1] if secret else None
            if not await users.hold(connection, came.user.id, password):
                raise _ShutOutError(came.user)
            await _note(visit, connection, issuer, came)
            if not came.user.has_totp:
                token = await work.begin(visit, connection, came.user, by)
                return work.come_in(visit, came.user, token)
    except _ShutOutError as error:
        await work.refused(visit, error.user, Why.DISABLED, by)
        raise
    return code_page(visit, tickets.ticket(visit, came.user.id, password, by))


async def _note(visit: Visit, connection: Connection, issuer: str, came: CameIn) -> None:
    """What it changed, in the audit log."""
    actor = Actor(f"provider {issuer}", "console", None, visit.ip)
    if came.before is None:
        await audit.write(connection, actor, Entry("user.create", came.user.email, after=user_audit(came.user)))
    elif came.before.role is not came.user.role:
        before, after = user_audit(came.before), user_audit(came.user)
        await audit.write(connection, actor, Entry("user.change", came.user.email, before, after))
    if came.tied:
        await audit.write(connection, actor, Entry("user.identity", came.user.email, after={"provider": issuer}))


def _role(visit: Visit, found: Identity) -> Role | None:
    settings = visit.given.settings
    pairs = [one.rpartition("=")[::2] for one in settings.openid_roles]
    named = openid.role_named(found, settings.openid_role_claim, pairs)
    return Role(named) if named else None


def _provider(visit: Visit) -> "OpenIdProvider":
    if visit.given.openid is None:
        raise not_found("there is nothing at this address")
    return visit.given.openid


def _failed(visit: Visit, error: OpenIdError | UnavailableError) -> Response:
    """The log says why: what a provider, or somebody in its place, says is nothing to show to strangers."""
    _log.warning("openid_failed", why=str(error), client=visit.ip)
    return again(visit, _AWAY, 503) if isinstance(error, UnavailableError) else again(visit, _NOT_GOOD, 403)


def _written(visit: Visit, begun: Begun) -> str:
    ends = int(visit.now.timestamp()) + _SECONDS
    asked = begun.asked
    told = json.dumps([asked.state, asked.nonce, asked.verifier, begun.back, begun.zone, ends])
    text = base64.urlsafe_b64encode(told.encode()).decode()
    return f"{text}.{_mac(visit, text)}"


def _read(visit: Visit, value: str) -> Begun | None:
    """What we wrote; None for anything else, and for what is too old."""
    text, _, mac = value.partition(".")
    if not text or not hmac.compare_digest(mac.encode(), _mac(visit, text).encode()):
        return None
    try:
        state, nonce, verifier, back, zone, ends = json.loads(base64.urlsafe_b64decode(text))
    except (binascii.Error, ValueError):
        return None
    return Begun(Asked(state, nonce, verifier), back, zone) if ends > visit.now.timestamp() else None


def _mac(visit: Visit, text: str) -> str:
    return visit.given.secret.mac("console-openid", text.encode(), 16).hex()
