"""HTML as far as it is read here, and whether it may be handed to the libraries that read it. Pure.

`pieces` takes time in proportion to the text, whatever stands in it: 16 KB of `<a ` take the parser of Python's library
three seconds, and eight times that sixty-four times as long.

css-inline and MRML are Rust, and read whatever they are given: 20,000 nested elements end the process with their stack,
and 40 KB of unclosed `<font>` become 50 MB, since each paragraph opens them all again (WHATWG HTML, 13.2.4.3). So tags
are counted here first, as generously as a mail needs.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from html import unescape
from typing import Final, Literal

MAX_DEPTH: Final = 100
MAX_OPEN: Final = 20
"""Elements of formatting that are never closed."""
MAX_ELEMENTS: Final = 20_000
MAX_STYLES: Final = 32 * 1024
"""Characters of style sheets: each rule is tried on each element."""

RAW: Final = "style|script|title|textarea|xmp|iframe|noembed|noframes"
"""Elements that hold text only, whatever it looks like."""

_INSIDE: Final = r"""[^>=]*+(?:=\s*+(?:"[^"]*+"|'[^']*+'|[^\s"'>][^\s>]*+)?+[^>=]*+)*+(?:>|\Z)"""
"""The rest of a tag. A quotation mark counts only behind an equals sign."""

TOKEN: Final = re.compile(
    rf"""
      <!--(?:-?>|[^-]*+(?:-(?!-!?>)[^-]*+)*+(?:--!?>|\Z))
    | <[!?][^>]*+(?:>|\Z)                                   # what is no comment counts as one
    | <(?P<raw>(?i:{RAW}))(?=[\s/>]){_INSIDE}(?P<text>[^<]*+(?:<(?!/(?i:{RAW})[\s/>])[^<]*+)*+)
    | <(?P<end>/?)(?P<name>[A-Za-z][^\s/>]*+){_INSIDE}
    """,
    re.VERBOSE,
)
"""Comments, elements of raw text with their text, tags: as browsers read them (WHATWG HTML, 13.2.5)."""

_ATTRIBUTE: Final = re.compile(r"""([^\s"'>/=][^\s>/=]*+)(?:\s*+=\s*+(?:"([^"]*+)"|'([^']*+)'|([^\s"'>][^\s>]*+)))?+""")
_REFERENCE: Final = re.compile(r"&(?:#[0-9]{1,7};?|#[xX][0-9a-fA-F]{1,6};?|[a-zA-Z][a-zA-Z0-9]{1,31};?)")


def names(text: str) -> frozenset[str]:
    """Names of elements, written with blanks between."""
    return frozenset(text.split())


VOID: Final = names("area base br col embed hr img input link meta param source track wbr")
_CLOSE_THEMSELVES: Final = names("p li dt dd option tr td th tbody thead tfoot")
_FOREIGN: Final = frozenset(("svg", "math"))
"""Other rules hold in them, and no mail program shows them."""
_INSIDE_RAW: Final = re.compile("<[A-Za-z]")
_FORMATTING: Final = names("a b big code em font i nobr s small strike strong tt u")


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of HTML: a text with its references resolved, a tag with its attributes, or a comment."""

    kind: Literal["text", "start", "end", "comment"]
    text: str = ""
    name: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)


def pieces(html: str) -> Iterator[Piece]:
    """The parts of HTML in their order. What stands in elements of raw text is left out."""
    done = 0
    for token in TOKEN.finditer(html):
        if token.start() > done:
            yield Piece("text", _plain(html[done : token.start()]))
        done = token.end()
        name = (token["name"] or token["raw"] or "").lower()
        if not name:
            yield Piece("comment", token[0])
        elif token["end"]:
            yield Piece("end", name=name)
        else:
            inside = token.start(2) + len(name) if token["raw"] else token.end("name")
            yield Piece("start", name=name, attributes=_attributes(html, inside, token))
    if done < len(html):
        yield Piece("text", _plain(html[done:]))


def _attributes(html: str, start: int, token: re.Match[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    stop = token.start("text") if token["raw"] else token.end()
    for attribute in _ATTRIBUTE.finditer(html, start, stop - 1):
        value = attribute[attribute.lastindex] if attribute.lastindex and attribute.lastindex > 1 else ""
        found.setdefault(attribute[1].lower(), _plain(value))
    return found


def _plain(text: str) -> str:
    return _REFERENCE.sub(lambda found: unescape(found[0]), text) if "&" in text else text


def objection(html: str) -> tuple[str, int] | None:
    """Why libraries must not read this, and at which position; None when they may."""
    open_elements: list[str] = []
    formatting: dict[str, int] = {}
    elements = styles = 0
    for tag in TOKEN.finditer(html):
        name = (tag["name"] or tag["raw"] or "").lower()
        elements += bool(name)
        if elements > MAX_ELEMENTS:
            return f"it has more than {MAX_ELEMENTS} elements", tag.start()
        if name in _FOREIGN:
            return f"<{name}> is shown by no mail program: use an image", tag.start()
        if tag["raw"]:
            styles += len(tag["text"])
            if styles > MAX_STYLES or _INSIDE_RAW.search(tag["text"]):
                return f"<{name}> holds a tag, or it is longer than {MAX_STYLES} characters", tag.start()
        elif tag["end"]:
            _close(name, open_elements, formatting)
        elif name and name not in VOID:
            _open(name, open_elements, formatting)
        if len(open_elements) > MAX_DEPTH or sum(formatting.values()) > MAX_DEPTH:
            return f"its elements are nested deeper than {MAX_DEPTH} levels, or not closed", tag.start()
    if sum(formatting.values()) > MAX_OPEN:
        return f"more than {MAX_OPEN} elements such as <b> and <font> are not closed", 0
    return None


def _open(name: str, open_elements: list[str], formatting: dict[str, int]) -> None:
    if name in _FORMATTING:
        formatting[name] = formatting.get(name, 0) + 1
    if name not in _CLOSE_THEMSELVES:
        open_elements.append(name)


def _close(name: str, open_elements: list[str], formatting: dict[str, int]) -> None:
    if formatting.get(name):
        formatting[name] -= 1
    if name in open_elements:
        while open_elements.pop() != name:
            pass
