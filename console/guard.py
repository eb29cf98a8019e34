"""Who may come in: every route says which right it wants, and is refused without.

A route is made by `ConsoleRoute` and its endpoint carries `needs(Right...)`, or `open_to_all` where nobody can be
signed in yet; one that carries neither does not start. Before an endpoint runs: the session is looked up, its user's
right is checked, and whatever changes something has to come from a page of ours (`Sec-Fetch-Site` or `Origin`) and to
bring the key of a form of this session. Who is not signed in is led to the sign-in and back.
"""

import hmac
import secrets
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import ExitStack
from dataclasses import replace
from functools import cache, partial
from typing import Any, Final, TypeVar
from urllib.parse import quote, urlsplit

from fastapi import Request, Response
from fastapi.routing import APIRoute

from accounts import sessions
from accounts.roles import Right
from console.cookies import SESSION, Cookies
from console.deps import deps
from console.visit import SCOPE, Visit
from core.logs import get_logger
from core.refusal import not_found
from web.forms import LARGEST, Form, read_with_files
from web.multipart import Part
from web.spooled_forms import FileOnDisk, read_spooled

_log = get_logger(__name__)

_NEEDS: Final = "postlane_needs"
_LARGEST: Final = "postlane_largest_form"
_UPLOAD: Final = "postlane_largest_upload"
_LOOKS_ON: Final = "postlane_looks_on"
_SAFE: Final = frozenset({"GET", "HEAD"})
TIMED: Final = frozenset({"div#figures", "div#live", "div#map", "div#progress"})
"""Parts of pages that refresh themselves, as htmx names them: nobody uses a session by leaving one of them open."""
KEY_FIELD: Final = "form_key"
"""The hidden field of every form."""

Reading = Callable[[Request], Awaitable[tuple[Form, Mapping[str, Part | FileOnDisk]]]]
"""How the form of an endpoint is read."""
Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])


class SignInNeeded(Exception):
    """Nobody is signed in. `back`: where they wanted to go."""

    def __init__(self, back: str) -> None:
        super().__init__("nobody is signed in")
        self.back = back


class NotAllowed(Exception):
    """The user's role does not allow it."""

    def __init__(self, right: Right) -> None:
        super().__init__(f"needs {right}")
        self.right = right


class NotFromHere(Exception):
    """A form that no page of ours sent, or one that is too old."""


def needs(right: Right) -> Callable[[Endpoint], Endpoint]:
    """Give an endpoint the right that it wants. Stands below the route decorator."""
    return _marked(_NEEDS, right)


def open_to_all(endpoint: Endpoint) -> Endpoint:
    """For the few endpoints that work before the sign-in. Stands below the route decorator."""
    return _marked(_NEEDS, None)(endpoint)


def signed_in(endpoint: Endpoint) -> Endpoint:
    """For what everybody may do who is signed in: their own account. Stands below the route decorator."""
    return _marked(_NEEDS, "signed in")(endpoint)


def largest_form(size: int) -> Callable[[Endpoint], Endpoint]:
    """Give an endpoint forms of so many bytes. Stands below the route decorator."""
    return _marked(_LARGEST, size)


def largest_upload(size: int) -> Callable[[Endpoint], Endpoint]:
    """Give an endpoint forms with files of so many bytes, which go to the disk (`visit.uploads`). Stands below the
    route decorator."""
    return _marked(_UPLOAD, size)


def looks_on(endpoint: Endpoint) -> Endpoint:
    """For what a page asks by itself while it is open: nobody uses a session by that. Stands below the route
    decorator."""
    return _marked(_LOOKS_ON, True)(endpoint)


def needed_by(endpoint: Callable[..., Any]) -> Right | str | None:
    """What an endpoint wants. Raises TypeError when nobody said."""
    if not hasattr(endpoint, _NEEDS):
        raise TypeError(f"{endpoint.__module__}.{endpoint.__name__} does not say who may call it: add @needs(Right...)")
    found: Right | str | None = getattr(endpoint, _NEEDS)
    return found


