"""What a campaign says to nobody in person: on its page on the web.

Where a mail would have a person's own words it has those for whom nothing is known, and a content that cannot do
without is refused when it is started. What its author wrote is not trusted: the page that shows it runs no script
(`pages/routes/archive`).
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from audience.properties import Definitions
from campaigns.contents import with_preview
from campaigns.words import Words
from core.refusal import invalid
from messages.personal import EACH, LATER, LINE
from templates.render import RenderError, compile_line, compile_text

_KEPT: Final = 64
_SMALL: Final = 128 * 1024
"""Characters of what is kept: else 64 pages were a burden."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What the page shows; HTML or text."""

    subject: str
    html: str | None
    text: str | None


def shown(words: Words, definitions: Definitions) -> Shown:
    """The words without a person. Raises RenderError."""
    known = tuple((key, one.fallback) for key, one in definitions.items())
    html = with_preview(words)
    return Shown(
        compile_line(words.subject).render(_variables(known), LINE),
        _html_or_text(html, True, known) if html else None,
        _html_or_text(words.text, False, known) if words.text else None,
    )


def subject(words: Words, definitions: Definitions) -> str:
    """The subject alone; as it is written where it cannot do without a person."""
    known = tuple((key, one.fallback) for key, one in definitions.items())
    try:
        return compile_line(words.subject).render(_variables(known), LINE)
    except RenderError:
        return words.subject


async def show(words: Words, definitions: Definitions) -> Shown | None:
    """The same, beside the event loop: a template may take its time. None when it cannot be."""
    try:
        return await asyncio.to_thread(shown, words, definitions)
    except RenderError:
        return None


def check(words: Words, definitions: Definitions) -> None:
    """Raises Refused naming what the page cannot show without a person."""
    try:
        shown(words, definitions)
    except RenderError as error:
        raise invalid("archive", f"the page on the web has no person to fill in, and without one {error}") from None


def _html_or_text(source: str, html: bool, known: tuple[tuple[str, object], ...]) -> str:
    return (_kept if len(source) <= _SMALL else _rendered)(source, html, known)


def _rendered(source: str, html: bool, known: tuple[tuple[str, object], ...]) -> str:
    text = compile_text(source, html=html).render(_variables(known), EACH)
    for place in LATER.values():  # nobody's own link to unsubscribe
        text = text.replace(place, "#")
    return text


_kept = lru_cache(_KEPT)(_rendered)


def _variables(known: tuple[tuple[str, object], ...]) -> Mapping[str, object]:
    own: dict[str, object] = dict(known)
    own |= {"email": "", "first_name": None, "last_name": None, "language": None, "time_zone": None}
    return {**own, "contact": own, **LATER}
