"""What somebody wrote, as a page for a frame: it runs no script, loads nothing from elsewhere, and sends nothing."""

import contextlib
import re
from collections import Counter
from html.parser import HTMLParser
from math import ceil
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


_WIDE: Final = 560
"""Pixels of text in a mail, about."""
_LETTER: Final = 0.5
"""Width of a letter as a part of its size."""
_LINE: Final = 1.45
_SIZE: Final = 16
_EMPTY: Final = 64
_READ: Final = 40_000
"""Characters that are looked at: some 20 ms, and higher than any frame."""
_LEAST: Final = 160
_MOST: Final = 2_400
_PIXELS: Final = re.compile(r"([0-9]{1,4}(?:\.[0-9]{1,4})?)px")
_WHOLE: Final = re.compile(r"[0-9]{1,4}")
_STYLE: Final = re.compile(r"(?:^|;)\s*([a-z-]+)\s*:\s*([^;]*)")
_UNSEEN: Final = frozenset({"head", "style", "script", "title", "template"})
_BREAKS: Final = frozenset({"p", "div", "td", "tr", "table", "h1", "h2", "h3", "li", "ul", "ol", "br", "blockquote"})
_VOID: Final = frozenset({"area", "base", "br", "col", "hr", "img", "input", "link", "meta", "source", "wbr"})


def height_of(html: str) -> int:
    """How high the page is in a frame, about, in pixels: a frame without scripts cannot be asked. Pure."""
    found = _Height()
    with contextlib.suppress(AssertionError):  # what the parser says to a declaration it does not know
        found.feed(html[:_READ])
        found.close()
    return min(_MOST, max(_LEAST, found.ended()))


class _Height(HTMLParser):
    """Lines of text, and what styles say around them. Columns are counted as if they stood below each other."""

    def __init__(self) -> None:
        super().__init__()
        self._total = float(_EMPTY)
        self._letters = 0
        self._sizes = [float(_SIZE)]
        self._open: list[tuple[str, bool]] = []
        """Tags, and whether nothing within is seen."""
        self._names = Counter[str]()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Another element: what stood before is a line of its own where this begins one."""
        given = {name: value or "" for name, value in attrs}
        style = dict(_STYLE.findall(given.get("style", "").lower()))
        hidden = (
            tag in _UNSEEN or style.get("display", "").strip() == "none" or (bool(self._open) and self._open[-1][1])
        )
        if tag in _BREAKS:
            self._line()
        if not hidden:
            self._total += _around(style)
            self._total += float(given["height"]) if tag == "img" and _WHOLE.fullmatch(given.get("height", "")) else 0
        if tag not in _VOID:
            self._open.append((tag, hidden))
            self._names[tag] += 1
            sizes = _PIXELS.match(style.get("font-size", "").strip())
            self._sizes.append(float(sizes[1]) if sizes and float(sizes[1]) > 0 else self._sizes[-1])

    def handle_endtag(self, tag: str) -> None:
        """It ends, and whatever was left open within it."""
        if tag in _BREAKS:
            self._line()
        while self._names[tag]:
            self._sizes.pop()
            name, _ = self._open.pop()
            self._names[name] -= 1
            if name == tag:
                break

    def handle_data(self, data: str) -> None:
        """Text that is seen."""
        if not (self._open and self._open[-1][1]):
            self._letters += len(" ".join(data.split()))

    def ended(self) -> int:
        """All of it."""
        self._line()
        return ceil(self._total)

    def _line(self) -> None:
        size = self._sizes[-1]
        self._total += ceil(self._letters * size * _LETTER / _WIDE) * size * _LINE
        self._letters = 0


def _around(style: dict[str, str]) -> float:
    """Pixels above and below that a style asks for."""
    found = 0.0
    for name in ("padding", "margin"):
        sides = style.get(name, "").split()
        both = [sides[0], sides[2 if len(sides) > 2 else 0]] if sides else []
        both += [style.get(f"{name}-{side}", "").strip() for side in ("top", "bottom")]
        found += sum(float(one[1]) for one in map(_PIXELS.match, both) if one)
    return found
