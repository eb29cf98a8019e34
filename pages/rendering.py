"""The edge of Jinja: a template and its values → an answer. All is escaped; a missing name is a bug."""

import hashlib
from pathlib import Path
from typing import Final

from fastapi import Response
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from pages.language import CATALOGUES, Catalogue

_FOLDER: Final = Path(__file__).parent
STYLE: Final = (_FOLDER / "static" / "pages.css").read_bytes()
STYLE_PATH: Final = "/static/pages.css"
SCRIPT: Final = (_FOLDER / "static" / "signup.js").read_bytes()
SCRIPT_PATH: Final = "/static/signup.js"


def _versioned(path: str, content: bytes) -> str:
    return f"{path}?v={hashlib.sha256(content).hexdigest()[:12]}"


SCRIPT_URL: Final = _versioned(SCRIPT_PATH, SCRIPT)

_templates: Final = Environment(
    loader=FileSystemLoader(_FOLDER / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_templates.globals["style"] = _versioned(STYLE_PATH, STYLE)
_templates.globals["languages"] = tuple(CATALOGUES.values())


def html(template: str, words: Catalogue, **values: object) -> str:
    """The text of a page."""
    return _templates.get_template(template).render(t=words, **values)


def page(template: str, words: Catalogue, status: int = 200, **values: object) -> Response:
    """A page in a language."""
    headers = {"content-language": words.code, "vary": "accept-language"}
    return Response(html(template, words, **values), status, headers, media_type="text/html")
