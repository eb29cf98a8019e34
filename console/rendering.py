"""The edge of Jinja: a template and its values → an answer. All is escaped; a missing name is a bug.

Templates lie in the folder of their noun: `page(visit, "messages/list.html", ...)`. Every page gets the visit as `v`,
its nonce, the menu, and the filters of `console/shown`. A page may run scripts with its nonce only, and load nothing
from another host.
"""

import re
from datetime import datetime
from pathlib import Path
from typing import Final
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from fastapi import Response
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from jinja2.ext import Extension

from accounts.roles import Right
from console import assets, charts, choosing, shown
from console.cookies import SESSION
from console.frames import height_of
from console.guard import KEY_FIELD
from console.menu import menu_of
from console.visit import Visit

_INDENTS: Final = re.compile(r"\n[ \t]+")


class _WithoutIndents(Extension):
    """Templates are indented to be read; pages are not, for a part of a long list would be blanks. So no template may
    have text in `pre` whose lines begin with blanks; values may."""

    def preprocess(self, source: str, name: str | None, filename: str | None = None) -> str:
        """Called by Jinja before it reads a template."""
        return _INDENTS.sub("\n", source)


_templates: Final = Environment(
    extensions=[_WithoutIndents],
    loader=FileSystemLoader(Path(__file__).parent),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    auto_reload=False,
    cache_size=-1,
)
_templates.globals.update(
    asset=assets.url,
    Right=Right,
    KEY_FIELD=KEY_FIELD,
    charts=charts,
    choosing=choosing,
    height_of=height_of,
    query=urlencode,
)
_templates.filters.update(shown.FILTERS)
# All of them now: an upgrade puts other files here while this process goes on, and they want its next version.
for _name in _templates.list_templates(extensions=["html"]):
    _templates.get_template(_name)

BASE_POLICY: Final = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
"""Of whatever is no page."""
_POLICY: Final = (
    "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; frame-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types {trusted}"
)


def html(visit: Visit, template: str, **values: object) -> str:
    """The text of a page."""
    seen = {"v": visit, "nonce": visit.nonce, "now": visit.now, "zone": visit.zone, "menu": menu_of(visit)}
    return _templates.get_template(template).render(seen | {"said": visit.said()} | values)


def part(template: str, now: datetime, zone: ZoneInfo, **values: object) -> str:
    """A part of a page that is about nobody: no visit, no key, no nonce."""
    return _templates.get_template(template).render(now=now, zone=zone, **values)


def page(visit: Visit, template: str, status: int = 200, *, trusted: str = "htmx", **values: object) -> Response:
    """A page. `trusted`: the Trusted Types policies that its scripts may make."""
    answer = Response(html(visit, template, **values), status, media_type="text/html")
    answer.headers["content-security-policy"] = _POLICY.format(nonce=visit.nonce, trusted=trusted)
    # With `no-referrer` a browser would not say either that a form came from a page of ours.
    answer.headers["referrer-policy"] = "same-origin"
    if not visit.cookies.read(visit.request, SESSION):
        visit.cookies.write(answer, SESSION, visit.token)
    visit.heard(answer)
    return answer
