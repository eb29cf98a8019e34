"""What a campaign sends, fixed when it begins: one content for each variant and language, never changed afterwards.

Each mail names its content, and workers keep what they have read of it (`messages/personal`): another text would be
another content. The preview text becomes the first, hidden words of the HTML.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final
from uuid import UUID

from campaigns.model import Words
from core.ids import uuid7
from core.refusal import Refused, invalid
from messages.personal import EACH
from store.database import Connection
from templates.checks import shingles, without_address
from templates.limits import Bounds
from templates.placeholders import UnclosedError
from templates.plain import text_of_html
from templates.render import Compiled, RenderError, TooMuch, compile_line, compile_text

_FILLER: Final = "&#847;&zwnj;&nbsp;" * 40
"""Behind the preview text: else mail programs go on with the words of the mail."""

_HIDDEN: Final = '<div style="display:none;max-height:0;overflow:hidden;mso-hide:all">{}{}</div>'

_CHEAP: Final = Bounds(seconds=0.02, output=EACH.output)
"""A fifth of what a mail may take when it leaves (`messages/personal`): people differ, and so do machines."""
_TRIES: Final = 3
_ANYTHING: Final = "something"
"""In place of what is known of a person."""

_READ: Final = """
SELECT id, variant, language, sender, subject FROM campaign_contents WHERE campaign_id = %s
"""


@dataclass(frozen=True, slots=True)
class Content:
    """What the feed needs of it."""

    id: UUID
    sender: str
    subject: str


async def write(connection: Connection, campaign_id: UUID, variants: Sequence[Mapping[str, Words]]) -> None:
    """Fix what is sent: for each variant words by language, "" for everybody else's."""
    rows = await asyncio.to_thread(_rows, campaign_id, variants)
    await connection.execute("DELETE FROM campaign_contents WHERE campaign_id = %s", [campaign_id])
    async with connection.cursor() as cursor:
        await cursor.executemany(
            "INSERT INTO campaign_contents"
            " (id, campaign_id, variant, language, sender, subject, html, body, shingles)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)",
            rows,
        )


def _rows(campaign_id: UUID, variants: Sequence[Mapping[str, Words]]) -> list[tuple[object, ...]]:
    return [
        (uuid7(), campaign_id, number, language, words.sender, words.subject, with_preview(words), words.text, kept)
        for number, languages in enumerate(variants)
        for language, words in languages.items()
        for kept in [sorted(sample(words))]
    ]


async def contents_of(connection: Connection, campaign_id: UUID) -> dict[tuple[int, str], Content]:
    """By variant and language."""
    rows = await (await connection.execute(_READ, [campaign_id])).fetchall()
    return {(row[1], row[2]): Content(row[0], row[3], row[4]) for row in rows}


def sample(words: Words) -> frozenset[int]:
    """What is kept of its words, to tell whether the same was sent before (`checking/alike`)."""
    try:
        return shingles(text_of_html(words.html) if words.html else words.text or "")
    except UnclosedError:
        return shingles(words.html or "")


def check_syntax(words: Words, where: str = "") -> None:
    """Raises Refused naming the field (behind `where`) and line that cannot be compiled, or not be stored."""
    fields = ("sender", "subject", "preview_text", "html", "text")
    for name, text in zip(fields, (words.sender, *_texts(words)), strict=True):
        if "\0" in text:
            raise invalid("from" if name == "sender" else f"{where}{name}", "it holds a NUL")
    _compiles(f"{where}html", words.html, html=True)
    _compiles(f"{where}text", words.text, html=False)
    for field, line in ((f"{where}subject", words.subject), (f"{where}preview_text", words.preview_text)):
        try:
            compile_line(line)
        except RenderError as error:
            raise invalid(field, str(error)) from None


def _texts(words: Words) -> tuple[str, ...]:
    return words.subject, words.preview_text, words.html or "", words.text or ""


def check_whole(words: Words, where: str = "") -> None:
    """Raises Refused naming what a mail cannot do without."""
    if not words.html and not words.text:
        raise invalid(f"{where}html", "a broadcast needs `html` or `text`")
    if not words.subject.strip():
        raise invalid(f"{where}subject", "a broadcast needs a subject")
    if without := without_address(words.html or ""):
        reason = "a link or button has no address" if len(without) == 1 else f"{len(without)} links have no address"
        hint = "Give it the whole address, with https:// in front, or take it out."
        raise Refused("invalid", f"{reason}: `{without[0]}`", f"{where}html", hint, "link_without_address")
    for field, made in _programs(words).items():
        _is_cheap(f"{where}{field}", made)


def _programs(words: Words) -> dict[str, Compiled]:
    try:
        return {
            "html": compile_text(with_preview(words) or "", html=True),
            "text": compile_text(words.text or "", html=False),
            "subject": compile_line(words.subject),
        }
    except RenderError:
        return {}  # for `check_syntax` to say


def _is_cheap(field: str, made: Compiled) -> None:
    """Rendering it for somebody takes little, whatever can be said of that before it is known for whom. Others at the
    same time do not count, and a first time that is slow for a reason of its own neither."""
    somebody = {name.partition(".")[0]: _ANYTHING for name in made.variables}
    for left in reversed(range(_TRIES)):
        try:
            made.render(somebody, _CHEAP)
        except TooMuch as error:
            if not left:
                raise invalid(field, f"{error}: too much for each of many people") from None
        except RenderError:  # it needs another value than this one
            return
        else:
            return


def _compiles(field: str, text: str | None, *, html: bool) -> None:
    try:
        compile_text(text or "", html=html)
    except RenderError as error:
        raise invalid(field, str(error)) from None


def with_preview(words: Words) -> str | None:
    """The HTML with its preview text in it."""
    if words.html is None or not words.preview_text:
        return words.html
    hidden = _HIDDEN.format(_escaped(words.preview_text), _FILLER)
    at = _behind_body(words.html)
    return words.html[:at] + hidden + words.html[at:]


def _escaped(text: str) -> str:
    """Placeholders stay what they are: what they become is escaped when it is rendered."""
    return escape(text, quote=False) if "{" not in text else text.replace("<", "&lt;")


def _behind_body(html: str) -> int:
    start = html.lower().find("<body")
    end = html.find(">", start) if start >= 0 else -1
    return end + 1
