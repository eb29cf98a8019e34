"""Pages for people: the landing page, and the API's description at `/docs`. No key, and nothing from elsewhere.

The files are beside the code in `api/pages`; they are read once. The policy header keeps a page from loading or sending
anything to another host, so a mistake in a page cannot leak a key typed into a browser.
"""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from fastapi import APIRouter, Response

router = APIRouter(include_in_schema=False)

_FOLDER: Final = Path(__file__).parent.parent / "pages"
_HEADERS: Final = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-cache",
}
_PAGES: Final = {
    "/": ("landing.html", "text/html"),
    "/docs": ("docs.html", "text/html"),
    "/docs/docs.js": ("docs.js", "text/javascript"),
    "/docs/pages.css": ("pages.css", "text/css"),
}


def _page(file: str, kind: str) -> Callable[[], Awaitable[Response]]:
    content = (_FOLDER / file).read_bytes()

    async def page() -> Response:
        return Response(content, media_type=kind, headers=_HEADERS)

    return page


for _path, (_file, _kind) in _PAGES.items():
    router.add_api_route(_path, _page(_file, _kind), methods=["GET"], response_class=Response)
