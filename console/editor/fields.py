"""The forms of blocks: which fields each type has, what stands in them, and what a sent form says. Pure."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, Final

from core.refusal import invalid
from templates.rich import cleaned

Form = Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True)
class Field:
    """One field. `kind`: line, text, rich, code, number, choice, image, links."""

    name: str
    label: str
    kind: str = "line"
    help: str = ""
    options: Sequence[tuple[str, str]] = ()
    placeholder: str = ""
    keeps_empty: bool = False
    """"" is a value, and not the same as none."""


_ALIGN: Final = Field(
    "align",
    "Alignment",
    "choice",
    options=[("", "as usual"), ("left", "left"), ("center", "centre"), ("right", "right")],
)
_LINK: Final = Field("href", "Link", placeholder="https://shop.example/")
_COLOUR: Final = Field("color", "Text colour", placeholder="#222222")
_RICH: Final = Field("html", "Text", "rich")
_CODE: Final = Field("code", "Code", "code")

FIELDS: Final[Mapping[str, Sequence[Field]]] = {
    "heading": (
        Field("text", "Headline"),
        Field("level", "Size", "choice", options=[("1", "large"), ("2", "medium"), ("3", "small")]),
        _ALIGN,
        _COLOUR,
    ),
    "text": (_RICH, _ALIGN, Field("font_size", "Type size in pixels", "number", placeholder="16"), _COLOUR),
    "button": (
        Field("text", "Words on it"),
        _LINK,
        _ALIGN,
        Field("button_color", "Button colour", placeholder="#1a5fb4"),
        Field("color", "Text colour", placeholder="#ffffff"),
        Field("border_radius", "Corner radius in pixels", "number", placeholder="4"),
    ),
    "image": (
        Field("src", "Picture", "image"),
        Field("alt", "In words", help="For who does not see it. Empty only for mere decoration."),
        _LINK,
        Field("width", "Width in pixels", "number", placeholder="as wide as it is"),
        _ALIGN,
    ),
    "columns": (),
    "divider": (
        Field("color", "Colour", placeholder="#dddddd"),
        Field("thickness", "Thickness in pixels", "number", placeholder="1"),
    ),
    "spacer": (Field("height", "Height in pixels", "number", placeholder="20"),),
    "social": (
        Field("links", "Links", "links", help="One a line: name, address and, if you like, the address of its icon."),
        _ALIGN,
    ),
    "product": (
        Field("title", "Name"),
        Field("image", "Picture", "image"),
        Field("alt", "Picture in words"),
        Field("text", "About it", "text"),
        Field("price", "Price"),
        _LINK,
        Field("button", "Words on its button", help="Without words there is no button."),
        _ALIGN,
    ),
    "html": (Field("html", "HTML", "code", help="It stands in the mail as it is."), _ALIGN),
    "footer": (
        Field("html", "Who sends this", "rich"),
        Field(
            "unsubscribe", "Words of the unsubscribe link", keeps_empty=True,
            help="Empty: no link, as in a receipt. Marketing mail needs one.",
        ),
        _ALIGN,
        _COLOUR,
    ),
}  # fmt: skip
"""By type, in the order of the form."""

EVERY: Final = (
    Field("background_color", "Background", placeholder="#ffffff"),
    Field("show_if", "Only if", placeholder='country == "AT"', help="A condition; who does not meet it sees no block."),
    Field("repeat", "For each", placeholder="item in items", help="Once for each of a list."),
)
"""What every block may have, behind the rest."""

LOOK: Final = (
    Field("preview_text", "Preview text", help="What mail programs show behind the subject."),
    Field("width", "Width in pixels", "number", placeholder="600"),
    Field("background_color", "Colour around the mail", placeholder="#f2f2f2"),
    Field("content_color", "Colour behind the text", placeholder="#ffffff"),
    Field("text_color", "Colour of texts", placeholder="#222222"),
    Field("link_color", "Colour of links", placeholder="#1a5fb4"),
    Field("button_color", "Colour of buttons", placeholder="#1a5fb4"),
    Field("font_family", "Typeface", placeholder="Helvetica, Arial, sans-serif"),
)
"""What holds for the whole mail."""


LABELS: Final[Mapping[str, str]] = {
    field.name: field.label for fields in (LOOK, *FIELDS.values(), EVERY) for field in fields
} | {
    "text": "Words", "html": "Text", "color": "Colour", "background_color": "Background", "subject": "Subject",
    "name": "Name", "alias": "Alias", "from": "From", "reply_to": "Answers go to", "layout": "Layout",
    "tag": "Another language", "code": "Code",
}  # fmt: skip
"""What the forms call a field; where several do, what all of them mean."""
_WHERE: Final = re.compile(
    r"(settings|blocks\[(\d+)\](?:\.columns\[(\d+)\]\.blocks\[(\d+)\])?)(?:\.([a-z_]+))?.*", re.DOTALL
)


def placed(where: str) -> str:
    """A place in a document as a page calls it: `blocks[2].href` is "Link of block 3"."""
    found = _WHERE.fullmatch(where)
    if found is None:
        return where
    block, column, inner, name = found.group(2, 3, 4, 5)
    told = [LABELS.get(name, name)] if name else []
    told += [f"block {int(inner) + 1} in column {int(column) + 1}"] if inner else []
    told += [f"block {int(block) + 1}"] if block else []
    return " of ".join(told) or where


def shown(field: Field, block: Mapping[str, Any]) -> str:
    """What stands in a field."""
    value = block.get(field.name)
    if field.kind == "rich":
        return value or paragraphs(block.get("text", ""))
    if field.kind == "links":
        return "\n".join(_link_line(one) for one in value or ())
    if field.name == "unsubscribe" and value is None:
        return "Unsubscribe"
    return "" if value is None else str(value)


def kept(form: Form, name: str, known: object) -> str:
    """What somebody typed into a field, where the form says it; else what is known."""
    return form[name][0].replace("\r\n", "\n") if name in form else str(known)


def strays(form: Form, kind: str) -> dict[str, str]:
    """What somebody typed, by its label, and what stands there now has no field for: it is a block of another type,
    or, with `kind` "", code."""
    shown = (*FIELDS[kind], *EVERY) if kind else (_CODE,)
    known = {field.name for field in shown}
    every = {field.name for fields in (*FIELDS.values(), (_CODE,)) for field in fields}
    lost = {name: kept(form, name, "") for name in form if name in every and name not in known}
    return {LABELS[name]: text for name, text in lost.items() if text.strip()}


def values(fields: Sequence[Field], form: Form) -> dict[str, Any]:
    """What a form says of these fields; None takes a value away, and what it does not mention stays. Raises Refused."""
    said: dict[str, Any] = {}
    for field in fields:
        if field.name in form:
            said |= _READ.get(field.kind, _line)(field, kept(form, field.name, ""))
    return said


def paragraphs(text: str) -> str:
    """A plain text as an editor of texts holds it."""
    parts = (part.strip() for part in text.replace("\r\n", "\n").split("\n\n"))
    return "".join(f"<p>{escape(part, quote=False).replace(chr(10), '<br>')}</p>" for part in parts if part)


def _line(field: Field, given: str) -> dict[str, Any]:
    text = " ".join(given.split()) if field.name != "text" else " ".join(given.splitlines()).strip()
    return {field.name: text if text or field.keeps_empty else _nothing(field)}


def _nothing(field: Field) -> str | None:
    """Texts that a block cannot be without are empty, others are not there."""
    return "" if field.name in _NEEDED else None


_NEEDED: Final = frozenset({"text", "title", "src", "html"})


def _long(field: Field, given: str) -> dict[str, Any]:
    return {field.name: given.strip() or None}


def _code(field: Field, given: str) -> dict[str, Any]:
    return {field.name: given}


def _rich(field: Field, given: str) -> dict[str, Any]:
    made = cleaned(given).strip()
    return {field.name: made or None, "text": None if made else ""}


def _number(field: Field, given: str) -> dict[str, Any]:
    digits = given.strip()
    if digits and not (digits.isascii() and digits.isdigit() and len(digits) < 7):
        raise invalid(field.name, "it must be a whole number")
    return {field.name: int(digits) if digits else None}


def _choice(field: Field, given: str) -> dict[str, Any]:
    if given not in {value for value, _ in field.options}:
        raise invalid(field.name, "choose one of the list")
    return {field.name: int(given) if given.isdigit() else given or None}


def _links(field: Field, given: str) -> dict[str, Any]:
    return {field.name: [_link_of(line) for line in given.splitlines() if line.strip()]}


def _link_of(line: str) -> dict[str, str]:
    """`Instagram https://… https://….png`: what is no address is the name."""
    words = line.split()
    first = next((n for n, word in enumerate(words) if ":" in word or word.startswith("{{")), len(words))
    name, rest = " ".join(words[:first]), words[first:]
    found = {"name": name, "href": rest[0] if rest else ""}
    return found | ({"icon": rest[1]} if len(rest) > 1 else {})


def _link_line(link: Mapping[str, str]) -> str:
    return " ".join(part for part in (link.get("name", ""), link.get("href", ""), link.get("icon", "")) if part)


_READ: Final[Mapping[str, Callable[[Field, str], dict[str, Any]]]] = {
    "line": _line, "image": _line, "text": _long, "code": _code, "rich": _rich, "number": _number, "choice": _choice,
    "links": _links,
}  # fmt: skip
