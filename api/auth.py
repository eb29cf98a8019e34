"""Who is calling, and may they: `Authorization: Bearer <API key>`, then the key's rate limit.

Routes take `caller` (any key: only the two POSTs that send) or `full_access` (everything else) as a dependency, so
that both checks come before anything else of a request is read. What a key may send *from* is for `api/intake`.
"""

from fastapi import Request

from accounts.directory import Caller
from api.deps import Deps, deps
from api.errors import ApiError
from api.limits import take

_SCHEME = "bearer "


async def caller(request: Request) -> Caller:
    """Whoever owns the key of this request. 401 without a key, 403 for a wrong one, 429 for too many requests."""
    collaborators: Deps = deps(request)
    header = request.headers.get("authorization", "")
    if header[:7].lower() != _SCHEME:
        raise ApiError("missing_api_key", "Missing API key: send it as `Authorization: Bearer <key>`.")
    found = await collaborators.directory.caller(header[7:].strip())
    if found is None:
        raise ApiError("invalid_api_key", "The API key is not valid.")
    take(request, found.key_id)
    return found


async def full_access(request: Request) -> Caller:
    """Like `caller`, and the key must be allowed more than sending."""
    found = await caller(request)
    if found.permission != "full_access":
        raise ApiError("restricted_api_key", "This API key is restricted to only send emails.")
    return found
