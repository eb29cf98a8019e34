"""The text part of a mail, from its HTML. Pure.

Made once for each version, with the placeholders in their places. Links stand behind their text, `Shop (https://…)`;
images are their `alt`; tables of a layout are read cell by cell, as a screen reader does.
"""

import re
from collections.abc import Mapping
from typing import Final

from templates.markup import VOID, names, pieces
from templates.placeholders import Hidden, hide

_SILENT: Final = names("style script title head template noscript textarea select")
_BLOCKS: Final = names(
    "p div table tr section article header footer ul ol blockquote h1 h2 h3 h4 h5 h6 pre center form dl"
)
_LINES: Final = names("li td th dt dd br option")
_SPACE: Final = re.compile(r"[ \t\r\n\f\u00ad\u034f\u200b-\u200d\u2060\ufeff]+")
_INVISIBLE: Final = re.compile(r"display\s*:\s*none|mso-hide\s*:\s*all|visibility\s*:\s*hidden", re.IGNORECASE)


def text_of_html(html: str) -> str:
    """The text of an HTML body. Raises `placeholders.UnclosedError`."""
    hidden = hide(html)
    return hidden.restored(_text(hidden)).strip() + "\n"


def _text(hidden: Hidden) -> str:
    reader = _Reader(hidden)
    reader.read()
    lines = [line.strip() for line in "".join(reader.parts).split("\n")]
    text = re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()
    # A loop or a condition that stands alone takes no lines: else each round would leave empty ones.
    return re.sub(rf"(?m)^((?:{hidden.prefix}\d+x)+)\n+", lambda found: _alone(found, hidden), text)


def _alone(found: re.Match[str], hidden: Hidden) -> str:
    only = all(placeholder.startswith("{%") for _, placeholder in hidden.words(found[1]))
    return found[1] if only else found[0]


class _Reader:
    """Gathers what is shown."""

    def __init__(self, hidden: Hidden) -> None:
        self.parts: list[str] = []
        self._hidden = hidden
        self._links: list[tuple[str, int]] = []
        self._silent: list[str] = []
        """Elements that are not shown and are still open, the outermost first."""

    def read(self) -> None:
        """Reads the whole."""
        for piece in pieces(self._hidden.text):
            if piece.kind == "text":
                self._text(piece.text)
            elif piece.kind == "comment":
                self._comment(piece.text)
            elif piece.kind == "end":
                self._end(piece.name)
            else:
                self._start(piece.name, piece.attributes)

    def _start(self, tag: str, given: Mapping[str, str]) -> None:
        unseen = tag in _SILENT or _INVISIBLE.search(given.get("style", ""))
        if self._silent or unseen:
            if tag not in VOID and (not self._silent or tag == self._silent[0]):
                self._silent.append(tag)
            return
        self._break(tag)
        if tag == "li":
            self.parts.append("- ")
        elif tag == "hr":
            self.parts.append("\n\n----\n\n")
        elif tag == "img" and given.get("alt", "").strip():
            self.parts.append(given["alt"])
        elif tag == "a":
            self._links.append((given.get("href", ""), len(self.parts)))

    def _end(self, tag: str) -> None:
        if self._silent:
            if tag == self._silent[-1]:
                self._silent.pop()
            return
        if tag == "a" and self._links:
            self._link(*self._links.pop())
        self._break(tag)

    def _text(self, data: str) -> None:
        if not self._silent:
            text = _SPACE.sub(" ", data)
            at_start = not self.parts or self.parts[-1].endswith((" ", "\n"))
            self.parts.append(text.lstrip(" ") if at_start else text)

    def _comment(self, data: str) -> None:
        """What only Outlook reads. A loop or a condition may begin in it and end in the next: `templates/mjml_tree`."""
        for number, placeholder in self._hidden.words(data):
            if placeholder.startswith("{%"):
                self.parts.append(self._hidden.word(number))

    def _link(self, href: str, start: int) -> None:
        href = href.strip()
        label = "".join(self.parts[start:]).strip()
        target = href.removeprefix("mailto:") if href.startswith("mailto:") else href
        if target and not href.startswith("#") and target != label:
            self.parts.append(f" ({target})" if label else target)

    def _break(self, tag: str) -> None:
        if tag in _BLOCKS:
            self.parts.append("\n\n" if tag not in ("table", "tr", "div") else "\n")
        elif tag in _LINES:
            self.parts.append("\n")
