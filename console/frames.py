"""What somebody wrote, as a page for a frame: it runs no script, loads nothing from elsewhere, and sends nothing."""

from typing import Final

from fastapi import Response

POLICY: Final = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; frame-ancestors 'self'; form-action 'none'; "
    "base-uri 'none'; sandbox"
)


def framed(html: str) -> Response:
    """The page."""
    return Response(
        html.encode("utf-8", "replace"),
        headers={"content-security-policy": POLICY, "x-frame-options": "SAMEORIGIN"},
        media_type="text/html",
    )
