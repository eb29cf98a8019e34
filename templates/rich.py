"""The edge of nh3: HTML that somebody typed or pasted → what a text of a mail may hold. Pure.

Scripts, handlers, frames, forms and addresses that run something are gone; placeholders stay, as texts and within the
values of attributes.
"""

from html import escape
from typing import Final

import nh3

from templates.markup import names, pieces
from templates.placeholders import UnclosedError, hide

SIMPLE: Final = names("a b blockquote br div em h1 h2 h3 i li ol p s span strong sub sup u ul")
"""Elements that an editor of texts keeps as they are."""
_TAGS: Final = SIMPLE | names(
    "abbr big caption center code col colgroup font hr img ins del pre small table tbody td tfoot th thead tr"
)
_ATTRIBUTES: Final = {
    "*": {"align", "class", "dir", "lang", "style", "title"},
    "a": {"href", "target"},
    "font": {"color", "face", "size"},
    "img": {"alt", "border", "height", "src", "width"},
    "table": {"bgcolor", "border", "cellpadding", "cellspacing", "role", "width"},
    "td": {"bgcolor", "colspan", "height", "rowspan", "valign", "width"},
    "th": {"bgcolor", "colspan", "height", "rowspan", "valign", "width"},
    "tr": {"bgcolor", "valign"},
}
_STYLES: Final = names(
    "background-color border border-radius color display font-family font-size font-style font-weight letter-spacing"
    " line-height margin margin-bottom margin-top padding text-align text-decoration vertical-align width"
)
_SCHEMES: Final = {"http", "https", "mailto", "tel", "sms", "cid"}


def cleaned(html: str) -> str:
    """What may stay of it. A placeholder that is not closed stays, for whoever builds it to say."""
    try:
        hidden = hide(html)
    except UnclosedError:
        return _clean(html)
    made = _clean(hidden.text)
    for number, placeholder in enumerate(hidden.originals):
        made = made.replace(hidden.word(number), escape(placeholder))
    return made


def simple(html: str) -> bool:
    """Whether it holds nothing that an editor of texts would lose: else its HTML is edited."""
    try:
        text = hide(html).text
    except UnclosedError:
        return False
    parts = [piece for piece in pieces(text) if piece.kind != "text"]
    return all(
        piece.kind in ("start", "end") and piece.name in SIMPLE and set(piece.attributes) <= {"href"} for piece in parts
    )


def _clean(html: str) -> str:
    return nh3.clean(
        html, tags=set(_TAGS), attributes=_ATTRIBUTES, url_schemes=_SCHEMES, link_rel=None,
        filter_style_properties=set(_STYLES),
    )  # fmt: skip
