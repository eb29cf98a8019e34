"""Who is calling, and may they: `Authorization: Bearer <API key>`, then the key's rate limit.

Routes take `caller` (any key of an application: only the two POSTs that send), `full_access` (the rest of what an
application has) or `operator` (pools, IPs, throttles, warm-up) as a dependency, so that the checks come before anything
else of a request is read. An operator's key runs the machine and sees no application's mail; an application's key, full
access included, changes nothing about the machine. What a key may send *from* is for `api/intake`.
"""

from fastapi import Request

from accounts.directory import Caller
from api.deps import Deps, deps
from api.errors import ApiError
from api.limits import take

_SCHEME = "bearer "


async def caller(request: Request) -> Caller:
    """The application's key of this request. 401 without a key or for an operator's, 403 for a wrong one, 429 for too
    many requests."""
    collaborators: Deps = deps(request)
    token = _token(request)
    found = await collaborators.directory.caller(token)
    if found is None:
        if await collaborators.directory.operator(token) is not None:
            raise ApiError("restricted_api_key", "This API key is an operator's: it has no access to mail.")
        raise _invalid()
    take(request, found.key_id)
    return found


async def full_access(request: Request) -> Caller:
    """Like `caller`, and the key must be allowed more than sending."""
    found = await caller(request)
    if found.permission != "full_access":
        raise ApiError("restricted_api_key", "This API key is restricted to only send emails.")
    return found


async def operator(request: Request) -> Caller:
    """The operator's key of this request. 403 for an application's key, whatever it may do there; else as `caller`."""
    collaborators: Deps = deps(request)
    token = _token(request)
    found = await collaborators.directory.operator(token)
    if found is None:
        if await collaborators.directory.caller(token) is not None:
            raise ApiError(
                "restricted_api_key",
                "This API key belongs to an application. An operator makes one for this with"
                " `postlane keys create NAME --permission operator`.",
                status=403,
            )
        raise _invalid()
    take(request, found.key_id)
    return found


def _token(request: Request) -> str:
    header = request.headers.get("authorization", "")
    if header[:7].lower() != _SCHEME:
        raise ApiError("missing_api_key", "Missing API key: send it as `Authorization: Bearer <key>`.")
    return header[7:].strip()


def _invalid() -> ApiError:
    return ApiError("invalid_api_key", "The API key is not valid.")
