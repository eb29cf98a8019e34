"""Whom a campaign would go to: how many, who of them may not get it and why, at which domains, and what they lack.

Counted by PostgreSQL in one pass over the segment. Whether somebody may get mail costs twenty times as much to ask as
to count them, so of a large audience a part is asked: those whose id ends in certain bytes, which are random.
"""

from collections import Counter
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, TypeVar

from psycopg.errors import QueryCanceled

from audience import properties
from audience.properties import Definitions
from audience.variables import NAMES
from campaigns import people
from campaigns.checking.model import People
from campaigns.model import Campaign
from core.refusal import Refused, conflict
from messages.unsubscribe_headers import PLACEHOLDERS
from store.clock import transaction_time
from store.database import Connection

T = TypeVar("T")

ASKED: Final = 20_000
"""People of whom it is asked whether they may get it, or all; a few more or fewer as chance has it."""
_BYTES: Final = 256
"""Values of the byte of an id that decides who is asked. Tapering looks at another one."""

_COUNT: Final = """
SELECT split_part(p.address, '@', -1) AS domain, count(*){lacking} FROM ({people}) p GROUP BY 1
"""

# Who is asked is chosen among the contacts, before anything is joined to them.
_MAY_GET: Final = """
WITH person AS MATERIALIZED (
  SELECT {columns} FROM ({people}) s JOIN contacts c ON c.id = s.id
   WHERE get_byte(uuid_send(s.id), 14) < %(asked_bytes)s)
SELECT reason, domain, count(*) FROM (
  SELECT {ineligible} AS reason, split_part(p.address, '@', -1) AS domain FROM person p) judged GROUP BY 1, 2
"""

_ZONES: Final = """
SELECT coalesce(z.name, %(zone)s), sum(p.n)::bigint
  FROM (SELECT time_zone, count(*) AS n FROM ({people}) q GROUP BY 1) p
  LEFT JOIN pg_timezone_names z ON z.name = p.time_zone GROUP BY 1
"""


_IN_A_MOMENT: Final = "SELECT set_config('statement_timeout', '2s', true)"
"""The campaign is held meanwhile, and somebody waits for the answer."""


@dataclass(frozen=True, slots=True)
class Variables:
    """Variables that a content cannot do without."""

    of_people: tuple[str, ...] = ()
    """Those that a contact may have or not."""
    unknown: tuple[str, ...] = ()
    """Those that no contact has."""


async def variables(connection: Connection, campaign: Campaign, required: Iterable[str]) -> Variables:
    """The required paths, sorted by whether anybody can have them."""
    return sorted_out(required, await properties.known(connection, campaign.application_id))


def sorted_out(required: Iterable[str], definitions: Definitions) -> Variables:
    """The same. Pure."""
    own = {name.strip("{}") for name in PLACEHOLDERS} | {"contact", "email"}
    names = {path.removeprefix("contact.") for path in required} - own
    lacked = {name for name in names if name in NAMES or name in definitions}
    filled = {name for name in lacked if name in definitions and definitions[name].fallback is not None}
    return Variables(tuple(sorted(lacked - filled)), tuple(sorted(names - lacked)))


async def counted(connection: Connection, campaign: Campaign, lacking: Sequence[str]) -> People:
    """The people of a campaign whose `started_at` is now. Raises Refused: its segment cannot be asked, or that takes
    too long."""
    found = await bounded(connection, _counted(connection, campaign, lacking))
    if found is None:
        raise conflict("counting its people takes longer than 20 seconds", "Ask again at a quieter time.")
    return found


async def lacked_by_all(connection: Connection, campaign: Campaign, names: Sequence[str]) -> Sequence[str]:
    """Those of these variables that nobody of a campaign that begins now has. None of an empty audience, nor where
    that cannot be asked in a moment."""
    begun = replace(campaign, started_at=await transaction_time(connection))
    try:
        async with connection.transaction(force_rollback=True):  # which takes back the bound as well
            await connection.execute(_IN_A_MOMENT)
            asked, given = await people.question(connection, begun, _columns(names))
            had = "".join(
                f", EXISTS (SELECT FROM ({asked}) p WHERE NOT ({_absent(name, n)}))" for n, name in enumerate(names)
            )
            keys = {f"lacking_{n}": name for n, name in enumerate(names)}
            row = await (await connection.execute(f"SELECT EXISTS ({asked}){had}", given | keys)).fetchone()
    except (QueryCanceled, Refused):
        return ()
    assert row is not None, "it has a row"
    return [name for name, there in zip(names, row[1:], strict=True) if row[0] and not there]


