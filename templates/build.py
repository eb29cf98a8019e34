"""Source of a template → what is rendered for each person: HTML and text, compiled once for each version. Pure.

Three kinds of source: `html` stays as it is, byte for byte; `mjml` and `blocks` become HTML that mail programs show
alike. A layout is a source with the line `{{ content }}`, into which that of the template goes before anything is made
of it: HTML into HTML, MJML and blocks into MJML. Text that nobody gave is made from the HTML.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

import orjson

from templates.block_mjml import sections, whole
from templates.blocks import read_document
from templates.faults import Fault, SourceError, wrong
from templates.limits import MAX_SOURCE
from templates.mjml import html_of
from templates.placeholders import UnclosedError, hide
from templates.plain import text_of_html
from templates.render import Compiled, RenderError, compile_line, compile_text

CONTENT: Final = re.compile(r"\{\{\{?\s*content\s*\}?\}\}")
"""Where the content goes in a layout."""


class Kind(StrEnum):
    """What a source is written in. The values are stored."""

    HTML = "html"
    MJML = "mjml"
    BLOCKS = "blocks"


@dataclass(frozen=True, slots=True)
class Source:
    """What somebody wrote. A document of blocks is its JSON."""

    kind: Kind
    body: str
    subject: str = ""
    text: str | None = None
    """None: made from the HTML."""


@dataclass(frozen=True, slots=True)
class Built:
    """What a source became, to be stored."""

    subject: str
    html: str
    text: str


@dataclass(frozen=True, slots=True)
class Content:
    """The same, ready to be rendered."""

    subject: Compiled
    html: Compiled
    text: Compiled

    @property
    def variables(self) -> frozenset[str]:
        """Paths that any part uses."""
        return self.subject.variables | self.html.variables | self.text.variables

    @property
    def quick(self) -> bool:
        """Whether it may be rendered where others wait."""
        return self.subject.quick and self.html.quick and self.text.quick

    @property
    def required(self) -> frozenset[str]:
        """Those that must have a value."""
        return self.subject.required | self.html.required | self.text.required


def build(source: Source, layouts: Sequence[Source] = ()) -> Built:
    """The HTML and the text of a source in its layouts, the innermost first. Raises SourceError with all that is wrong
    and its lines."""
    for one in (source, *layouts):
        if len(one.body) > MAX_SOURCE:
            raise wrong(f"it has more than {MAX_SOURCE} characters")
    html = _within(source, layouts) if layouts else _html(source)
    built = Built(source.subject, html, source.text if source.text is not None else _text(html))
    compiled(built)  # what cannot be compiled is told now, not when mail waits for it
    return built


def compiled(built: Built) -> Content:
    """A built template ready to be rendered. Raises SourceError."""
    return Content(
        _part("subject", built.subject, line=True), _part("html", built.html), _part("text", built.text)
    )  # fmt: skip


def _part(name: str, source: str, *, line: bool = False) -> Compiled:
    try:
        return compile_line(source) if line else compile_text(source, html=name == "html")
    except RenderError as error:
        where = name if not error.line else f"{name}, line {error.line}"
        raise SourceError([Fault(error.line, error.reason, where)]) from None


def _html(source: Source) -> str:
    if source.kind is Kind.HTML:
        return source.body
    if source.kind is Kind.MJML:
        return _from_mjml(source.body)
    return _from_blocks(source)


def _within(source: Source, layouts: Sequence[Source]) -> str:
    """The content in its layouts."""
    is_html = source.kind is Kind.HTML
    inside = source.body if is_html else _sections(source)
    for layout in layouts:
        if (layout.kind is Kind.HTML) != is_html:
            raise wrong(f"a layout of {layout.kind} cannot hold {source.kind}: HTML goes into HTML, the rest into MJML")
        around = layout.body if layout.kind is not Kind.BLOCKS else _blocks_whole(layout.body)
        places = len(CONTENT.findall(around))
        if places != 1:
            raise wrong(f"the layout must have one {{{{ content }}}}, and has {places}")
        whole_text = CONTENT.sub(lambda _, inside=inside: inside, around)  # type: ignore[misc]
        inside = whole_text if is_html else _inner(whole_text)
    return inside if is_html else _from_mjml(whole_text)


def _sections(source: Source) -> str:
    return "\n".join(_blocks(source.body)) if source.kind is Kind.BLOCKS else _inner(source.body)


def _inner(mjml: str) -> str:
    """The sections of an MJML source: those in its body, or all of it."""
    start, end = mjml.find(">", max(0, mjml.find("<mj-body"))), mjml.rfind("</mj-body>")
    return mjml[start + 1 : end] if "<mj-body" in mjml and 0 <= start < end else mjml


def _from_mjml(body: str) -> str:
    try:
        hidden = hide(body)
    except UnclosedError as error:
        raise wrong(str(error), error.line) from None
    _part_of_source(hidden.restored(hidden.text))
    return hidden.restored(html_of(hidden))


def _part_of_source(text: str) -> None:
    """Says what is wrong with the placeholders while lines are still those of the source."""
    try:
        compile_text(text, html=True)
    except RenderError as error:
        raise wrong(error.reason, error.line) from None


def _from_blocks(source: Source) -> str:
    document = read_document(_json(source.body))
    parts = sections(document)
    try:
        return _from_mjml(whole(document, "\n".join(parts)))
    except SourceError as error:
        raise SourceError([_named(fault, parts) for fault in error.faults]) from None


def _blocks(body: str) -> list[str]:
    return sections(read_document(_json(body)))


def _blocks_whole(body: str) -> str:
    """A layout of blocks: the text block that holds `{{ content }}` alone is where the content goes."""
    document = read_document(_json(body))
    parts = sections(document)
    at = [n for n, block in enumerate(document.blocks) if CONTENT.fullmatch(getattr(block, "text", "").strip())]
    return whole(document, "\n".join("{{ content }}" if n in at else part for n, part in enumerate(parts)))


def _json(body: str) -> object:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise wrong(f"the document of blocks is not valid JSON: {error}") from None


def _named(fault: Fault, parts: list[str]) -> Fault:
    """A fault by the block it is in: the MJML of blocks is nothing that anybody wrote."""
    line = 2  # the first block stands behind the line of the document's head
    for number, part in enumerate(parts):
        line += part.count("\n") + 1
        if 2 <= fault.line < line:
            return replace(fault, line=0, where=f"blocks[{number}]")
    return replace(fault, line=0)


def _text(html: str) -> str:
    try:
        return text_of_html(html)
    except UnclosedError as error:
        raise wrong(str(error), error.line) from None
