"""How we stand with providers, as they say themselves: kept by day, shown beside our own measure, in no score.

The colour that SNDS gives an IP is one of the figures of others that stand beside its reputation too
(`reputation_imports`). Works on the caller's connection and never commits.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Final

from pools.reputation_repository import GRADES, Imported, add_import
from pools.standing_files import ProviderFigure
from store.database import Connection
from store.partitions import STORY_DAYS

_KEEP: Final = """
INSERT INTO provider_figures (kind, subject, provider, source, name, day, value, text)
SELECT * FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::date[], %s::float8[], %s::text[])
ON CONFLICT (kind, subject, provider, source, name, day)
DO UPDATE SET value = excluded.value, text = excluded.text, imported_at = now()
"""

_LATEST: Final = """
SELECT DISTINCT ON (kind, subject, provider, source, name) kind, subject, provider, source, name, day, value, text
  FROM provider_figures WHERE %(subject)s = '' OR subject = %(subject)s
 ORDER BY kind, subject, provider, source, name, day DESC
"""


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of a file."""

    source: str
    figures: int
    subjects: int
    strangers: tuple[str, ...]
    """IPs and domains that are none of ours; their lines were left out."""


async def keep(connection: Connection, source: str, figures: Sequence[ProviderFigure]) -> Taken:
    """Keep the figures about what is ours. The same file again changes nothing."""
    ours = await _ours(connection)
    mine = {(f.kind, f.subject, f.name, f.day): f for f in figures if (f.kind, f.subject) in ours}
    kept = list(mine.values())
    rows = [(f.kind, f.subject, f.provider, f.source, f.name, f.day, f.value, f.text) for f in kept]
    if rows:
        await connection.execute(_KEEP, [list(column) for column in zip(*rows, strict=True)])
    for figure in kept:
        if figure.source == "snds" and figure.name == "filter_result":
            await _beside_reputation(connection, figure)
    strangers = sorted({f.subject for f in figures if (f.kind, f.subject) not in ours})
    return Taken(source, len(kept), len({f.subject for f in kept}), tuple(strangers))


async def _ours(connection: Connection) -> set[tuple[str, str]]:
    cursor = await connection.execute(
        "SELECT 'ip', address FROM egress_ips UNION ALL SELECT 'domain', name FROM domains"
    )
    return {(kind, subject) for kind, subject in await cursor.fetchall()}


async def _beside_reputation(connection: Connection, figure: ProviderFigure) -> None:
    at = datetime.combine(figure.day, time(), UTC)
    await add_import(
        connection, Imported(figure.subject, figure.provider, "snds", GRADES[figure.text], figure.text, at)
    )


async def latest(connection: Connection, subject: str = "") -> list[ProviderFigure]:
    """The newest figure of each name, of one IP or domain or of all."""
    cursor = await connection.execute(_LATEST, {"subject": subject})
    return [ProviderFigure(*row) for row in await cursor.fetchall()]


async def forget(connection: Connection) -> None:
    """Retention."""
    await connection.execute("DELETE FROM provider_figures WHERE day < current_date - %s", [STORY_DAYS])


def utc_day() -> date:
    """The day of what has no date of its own."""
    return datetime.now(UTC).date()
