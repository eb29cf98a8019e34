"""Images of mail, by the hash of their content: `/i/HASH.png`. They may be kept for ever, by anybody.

Webmail shows them on its own pages, so they may be loaded from elsewhere. What is asked for often stays in memory: at
the start of a campaign thousands ask for the same few.
"""

from typing import Annotated, Final

from fastapi import APIRouter, Depends, Request, Response
from starlette.exceptions import HTTPException

from core.objectives import PAGE
from pages.deps import Deps, deps
from templates.images import HASH_LENGTH, PATH
from web.objectives import serves

router = APIRouter()

_HEADERS: Final = {
    "cache-control": "public, max-age=31536000, immutable",
    "cross-origin-resource-policy": "cross-origin",
    "content-security-policy": "default-src 'none'; sandbox; frame-ancestors 'none'",
    "content-disposition": "inline",
}


@router.api_route(f"{PATH}{{file}}", methods=["GET", "HEAD"])
@serves(PAGE)
async def image(file: str, request: Request, given: Annotated[Deps, Depends(deps)]) -> Response:
    """An image. 404 for what is not there, also under another ending."""
    digest, _, ending = file.partition(".")
    well_formed = len(digest) == HASH_LENGTH and digest.isascii() and digest.isalnum()
    found = await given.images.get(digest) if well_formed else None
    if found is None or found[0].ending != ending:
        raise HTTPException(404)
    headers = _HEADERS | {"etag": f'"{digest}"'}
    if request.headers.get("if-none-match") == headers["etag"]:
        return Response(status_code=304, headers=headers)
    return Response(found[1], headers=headers, media_type=found[0].media_type)
