"""Under which name a clicked link is kept.

A link that came from a placeholder is as good as its person's name, and each of a million would be another one. It is
kept as it was written: `https://shop.example/?who={{ email }}`.

Pure, but for reading what a campaign says.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from html import unescape
from typing import Final
from urllib.parse import quote
from uuid import UUID

from messages import links
from store import arrays
from store.database import Connection

_HOLE: Final = re.compile(r"\{\{\{.*?\}\}\}|\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\}", re.DOTALL)
_SAFE: Final = "%/:?#[]@!$&'()*+,;=~-._"
"""As `messages/links` leaves a URL."""
LONGEST: Final = 500
"""Characters of a source that are kept."""


@dataclass(frozen=True, slots=True)
class Written:
    """The links of a campaign."""

    same: frozenset[str]
    """For everybody."""
    sources: tuple[tuple["re.Pattern[str]", str], ...]
    """What each may have become that has placeholders, and how it was written; those that say most first."""

    def name_of(self, url: str) -> str:
        """How the link is called in reports."""
        if url in self.same:
            return url
        return next((source for pattern, source in self.sources if pattern.fullmatch(url)), url)


def written(htmls: Iterable[str]) -> Written:
    """The links in these templates."""
    found = [_linked(html) for html in htmls]
    raws = frozenset().union(*(personal for _, personal in found))
    ordered = sorted(raws, key=lambda raw: (-len(_HOLE.sub("", raw)), raw))
    sources = tuple((_pattern(raw), unescape(raw).strip()[:LONGEST]) for raw in ordered)
    return Written(frozenset().union(*(same for same, _ in found)), sources)


_linked = lru_cache(200)(links.linked)


def _pattern(raw: str) -> "re.Pattern[str]":
    parts = [quote(unescape(text), _SAFE) for text in _HOLE.split(raw.strip())]
    return re.compile(".*".join(map(re.escape, parts)), re.IGNORECASE | re.DOTALL)


async def names_of(connection: Connection, clicked: Iterable[tuple[UUID, str]]) -> Mapping[tuple[UUID, str], str]:
    """The name of each link of a campaign."""
    by_campaign: dict[UUID, set[str]] = defaultdict(set)
    for campaign_id, url in clicked:
        by_campaign[campaign_id].add(url)
    rows = await (await connection.execute(_HTML, [arrays.uuids(by_campaign)])).fetchall()
    said: dict[UUID, Sequence[str]] = dict(rows)
    names: dict[tuple[UUID, str], str] = {}
    for campaign_id, urls in by_campaign.items():
        known = written(said.get(campaign_id, ()))
        names |= {(campaign_id, url): known.name_of(url) for url in urls}
    return names


_HTML: Final = """
SELECT campaign_id, array_agg(html) FROM campaign_contents
 WHERE campaign_id = ANY(%s::uuid[]) AND strpos(html, '{{') > 0 GROUP BY 1
"""
