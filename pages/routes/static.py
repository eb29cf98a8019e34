"""Style sheet and script of the pages. Their addresses name their version, so that they may be kept for ever. The
script may stand on other sites too, beside a sign-up form there: without a version, and asked for again each hour."""

from typing import Final

from fastapi import APIRouter, Request, Response

from core.objectives import PAGE
from pages.rendering import SCRIPT, SCRIPT_PATH, STYLE, STYLE_PATH
from web.objectives import serves

router = APIRouter()

_KEPT: Final = {"cache-control": "public, max-age=31536000, immutable"}


@router.get(STYLE_PATH)
@serves(PAGE)
async def style() -> Response:
    """The one style sheet."""
    return Response(STYLE, headers=_KEPT, media_type="text/css")


@router.get(SCRIPT_PATH)
@serves(PAGE)
async def script(request: Request) -> Response:
    """What solves the puzzle of a sign-up form (`pages/work`)."""
    kept = _KEPT if "v" in request.query_params else {"cache-control": "public, max-age=3600"}
    headers = kept | {"cross-origin-resource-policy": "cross-origin"}
    return Response(SCRIPT, headers=headers, media_type="text/javascript")
