"""The edge of MRML and css-inline: a checked tree → HTML with its styles in its elements, as mail programs want it.

Both are Rust and end the process when they are handed something deep; `templates/markup` looks at all HTML before.
Neither fetches anything: no fonts, no style sheets, no inclusions. They are imported when the first template is built,
since servers and workers start without them (50 ms).
"""

import re
from functools import cache
from typing import TYPE_CHECKING, Final

from templates.faults import Fault, SourceError, wrong
from templates.markup import TOKEN, objection
from templates.mjml_rules import faults
from templates.mjml_tree import Element, parse, written
from templates.placeholders import Hidden

if TYPE_CHECKING:
    from css_inline import CSSInliner

MAX_HTML: Final = 1024 * 1024
"""Characters of what comes out."""
_AS_TEXT: Final = frozenset(("mj-style", "mj-title", "mj-preview"))
_POSITION: Final = re.compile(r" in root template.*", re.DOTALL)
_VALUE: Final = re.compile(r"=\s*(?:\"[^\"]*\"|'[^']*'|[^\s\"'>]+)")


def html_of(hidden: Hidden) -> str:
    """The HTML of an MJML document whose placeholders are hidden. Raises SourceError."""
    root = parse(hidden)
    if found := faults(root, hidden):
        raise SourceError(found)
    contents: list[str] = []

    def kept(element: Element) -> str:
        if not element.content:
            return ""
        contents.append(_content(element, hidden))
        return f"{hidden.prefix}c{len(contents) - 1}x"

    made = _rendered(written(root, kept))
    made = re.sub(rf"{hidden.prefix}c(\d+)x", lambda word: contents[int(word[1])], made)
    return _inlined(made, hidden, _expected(root, hidden))


def _content(element: Element, hidden: Hidden) -> str:
    html = element.content or ""
    if element.name in _AS_TEXT:
        return html
    if refused := objection(html):
        raise wrong(f"<{element.name}>: {refused[0]}", element.line + html.count("\n", 0, refused[1]))
    for tag in TOKEN.finditer(html):
        if tag["name"] and any(hidden.words(_VALUE.sub("", tag[0]))):
            line = element.line + html.count("\n", 0, tag.start())
            raise wrong('a placeholder in a tag must be in the value of an attribute, `class="{{ … }}"`', line)
    if element.name == "mj-table" and "<tbody" not in html.lower():
        html = f"<tbody>{html}</tbody>"  # else the parser writes one behind the opening of a loop over rows
    return hidden.in_html(html)


def _expected(root: Element, hidden: Hidden) -> set[int]:
    """Numbers of the placeholders that must come out: those of defaults may be used by no element."""
    unused: set[int] = set()
    for head in root.elements():
        for child in head.elements():
            if child.name == "mj-attributes":
                unused |= {number for number, _ in hidden.words(written(child, lambda one: one.content or ""))}
    return set(range(len(hidden.originals))) - unused


def _rendered(source: str) -> str:
    from mjml import mjml2html

    try:
        return mjml2html(source, fonts={}, disable_comments=False)
    except ValueError as error:  # what our own rules let through
        raise wrong(f"it is no MJML: {_POSITION.sub('', str(error))}") from None


def _inlined(html: str, hidden: Hidden, expected: set[int]) -> str:
    if len(html) > MAX_HTML:
        raise wrong(f"its HTML has more than {MAX_HTML} characters")
    if refused := objection(html):
        raise wrong(refused[0])
    from css_inline import InlineError

    try:
        made = _inliner().inline(html)
    except InlineError as error:
        hint = "in `style` a placeholder must be a value, `color:{{ … }}`"
        raise wrong(f"its styles cannot be read ({error}); {hint}") from None
    lost = expected.intersection(hidden.lost(made))
    if lost:
        raise SourceError([Fault(hidden.line_of(n), f"{hidden.originals[n]} has no effect here") for n in lost])
    return made


@cache
def _inliner() -> "CSSInliner":
    from css_inline import CSSInliner

    # What cannot stand in an element, such as :hover and @media, stays in the head.
    return CSSInliner(
        keep_style_tags=True, remove_inlined_selectors=True, keep_at_rules=True, load_remote_stylesheets=False
    )
