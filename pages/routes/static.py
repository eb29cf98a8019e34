"""The style sheet of the pages. Its address names its version, so that it may be kept for ever."""

from typing import Final

from fastapi import APIRouter, Response

from pages.rendering import STYLE, STYLE_PATH

router = APIRouter()

_KEPT: Final = {"cache-control": "public, max-age=31536000, immutable"}


@router.get(STYLE_PATH)
async def style() -> Response:
    """The one style sheet."""
    return Response(STYLE, headers=_KEPT, media_type="text/css")
