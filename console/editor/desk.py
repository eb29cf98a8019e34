"""What a page of the editor shows: the blocks in their order, the chosen one, how far one can undo, the mail."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from accounts.roles import Right
from audience import properties
from audience.variables import NAMES
from campaigns import repository
from campaigns.model import Campaign
from console.editor import fields, words
from console.editor.asked import Asked
from console.editor.previews import Shown, shown, some_people
from console.visit import Visit
from core.refusal import Refused
from store.database import Connection
from templates import document, service, steps, versions
from templates.block_mjml import sections, whole
from templates.blocks import read_document
from templates.build import Kind, Source
from templates.document import Document, Path
from templates.faults import SourceError
from templates.model import DEFAULT, Template, Version
from templates.steps import Around

_BREAKS: Final = re.compile(r">\s*<(?=mj-(?!raw)|/mj-(?:attributes|body|column|group|head|section|wrapper)>|/mjml>)")
"""Between elements of MJML, where a line may end: not at the end of a text, which would have a line more."""
_ELEMENT: Final = re.compile(r"<(/?)mj[\w-]*+(?:\"[^\"]*+\"|/(?!>)|[^<>\"/])*+(/?)>")
"""A tag of MJML: whether it closes, and whether it is closed at once. No text is looked at more than twice."""
_DEEPEST: Final = 20
"""Levels that are shown: HTML within can look as if it opened any number."""


@dataclass(frozen=True, slots=True)
class Row:
    """A block in the list."""

    path: str
    type: str
    name: str
    excerpt: str
    conditions: str
    first: bool
    last: bool
    columns: Sequence[Sequence["Row"]] = ()


@dataclass(frozen=True, slots=True)
class Desk:
    """Everything but the form."""

    one: Template
    version: Version
    asked: Asked
    source: Source
    document: Document | None
    """None for a mail that is no document of blocks."""
    rows: Sequence[Row]
    around: Around
    layouts: Sequence[tuple[str, str]]
    history: Sequence[versions.Listed]
    campaign: Campaign | None
    values: Sequence[str]
    """What is known of each person, by name."""
    shown: Shown | None
    unseen: Refused | None
    """Why it cannot be shown."""
    people: Sequence[str]
    """Some of those it can be shown as."""

    @property
    def block(self) -> Mapping[str, Any] | None:
        """The chosen one."""
        if self.document is None or not self.asked.block:
            return None
        return document.block_at(self.document, document.path_of(self.asked.block))

    @property
    def title(self) -> str:
        """What it is called."""
        if self.campaign is None:
            return self.one.name
        return self.campaign.name or self.campaign.words.subject or "Campaign"

    @property
    def languages(self) -> Sequence[str]:
        """All but the main one."""
        return [tag for tag in self.version.writing.sources if tag != DEFAULT]

    @property
    def code(self) -> str:
        """What it is written in, where that is text; of blocks the MJML that they become."""
        if self.document is None:
            return self.source.body
        return mjml_of(self.source)

    @property
    def saved(self) -> str:
        """How far it is, in a few words."""
        if self.campaign is not None:
            return "part of its campaign"
        if self.one.draft_id is None:
            return f"version {self.version.number}, in force"
        return f"draft of version {self.version.number}"


async def desk(connection: Connection, visit: Visit, known: tuple[Template, Version], asked: Asked) -> Desk:
    """All of a page. What the address names and is gone is left out."""
    one, version = known
    sources = version.writing.sources
    asked = replace(asked, language=asked.language if asked.language in sources else DEFAULT)
    source = sources[asked.language]
    written = document.parsed(source.body) if source.kind is Kind.BLOCKS else None
    asked = replace(asked, block=_chosen(written, asked.block))
    campaign = await repository.get(connection, None, one.campaign_id) if one.campaign_id else None
    mail, unseen = await _shown(connection, visit, one)
    return Desk(
        one, version, asked, source, written, rows(written) if written else (), await steps.around(connection, one.id),
        await _layouts(connection, one), await service.history(connection, one.application_id, str(one.id)), campaign,
        [*NAMES, *await properties.known(connection, one.application_id)], mail, unseen,
        await some_people(connection, visit, one.application_id),
    )  # fmt: skip


def rows(written: Document) -> list[Row]:
    """Its blocks, those of columns below theirs."""
    return _rows(written.get("blocks", []), ())


def _rows(blocks: Sequence[Mapping[str, Any]], where: Path) -> list[Row]:
    return [
        Row(
            document.shown((*where, n)), str(block.get("type")), words.named(block), words.excerpt(block),
            words.conditions(block), n == 0, n == len(blocks) - 1,
            [
                _rows(column.get("blocks", []), (*where, n, at))
                for at, column in enumerate(block.get("columns", ()) if block.get("type") == "columns" else ())
            ],
        )
        for n, block in enumerate(blocks)
    ]  # fmt: skip


def mjml_of(source: Source) -> str:
    """The MJML that a document of blocks becomes."""
    read = read_document(document.parsed(source.body))
    return _indented(_BREAKS.sub(">\n<", whole(read, "\n".join(sections(read)))))


def _indented(code: str) -> str:
    """Elements of MJML by their depth; what stands in them is left as it is."""
    depth, lines = 0, []
    for line in code.split("\n"):
        own = depth - line.startswith("</mj")
        lines.append("  " * min(own, _DEEPEST) + line if _ELEMENT.match(line) else line)
        depth += sum(0 if tag[2] else -1 if tag[1] else 1 for tag in _ELEMENT.finditer(line))
    return "\n".join(lines)


def _chosen(written: Document | None, text: str) -> str:
    """The block that was asked for, else the first."""
    if written is None:
        return ""
    try:
        document.block_at(written, document.path_of(text))
    except Refused:
        return "0"
    return text


async def _shown(connection: Connection, visit: Visit, one: Template) -> tuple[Shown | None, Refused | None]:
    if not visit.may(Right.MAIL_CONTENT):
        return None, None
    try:
        return await shown(connection, visit, one), None
    except Refused as error:
        return None, error


async def _layouts(connection: Connection, one: Template) -> list[tuple[str, str]]:
    """What it may stand in."""
    if one.campaign_id is not None:
        return []
    found = await service.layouts(connection, one.application_id)
    return [(str(other.id), other.name) for other in found if other.id != one.id]


def faults(error: Refused) -> Sequence[tuple[int, str]]:
    """What is wrong with a source, by its line; 0 where none is known."""
    cause = error.__cause__
    found = cause.faults if isinstance(cause, SourceError) else ()
    return [(fault.line, str(replace(fault, where=fields.placed(fault.where)))) for fault in found]
