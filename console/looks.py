"""A page with a frame in which the public pages show something as its readers would see it."""

import re
from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

from fastapi import Response

from console.rendering import page
from console.visit import Visit
from web.previews import PreviewSeal, What, preview

_HOST: Final = re.compile(r"[A-Za-z0-9.:\[\]-]{1,300}")
_POLICY: Final = "content-security-policy"


def framed_look(
    visit: Visit, what: What, identifier: UUID, application_id: UUID, template: str, values: Mapping[str, Any]
) -> Response:
    """The page; `look` is the address for its frame, "" where there are no public pages. `?lang=` is handed on."""
    public = visit.given.settings.public_url
    one = preview(what, identifier, application_id, _own_origin(visit), visit.now) if public else None
    look = f"{public}{PreviewSeal(visit.given.secret).address(one)}" if one else ""
    language = visit.asked("lang", 2)
    answer = page(visit, template, look=f"{look}?lang={language}" if look and language.isalpha() else look, **values)
    if look:
        allowed = answer.headers[_POLICY].replace("frame-src 'self'", f"frame-src 'self' {public}")
        answer.headers[_POLICY] = allowed
    return answer


def _own_origin(visit: Visit) -> str:
    """Of this page, as its browser knows it; "" where that cannot be said."""
    own = visit.given.settings.console_url
    host = visit.request.headers.get("host", "")
    return own or (f"http://{host}" if _HOST.fullmatch(host) else "")