async def bounded(connection: Connection, asked: Awaitable[T]) -> T | None:
    """What is asked within the caller's transaction, whose statements have a bound (`FOR_A_COUNT`); None when it takes
    longer than that."""
    try:
        async with connection.transaction():
            return await asked
    except QueryCanceled:
        return None


async def _counted(connection: Connection, campaign: Campaign, lacking: Sequence[str]) -> People:
    asked, names = await people.question(connection, campaign, _columns(lacking))
    columns = "".join(f", count(*) FILTER (WHERE {_absent(name, n)})" for n, name in enumerate(lacking))
    keys = {f"lacking_{n}": name for n, name in enumerate(lacking)}
    statement = _COUNT.format(people=asked, lacking=columns)
    rows = await (await connection.execute(statement, names | keys)).fetchall()
    total = sum(row[1] for row in rows)
    part = min(_BYTES, -(-_BYTES * ASKED // total)) if total else _BYTES
    found = await _judged(connection, campaign, part) if total else Counter[tuple[str | None, str]]()
    lacked = {name: n for at, name in enumerate(lacking) if (n := sum(row[2 + at] for row in rows))}
    domains = {str(row[0]): int(row[1]) for row in rows}
    return put_together(domains, found, lacked, exact=part == _BYTES)


async def _judged(connection: Connection, campaign: Campaign, part: int) -> Counter[tuple[str | None, str]]:
    """How many may not get it, by reason and domain, of those who are asked."""
    asked, names = await people.question(connection, campaign)
    holds = await people.rules_of(connection, campaign)
    reason, rules = people.eligible(holds, people.Moment.FIXING)
    statement = _MAY_GET.format(columns=people.COLUMNS, people=asked, ineligible=reason)
    own: dict[str, Any] = {"asked_bytes": part, "topic": campaign.topic_id}
    rows = await (await connection.execute(statement, names | rules | own)).fetchall()
    return Counter({(why, domain): n for why, domain, n in rows})


def put_together(
    domains: Mapping[str, int], judged: Mapping[tuple[str | None, str], int], lacking: Mapping[str, int], *, exact: bool
) -> People:
    """The figures: as counted, or those of the part that was asked, drawn up to the whole. Pure."""
    total, asked = sum(domains.values()), sum(judged.values())
    scale = 1.0 if exact or not asked else total / asked
    skipped = Counter[str]()
    may_get = Counter[str]()
    for (reason, domain), n in judged.items():
        if reason is None:
            may_get[domain] += n
        else:
            skipped[reason] += n
    if not exact:
        return _drawn_up(domains, skipped, lacking, scale)
    return People(total, may_get.total(), dict(skipped), True, dict(may_get), dict(lacking))


def _drawn_up(domains: Mapping[str, int], skipped: Counter[str], lacking: Mapping[str, int], scale: float) -> People:
    """Every domain has the share that all have: of most of them too few were asked. What is rounded off at one is given
    to the next, for there are many small ones."""
    total = sum(domains.values())
    left_out = {reason: round(n * scale) for reason, n in skipped.items()}
    reached = max(0, total - sum(left_out.values()))
    by_domain: dict[str, int] = {}
    counted = given = 0
    for domain, n in domains.items():
        counted += n
        if kept := counted * reached // total - given:
            by_domain[domain] = kept
            given += kept
    return People(total, reached, left_out, False, by_domain, dict(lacking))


async def by_zone(connection: Connection, campaign: Campaign) -> dict[str, int]:
    """How many people of the segment live in which time zone; of whom it is not known are in the plan's own."""
    asked, names = await people.question(connection, campaign, ("time_zone",))
    cursor = await connection.execute(_ZONES.format(people=asked), names | {"zone": campaign.plan.zone})
    return dict(await cursor.fetchall())


def _columns(lacking: Sequence[str]) -> list[str]:
    """Of a contact, those in which these variables are."""
    return list(dict.fromkeys(name if name in NAMES else "properties" for name in lacking))


def _absent(name: str, number: int) -> str:
    """A condition on person `p`: they have no such value."""
    if name in NAMES:
        return f"nullif(p.{name}, '') IS NULL"
    return f"nullif(p.properties->>%(lacking_{number})s, '') IS NULL"
