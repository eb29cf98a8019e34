"""Whether HTML may be handed to the libraries that read it. Pure.

css-inline and MRML are Rust, and read whatever they are given: 20,000 nested elements end the process with their stack,
and 40 KB of unclosed `<font>` become 50 MB, since each paragraph opens them all again (WHATWG HTML, 13.2.4.3). So tags
are counted here first, as generously as a mail needs.
"""

import re
from typing import Final

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
    | <(?P<raw>(?i:{RAW}))(?=[\s/>]){_INSIDE}(?P<text>[^<]*+(?:<(?!/(?i:{RAW})[\s/>])[^<]*+)*+)
    | <(?P<end>/?)(?P<name>[A-Za-z][^\s/>]*+){_INSIDE}
    """,
    re.VERBOSE,
)
"""Comments, elements of raw text with their text, tags: as browsers read them (WHATWG HTML, 13.2.5)."""


def names(text: str) -> frozenset[str]:
    """Names of elements, written with blanks between."""
    return frozenset(text.split())


VOID: Final = names("area base br col embed hr img input link meta param source track wbr")
_CLOSE_THEMSELVES: Final = names("p li dt dd option tr td th tbody thead tfoot")
_FOREIGN: Final = frozenset(("svg", "math"))
"""Other rules hold in them, and no mail program shows them."""
_INSIDE_RAW: Final = re.compile("<[A-Za-z]")
_FORMATTING: Final = names("a b big code em font i nobr s small strike strong tt u")


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