class ConsoleRoute(APIRoute):
    """A guarded route. `APIRouter(route_class=ConsoleRoute)` in every noun."""

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        self.needs = needed_by(endpoint)
        super().__init__(path, endpoint, **options)

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The usual handler behind the guard."""
        handle = super().get_route_handler()
        upload: int = getattr(self.endpoint, _UPLOAD, 0)
        size: int = getattr(self.endpoint, _LARGEST, LARGEST)
        used = not getattr(self.endpoint, _LOOKS_ON, False)

        async def guarded(request: Request) -> Response:
            with ExitStack() as kept:  # files that came along
                reading = partial(read_spooled, limit=upload, kept=kept) if upload else partial(_read, limit=size)
                request.scope[SCOPE] = await enter(request, self.needs, reading, used=used)
                return await handle(request)

        return guarded


async def enter(request: Request, wanted: Right | str | None, reading: Reading, *, used: bool = True) -> Visit:
    """The visit, if it may go on; `used`: somebody did something, not a page by itself. Raises SignInNeeded,
    NotAllowed, NotFromHere, Refused."""
    if "\0" in request.scope["path"]:  # no name that is stored holds one
        raise not_found("there is nothing at this address")
    changes = request.method not in _SAFE
    if changes and not _from_here(request, deps(request).settings.console_url):
        raise NotFromHere
    visit = await who(request, used=used)
    if wanted is not None and visit.user is None:
        raise SignInNeeded(_back(request))
    if isinstance(wanted, Right) and not visit.may(wanted):
        raise NotAllowed(wanted)
    if changes:
        return await _with_form(visit, reading)
    return visit if visit.token else replace(visit, token=secrets.token_urlsafe(16))


async def who(request: Request, *, used: bool = True) -> Visit:
    """The visit with its session and user, if it has one. Decides nothing."""
    visit = stranger(request)
    if not visit.token:
        return visit
    async with visit.given.database.connection() as connection:
        used = used and request.headers.get("hx-source") not in TIMED
        found = await sessions.whose(connection, visit.token, used=used)
    return replace(visit, session=found[0], user=found[1]) if found else visit


def stranger(request: Request) -> Visit:
    """The visit of somebody of whom nothing is known."""
    given = deps(request)
    https, host = given.settings.console_url.startswith("https:"), request.headers.get("host", "")
    if not given.settings.console_url and request.headers.get("x-forwarded-proto") == "https":
        _say_that_it_has_no_name()
    cookies = Cookies(given.secret, https=https, host=host)
    return Visit(request, given, cookies, cookies.read(request, SESSION))


@cache
def _say_that_it_has_no_name() -> None:
    """Once: a proxy ends TLS for it, and it does not know."""
    do = "set POSTLANE_CONSOLE_URL to its https address: without it cookies are sent in clear, too"
    _log.warning("console_url_missing", do=do)


async def _with_form(visit: Visit, reading: Reading) -> Visit:
    form, files = await reading(visit.request)
    brought = (form.get(KEY_FIELD) or ("",))[0]
    if not visit.token or not hmac.compare_digest(brought.encode(), visit.form_key.encode()):
        raise NotFromHere
    clean = {name: [one.replace("\0", "") for one in values] for name, values in form.items()}
    parts = {name: one for name, one in files.items() if isinstance(one, Part)}
    uploads = {name: one for name, one in files.items() if isinstance(one, FileOnDisk)}
    return replace(visit, form=clean, files=parts, uploads=uploads)


async def _read(request: Request, limit: int) -> tuple[Form, Mapping[str, Part | FileOnDisk]]:
    return await read_with_files(request, limit)


def _from_here(request: Request, own: str) -> bool:
    """Whether a page of ours sent this. Browsers say so in one of two headers; who sends neither is none."""
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    origin = request.headers.get("origin", "")
    host = request.headers.get("host", "")
    return bool(origin) and (origin == own or urlsplit(origin).netloc == host)


def _back(request: Request) -> str:
    """Where to go after the sign-in: the page that was asked for, or the first one when something was sent."""
    if request.method not in _SAFE:
        return "/"
    query = f"?{request.url.query}" if request.url.query else ""
    return quote(request.url.path) + query


def local(path: str) -> str:
    """A path of ours, or the first page: a link to the sign-in leads nowhere else.

    `//host`, `/\\host` and control characters are read as another host by one browser or the other. A header takes
    ASCII alone; paths of ours are quoted.
    """
    if not path.startswith("/") or path[1:2] in ("/", "\\") or "\\" in path or not path.isprintable():
        return "/"
    return "/" if not path.isascii() or urlsplit(path).netloc or path.startswith("/sign-in") else path


def _marked(name: str, value: object) -> Callable[[Endpoint], Endpoint]:
    def mark(endpoint: Endpoint) -> Endpoint:
        setattr(endpoint, name, value)
        return endpoint

    return mark
