"""What the editor says of blocks and changes, in words. Pure."""

import re
from collections.abc import Mapping, Sequence
from html import unescape
from typing import Any, Final
from uuid import UUID

from console.shown import plural

NAMES: Final[Mapping[str, str]] = {
    "heading": "Headline", "text": "Text", "button": "Button", "image": "Picture", "columns": "Columns",
    "divider": "Line", "spacer": "Space", "social": "Social links", "product": "Product", "html": "HTML",
    "footer": "Footer",
}  # fmt: skip
"""Types of blocks as people call them, in the order in which they are offered."""

OPTIONS: Final[Sequence[tuple[str, str]]] = list(NAMES.items())
_TAG: Final = re.compile(r"<[^>]*>")
_MOST: Final = 60


def named(block: Mapping[str, Any]) -> str:
    """A type in words."""
    return NAMES.get(str(block.get("type")), "Block")


def excerpt(block: Mapping[str, Any]) -> str:
    """What tells a block from others of its type."""
    match block.get("type"):
        case "image":
            return _short(block.get("alt") or ("not described yet" if block.get("src") else "none chosen yet"))
        case "columns":
            return plural(len(block.get("columns", ())), "column")
        case "spacer":
            return f"{block.get('height', 20)} pixels"
        case "social":
            return _short(", ".join(str(one.get("name", "")) for one in block.get("links", ())))
        case "product":
            return _short(block.get("title", ""))
        case _:
            return _short(block.get("text") or block.get("html") or "")


def conditions(block: Mapping[str, Any]) -> str:
    """When it is there, and how often; "" for always."""
    told = [f"if {block['show_if']}"] if block.get("show_if") else []
    told += [f"for each {block['repeat']}"] if block.get("repeat") else []
    return ", ".join(told)


def step(what: str, who: UUID | None, me: UUID) -> str:
    """A change that can be taken back or made again."""
    return f"{what}, by somebody else" if what and who not in (None, me) else what


def _short(text: object) -> str:
    plain = " ".join(unescape(_TAG.sub(" ", str(text))).split())
    return plain if len(plain) <= _MOST else f"{plain[: _MOST - 1].rstrip()}…"
