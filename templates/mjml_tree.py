"""MJML → a tree with line numbers, and the tree → MJML that MRML reads. Pure.

MRML names at best a position, and reads HTML inside `mj-text` as strictly as its own elements. So sources are read
here: what holds HTML is taken as it stands, up to its closing tag, and reaches MRML as one word.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from templates.faults import Fault, SourceError, wrong
from templates.markup import names
from templates.placeholders import Hidden

CONTENT: Final = names(
    "mj-text mj-button mj-raw mj-table mj-style mj-title mj-preview mj-navbar-link mj-social-element "
    "mj-accordion-title mj-accordion-text"
)
"""Elements that hold HTML, or text."""
_MAX_DEPTH: Final = 20
_MAX_TAGS: Final = 10_000
# Each part takes what it begins to its end, or to the end of the text, so that no input is looked at twice.
_TOKEN: Final = re.compile(
    r"<!--(?:[^-]++|-(?!->))*+(?:-->|\Z)"
    r"|<\?[^>]*+(?:>|\Z)"
    r"|<(?P<end>/?)(?P<name>[A-Za-z][\w.:-]*+)(?P<rest>(?:\"[^\"]*+(?:\"|\Z)|'[^']*+(?:'|\Z)|[^<>\"'])*+)(?:>|\Z)"
)
_ATTRIBUTE: Final = re.compile(r"\s*+([\w.:-]++)(?:\s*+=\s*+(?:\"([^\"]*+)\"|'([^']*+)'))?+")
_BARE: Final = re.compile(r"&(?!#?\w{1,30};)")


@dataclass(slots=True)
class Element:
    """An element. `children` are elements and, between them, words of placeholders."""

    name: str
    attributes: dict[str, str] = field(default_factory=dict)
    children: "list[Element | str]" = field(default_factory=list)
    content: str | None = None
    """HTML or text of one that holds it."""
    line: int = 0

    def elements(self) -> "list[Element]":
        """The children that are elements."""
        return [child for child in self.children if isinstance(child, Element)]


def written(element: Element, content: Callable[[Element], str]) -> str:
    """The element as MJML. `content` gives the word to write for a content, so that MRML does not read it."""
    attributes = "".join(f' {name}="{_escaped(value)}"' for name, value in element.attributes.items())
    if element.content is not None:
        inside = content(element)
    else:
        raw = element.name == "mj-wrapper"  # Outlook's part of it is one comment, and those cannot be nested
        inside = "".join(
            written(child, content)
            if isinstance(child, Element)
            else (f"<mj-raw>{child}</mj-raw>" if raw else f"<!--{child}-->")
            for child in element.children
        )
    return f"<{element.name}{attributes}>{inside}</{element.name}>"


def _escaped(value: str) -> str:
    return _BARE.sub("&amp;", value).replace('"', "&quot;").replace("<", "&lt;")


def parse(hidden: Hidden) -> Element:
    """The root of a source whose placeholders are hidden. Raises SourceError with all that is wrong in its form."""
    return _Parser(hidden).root()


class _Parser:
    def __init__(self, hidden: Hidden) -> None:
        self._hidden = hidden
        self._text = hidden.text
        self._faults: list[Fault] = []
        self._tags = 0
        self._word = re.compile(rf"{hidden.prefix}\d++x")

    def root(self) -> Element:
        top = Element("")
        self._fill(top)
        roots = top.elements()
        if not self._faults and ([root.name for root in roots] != ["mjml"] or len(top.children) > 1):
            raise wrong("a document is one <mjml> element", roots[0].line if roots else 1)
        if self._faults:
            raise SourceError(self._faults)
        return roots[0]

    def _fill(self, top: Element) -> None:
        open_elements, at = [top], 0
        while True:
            token = _TOKEN.search(self._text, at)
            self._between(open_elements[-1], at, token.start() if token else len(self._text))
            if token is None:
                break
            at = token.end()
            self._tags += 1
            if self._tags > _MAX_TAGS:
                raise wrong(f"the document has more than {_MAX_TAGS} tags")
            if token["name"] and token["end"]:
                self._close(token, open_elements)
            elif token["name"]:
                at = self._open(token, open_elements)
        for element in open_elements[1:]:
            self._fault(element.line, f"<{element.name}> is not closed")

    def _between(self, parent: Element, start: int, end: int) -> None:
        text = self._text[start:end]
        rest = self._word.sub("", text)
        if rest.strip():
            line = self._hidden.line(start + len(text) - len(text.lstrip()))
            what = "`<` that begins no tag" if "<" in rest else "text outside of an element that shows text"
            self._fault(line, f"{what}: {rest.strip()[:40]!r}; write texts into <mj-text>")
        parent.children += self._word.findall(text)

    def _open(self, token: re.Match[str], open_elements: list[Element]) -> int:
        """Takes an opening tag in, and returns where to read on."""
        rest, line = token["rest"], self._hidden.line(token.start())
        if not token[0].endswith(">"):
            raise wrong(f"the tag <{token['name']}> does not end", line)
        closed = rest.endswith("/")
        element = Element(token["name"], self._attributes(rest.removesuffix("/"), line, token["name"]), line=line)
        open_elements[-1].children.append(element)
        if element.name in CONTENT:
            element.content = ""
            return token.end() if closed else self._content(element, token.end())
        if not closed:
            open_elements.append(element)
        if len(open_elements) > _MAX_DEPTH:
            raise wrong(f"elements are nested deeper than {_MAX_DEPTH} levels", line)
        return token.end()

    def _content(self, element: Element, start: int) -> int:
        end = re.compile(rf"</{re.escape(element.name)}\s*+>").search(self._text, start)
        if end is None:
            raise SourceError([*self._faults, Fault(element.line, f"<{element.name}> is not closed")])
        element.content = self._text[start : end.start()]
        return end.end()

    def _close(self, token: re.Match[str], open_elements: list[Element]) -> None:
        name, line = token["name"], self._hidden.line(token.start())
        if open_elements[-1].name == name:
            open_elements.pop()
        elif name in [element.name for element in open_elements]:
            while open_elements[-1].name != name:
                inner = open_elements.pop()
                self._fault(inner.line, f"<{inner.name}> is not closed before </{name}> in line {line}")
            open_elements.pop()
        else:
            self._fault(line, f"</{name}> closes nothing")

    def _attributes(self, rest: str, line: int, name: str) -> dict[str, str]:
        found: dict[str, str] = {}
        at = 0
        while attribute := _ATTRIBUTE.match(rest, at):
            at = attribute.end()
            key, value = attribute[1], attribute[2] if attribute[2] is not None else attribute[3]
            if value is None:
                self._fault(line, f"<{name}>: the attribute `{key}` needs a value in quotation marks")
            elif key in found:
                self._fault(line, f"<{name}>: the attribute `{key}` stands twice")
            found[key] = value or ""
        if rest[at:].strip():
            self._fault(line, f"<{name}>: {rest[at:].strip()[:40]!r} is no attribute")
        return found

    def _fault(self, line: int, reason: str) -> None:
        self._faults.append(Fault(line, reason))
