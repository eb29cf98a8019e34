"""UTM tags: parameters by which the statistics of a web site know which campaign a visitor came from. Pure.

They are put into the links to the web of HTML and text when the content is fixed. A link keeps what it says itself:
its own `utm_…` win, and what stands behind `#` stays behind. Left whole are links with a placeholder (they are written
later, and may be anything), links that are signed (another parameter would break them), links to unsubscribe, and those
that forbid tracking. Images are no links.
"""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from html import escape, unescape
from typing import Any, Final
from urllib.parse import parse_qsl, quote, urlsplit

from campaigns.words import Words
from core.refusal import invalid
from messages.links import addresses, is_left_alone

PARTS: Final = ("source", "medium", "campaign", "content")
LONGEST: Final = 100
_SIGNATURES: Final = frozenset({"signature", "sig", "hmac", "x-amz-signature", "x-goog-signature", "hdnea"})
"""Parameters of links that somebody signed: of S3, Google, Azure and Akamai, and as many name it themselves."""

_KEPT: Final = 64
_SMALL: Final = 128 * 1024
"""Characters of HTML that is kept with its tags: its page on the web may be looked at often."""

# Up to a blank or what ends a text: a full stop behind a link is none of it.
_IN_TEXT: Final = re.compile(r"https?://[^\s<>\"]*[^\s<>\"'.,;:!?)\]}]", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Utm:
    """The tags of a campaign; "": none of that kind."""

    source: str = ""
    medium: str = ""
    campaign: str = ""
    content: str = ""
    """Which variant it was; of an experiment `variant-N`, unless it is said."""

    def __bool__(self) -> bool:
        return bool(self.source or self.medium or self.campaign or self.content)

    def of_variant(self, number: int, arms: int) -> "Utm":
        """Those of one of so many variants."""
        content = self.content or (f"variant-{number}" if arms > 1 else "")
        return replace(self, content=content) if self else self


def from_json(given: Mapping[str, Any]) -> Utm:
    """What was given, or stored. Raises Refused naming the field."""
    for name, value in given.items():
        if name not in PARTS:
            raise invalid(f"utm.{name}"[:80], f"there is no such tag, only {', '.join(PARTS)}")
        if not isinstance(value, str) or len(value) > LONGEST or not value.isprintable():
            raise invalid(f"utm.{name}", f"it must be text of at most {LONGEST} characters in one line")
    return Utm(**given)


def to_json(utm: Utm) -> dict[str, str]:
    """As it is stored, and shown."""
    return {name: value for name, value in asdict(utm).items() if value}


def tagged(words: Words, utm: Utm) -> Words:
    """The same with tags in its links."""
    if not utm:
        return words
    html = words.html and (_kept if len(words.html) <= _SMALL else _html)(words.html, utm)
    text = _IN_TEXT.sub(lambda found: _link(found[0], utm), words.text) if words.text else words.text
    return replace(words, html=html, text=text)


def _html(html: str, utm: Utm) -> str:
    parts, done = [], 0
    for start, stop, raw in addresses(html):
        url = unescape(raw)
        changed = _link(url, utm)
        if changed != url:
            parts += [html[done:start], escape(changed)]
            done = stop
    return "".join([*parts, html[done:]])


_kept = lru_cache(_KEPT)(_html)


def _link(url: str, utm: Utm) -> str:
    stripped = url.strip()
    if is_left_alone(stripped):
        return url
    try:
        known = {name.lower() for name, _ in parse_qsl(urlsplit(stripped).query, keep_blank_values=True)}
    except ValueError:  # no address that anybody could follow
        return url
    missing = {f"utm_{name}": value for name, value in to_json(utm).items() if f"utm_{name}" not in known}
    if not missing or known & _SIGNATURES:
        return url
    before, mark, fragment = stripped.partition("#")
    separator = "" if before.endswith(("?", "&")) else "&" if "?" in before else "?"
    added = "&".join(f"{name}={quote(value, safe='')}" for name, value in missing.items())
    return f"{before}{separator}{added}{mark}{fragment}"
