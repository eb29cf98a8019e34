"""What somebody wrote, as a page for a frame: it runs no script, loads nothing from elsewhere, and sends nothing."""

from typing import Final

from fastapi import Response

POLICY: Final = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; frame-ancestors 'self'; form-action 'none'; "
    "base-uri 'none'; sandbox"
)


def framed(html: str, pictures: str = "") -> Response:
    """The page. `pictures`: below this address it may load them; they are ours, and tell nobody who looks."""
    policy = POLICY.replace("img-src data:", f"img-src data: {pictures}") if pictures else POLICY
    return Response(
        html.encode("utf-8", "replace"),
        headers={"content-security-policy": policy, "x-frame-options": "SAMEORIGIN"},
        media_type="text/html",
    )
