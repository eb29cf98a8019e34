"""Who is calling, and may they: `Authorization: Bearer <API key>`, then the key's rate limit.

Five guards: `caller` (any key of an application: only the two POSTs that send), `mail_access` (mail and the sandbox; of
test keys their own), `full_access` (the rest of what an application has; no test keys), `operator` (pools, IPs,
throttles, warm-up, applications), `full_access_or_operator` (suppressions and recipients, which belong to both). A
`KeyedRoute` asks its guard before a byte of the body is read; the same function as a dependency gives the endpoint who
it was. An operator's key runs the machine and sees no application's mail; an
application's key, full access included, changes nothing about the machine. What a key may send *from* is for
`api/intake`.
"""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Annotated, Any, ClassVar, Final

from fastapi import Depends, Request

from accounts.directory import OPERATOR, Caller
from api.auditing import CALLER
from api.deps import Deps, deps
from api.errors import ApiError
from api.limits import take
from api.openapi import GUARD
from store.database import DatabaseUnavailableError
from web.bodies import BoundedRoute

_SCHEME = "bearer "


async def caller(request: Request) -> Caller:
    """The application's key of this request. 401 without a key or for an operator's, 403 for a wrong one, 429 for too
    many requests."""
    found = await _key(request)
    if found.permission == "operator":
        raise ApiError("restricted_api_key", "This API key is an operator's: it has no access to mail.")
    return found


async def full_access(request: Request) -> Caller:
    """Like `mail_access`, and for no test key: it changes nothing but test mail, and sees no customers."""
    found = await mail_access(request)
    if found.test:
        raise ApiError(
            "restricted_api_key",
            "This API key is for tests: it sends mail that is captured and reads the sandbox. Use a live key for this.",
        )
    return found


async def mail_access(request: Request) -> Caller:
    """Like `caller`, and the key must be allowed more than sending. Test keys are: whoever asks with one is shown test
    mail only."""
    found = await caller(request)
    if found.permission != "full_access":
        raise ApiError("restricted_api_key", "This API key is restricted to only send emails.")
    return found


async def operator(request: Request) -> Caller:
    """The operator's key of this request. 403 for an application's key, whatever it may do there; else as `caller`."""
    found = await _key(request)
    if found.permission != "operator":
        raise ApiError(
            "restricted_api_key",
            "This API key belongs to an application. An operator makes one for this with"
            " `postlane keys create NAME --permission operator`.",
            status=403,
        )
    return found


async def full_access_or_operator(request: Request) -> Caller:
    """Somebody who may look after what belongs to the installation and to applications alike."""
    found = await _key(request)
    return found if found.permission == OPERATOR else await full_access(request)


async def recognise(request: Request) -> None:
    """Whose key it is, where no guard asked: a path that is not there has none, and its caller will look for it in the
    log of requests. What speaks against the key changes nothing here."""
    with suppress(ApiError, DatabaseUnavailableError):
        await _key(request)


FullAccess = Annotated[Caller, Depends(full_access)]
MailAccess = Annotated[Caller, Depends(mail_access)]
Operator = Annotated[Caller, Depends(operator)]
FullAccessOrOperator = Annotated[Caller, Depends(full_access_or_operator)]

_GUARDS: Final[Mapping[str, Callable[[Request], Awaitable[Caller]]]] = {
    "full_access": full_access,
    "mail_access": mail_access,
    "operator": operator,
    "full_access_or_operator": full_access_or_operator,
}


class KeyedRoute(BoundedRoute):
    """A route of applications: a wrong key costs no reading and no parsing, and is told before any other mistake."""

    guard: ClassVar[str] = "full_access"

    def __init__(self, *arguments: Any, **options: Any) -> None:
        options["openapi_extra"] = {**(options.get("openapi_extra") or {}), GUARD: self.guard}
        super().__init__(*arguments, **options)

    async def before(self, request: Request) -> None:
        """Ask the guard, and refuse what PostgreSQL would break off over."""
        await _GUARDS[self.guard](request)
        _refuse_nul(request)


class SharedRoute(KeyedRoute):
    """A route about what belongs to the installation and to applications: operators look after it too."""

    guard = "full_access_or_operator"


def _refuse_nul(request: Request) -> None:
    """No text that is stored holds a NUL, so no parameter does."""
    if b"%00" not in request.scope["query_string"] and "\0" not in request.scope["path"]:
        return
    for name, text in (*request.path_params.items(), *request.query_params.multi_items()):
        if "\0" in text:
            raise ApiError("invalid_parameter", f"The `{name}` parameter is not valid: it holds a NUL.")


async def _key(request: Request) -> Caller:
    """Whose key it is, asked and counted once a request, whoever asks."""
    known: Caller | None = request.scope.get(CALLER)
    if known is not None:
        return known
    collaborators: Deps = deps(request)
    token = _token(request)
    found = await collaborators.directory.caller(token) or await collaborators.directory.operator(token)
    if found is None:
        raise ApiError("invalid_api_key", "The API key is not valid.")
    request.scope[CALLER] = found
    take(request, found.key_id)
    return found


def _token(request: Request) -> str:
    header = request.headers.get("authorization", "")
    token = header[7:].strip()
    if header[:7].lower() != _SCHEME or not token:
        raise ApiError("missing_api_key", "Missing API key: send it as `Authorization: Bearer <key>`.")
    return token
