"""The mails of a sign-up in the reader's language: please confirm, the reminder, may we write to you, welcome, and
later: do you still want this?

Texts stand in `messages/languages`, one file a language with the same keys (a test holds that). What applications and
people wrote is escaped in the HTML part. None of these mails is tracked: whoever only confirms has agreed to nothing
before.
"""

import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from html import escape
from pathlib import Path
from typing import Final

_FOLDER: Final = Path(__file__).parent / "languages"
FALLBACK: Final = "en"

TEXTS: Final[Mapping[str, Mapping[str, str]]] = {
    file.stem: tomllib.loads(file.read_text(encoding="utf-8")) for file in sorted(_FOLDER.glob("*.toml"))
}
"""By language."""


class Kind(StrEnum):
    """Which mail; the values begin the keys of its texts."""

    CONFIRM = "confirm"
    REMINDER = "reminder"
    IMPORT = "import"
    WELCOME = "welcome"
    AGAIN = "again"


@dataclass(frozen=True, slots=True)
class Told:
    """What a mail tells."""

    sender: str
    """As the reader knows them."""
    address: str
    url: str
    days: int = 0
    """So long the link works."""
    intro: str = ""
    """In the application's own words, in place of ours."""
    topics: Sequence[tuple[str, str]] = ()
    """Names and descriptions; none: all mail."""
    frequency: str = ""
    consent: str = ""


@dataclass(frozen=True, slots=True)
class Letter:
    """A mail, ready to be sent."""

    subject: str
    text: str
    html: str


def letter(kind: Kind, language: str, told: Told) -> Letter:
    """The mail in that language, else in English."""
    words = TEXTS.get(language) or TEXTS[FALLBACK]

    def say(key: str) -> str:
        return words[key].format(sender=told.sender, address=told.address, days=told.days)

    intro, button, end = told.intro or say(f"{kind}.text"), say(f"{kind}.button"), say(f"{kind}.end")
    parts = _parts(say, told)
    act = (
        f"{button}:\n{told.url}\n\n{end}",
        _BUTTON.format(url=escape(told.url), label=escape(button), end=escape(end)),
    )
    details = ("\n\n".join(map(_plain, parts)), "".join(map(_marked_up, parts)))
    # The welcome mail says first what comes, the others what to do.
    first, then = (details, act) if kind is Kind.WELCOME else (act, details)
    html = _HTML.format(language=language, intro=escape(intro), first=first[1], then=then[1])
    return Letter(_one_line(say(f"{kind}.subject")), f"{intro}\n\n{first[0]}\n\n{then[0]}\n", html)


_Part = tuple[str, Sequence[tuple[str, str]]]
"""A heading and its lines."""


def _parts(say: Callable[[str], str], told: Told) -> list[_Part]:
    found: list[_Part] = [(say("topics"), told.topics or [(say("all"), "")])]
    if told.frequency:
        found.append((say("frequency"), [(told.frequency, "")]))
    if told.consent:
        found.append((say("consent"), [(told.consent, "")]))
    return found


def _plain(part: _Part) -> str:
    heading, lines = part
    return "\n".join([heading, *(f"- {name}{f': {about}' if about else ''}" for name, about in lines)])


def _marked_up(part: _Part) -> str:
    heading, lines = part
    items = "".join(f"<li>{escape(name)}{f': {escape(about)}' if about else ''}</li>" for name, about in lines)
    return f'<p style="margin:16px 0 4px">{escape(heading)}</p><ul style="margin:0;padding-left:20px">{items}</ul>'


def _one_line(text: str) -> str:
    return " ".join(text.split())


_BUTTON: Final = (
    '<p style="margin:20px 0"><a href="{url}" data-no-track style="display:inline-block;background:#1f5fbf;color:#fff;'
    'font-weight:600;text-decoration:none;padding:12px 20px;border-radius:6px">{label}</a></p><p>{end}</p>'
)
_HTML: Final = (
    '<!doctype html><html lang="{language}"><head><meta charset="utf-8"><meta name="viewport"'
    ' content="width=device-width"></head><body style="margin:0;padding:24px 16px;'
    'font:16px/1.5 system-ui,sans-serif;overflow-wrap:anywhere"><div style="max-width:560px;margin:0 auto">'
    "<p>{intro}</p>{first}{then}</div></body></html>"
)
