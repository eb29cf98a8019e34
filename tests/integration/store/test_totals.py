"""Running totals answer as the counts themselves do: whatever is asked, whoever counted late, after retention too."""

import random
import runpy
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

import psycopg
import pytest

import store
from store import figures, folding, partitions, totals
from store.database import Database
from store.figures import Answer, Question, Row
from tests.integration.messages.emails import APPLICATION, execute, rows

OTHER = UUID(int=70)
NOW = datetime(2026, 11, 20, 12, 30, tzinfo=UTC)
FIRST = datetime(2026, 9, 25, tzinfo=UTC)

_ADD = """
WITH told AS (
  SELECT * FROM unnest(%s::text[], %s::text[], %s::uuid[], %s::text[], %s::text[], %s::text[], %s::text[],
    %s::timestamptz[], %s::bigint[]) AS u(by, key, application_id, lane, provider, outcome, part, hour, n)
), series AS (
  INSERT INTO report_series (by, key, application_id, lane, provider, outcome, part)
  SELECT DISTINCT by, key, application_id, lane, provider, outcome, part FROM told ON CONFLICT DO NOTHING
), known AS (
  SELECT s.id, hour, n FROM told JOIN report_series s USING (by, key, application_id, lane, provider, outcome, part)
), hours AS (
  INSERT INTO report_hours AS h SELECT id, hour, sum(n) FROM known GROUP BY 1, 2
  ON CONFLICT (series_id, hour) DO UPDATE SET n = h.n + excluded.n
)
INSERT INTO report_days AS d SELECT id, (hour AT TIME ZONE 'UTC')::date, sum(n) FROM known GROUP BY 1, 2
ON CONFLICT (series_id, day) DO UPDATE SET n = d.n + excluded.n
"""


class Count(NamedTuple):
    """What was counted."""

    by: str
    key: str
    application_id: UUID
    lane: str
    provider: str
    outcome: str
    part: str
    hour: datetime
    n: int


def drawn(seed: int, n: int) -> list[Count]:
    """Counts in any order of time, some of which are taken back."""
    dice = random.Random(seed)
    kinds = [("delivered", "1"), ("delivered", "2"), ("bounced", "full"), ("opened", "first"), ("complained", "")]
    return [
        Count(
            dice.choice(("application", "domain", "tag")), dice.choice("abc"), dice.choice((APPLICATION, OTHER)),
            dice.choice(("marketing", "transactional")), dice.choice(("gmail", "yahoo", "")), *dice.choice(kinds),
            FIRST + timedelta(hours=dice.randrange((NOW - FIRST) // timedelta(hours=1))), dice.choice((1, 2, 9, -1)),
        )
        for _ in range(n)
    ]  # fmt: skip


async def count(database: Database, counts: list[Count]) -> None:
    """As `store/folding` adds up: new series first."""
    for at in (0, 1):  # a statement does not see the series it makes itself
        told = counts if at else [one._replace(n=0) for one in counts]
        await execute(database, _ADD, [list(column) for column in zip(*told, strict=True)])


def questions() -> Iterator[Question]:
    """Spans that begin and end anywhere, by each period, zone and dimension."""
    spans = [
        (FIRST, NOW), (NOW - timedelta(days=30), NOW), (datetime(2026, 10, 1, tzinfo=UTC), NOW),
        (FIRST + timedelta(hours=9), FIRST + timedelta(days=11, hours=20)),
        (FIRST + timedelta(days=5, hours=17), FIRST + timedelta(days=5, hours=19)),
        (FIRST - timedelta(days=900), FIRST + timedelta(days=40)),
    ]  # fmt: skip
    dice = random.Random(7)
    for since, until in spans:
        for period in ("", "", "day", "week", "month"):
            yield Question(
                since, until, ZoneInfo(dice.choice(("UTC", "UTC", "Asia/Tokyo", "America/New_York"))), period,
                dice.choice(((), ("domain",), ("domain", "application"), ("stream",), ("domain", "provider"))),
                "domain", dice.choice(((), (), ("a", "b"))), dice.choice(((), (), (OTHER,))),
                dice.choice(((), (), ("marketing",))), dice.choice(((), (), ("gmail",))), now=NOW,
            )  # fmt: skip


def expected(q: Question, counts: list[Count]) -> dict[tuple[Any, ...], int]:
    found: Counter[tuple[Any, ...]] = Counter()
    for one in counts:
        fits = [
            one.by == q.by, q.since <= one.hour < q.until, not q.keys or one.key in q.keys,
            not q.applications or one.application_id in q.applications, not q.streams or one.lane in q.streams,
            not q.providers or one.provider in q.providers,
        ]  # fmt: skip
        if all(fits):
            found[(*_period(q, one.hour), *(_label(name, one) for name in q.group), one.outcome, one.part)] += one.n
    return {place: n for place, n in found.items() if n}


def _period(q: Question, hour: datetime) -> tuple[date, ...]:
    day = hour.astimezone(q.zone).date()
    if q.period == "week":
        day -= timedelta(days=day.weekday())
    return (day.replace(day=1) if q.period == "month" else day,) if q.period else ()


def _label(name: str, one: Count) -> str:
    return str(getattr(one, {"application": "application_id", "stream": "lane", "domain": "key"}.get(name, name)))


async def answered(database: Database, q: Question) -> dict[tuple[Any, ...], int]:
    async with database.connection() as connection:
        answer = await figures.ask(connection, q)
    grouped = bool(q.period or q.group)
    tallies = [((*([row.period] if q.period else []), *row.keys), row.tally) for row in answer.rows]
    return {
        (*place, outcome, part): n
        for place, tally in (tallies if grouped else [((), answer.totals)])
        for (outcome, part), n in tally.counts().items()
    }


async def test_every_question_gets_the_sum_of_the_counts(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(totals, "FINE_DAYS", 90)
    counts = drawn(1, 500)
    for start in range(0, len(counts), 100):  # in turns, so that later ones are late for days that are there
        await count(database, counts[start : start + 100])
    for q in questions():
        assert await answered(database, q) == expected(q, counts), q


async def test_old_hours_of_domains_by_provider_become_days_of_utc(database: Database) -> None:
    counts, midnight = drawn(3, 400), datetime.combine(NOW, time(), UTC)
    await count(database, counts)
    before = (await rows(database, "SELECT count(*) FROM report_totals"))[0][0]
    for _ in range(2):
        async with database.transaction() as connection:
            await totals.thin(connection, midnight - timedelta(days=90), midnight - timedelta(days=8))
    asked = [replace(q, zone=ZoneInfo("UTC")) for q in questions() if q.period in ("day", "week", "month")]
    whole_days = [replace(q, since=datetime.combine(q.since, time(), UTC), until=NOW) for q in asked]

    assert (await rows(database, "SELECT count(*) FROM report_totals"))[0][0] < before
    for q in [*whole_days, *(q for q in questions() if "provider" not in q.group and not q.providers)]:
        assert await answered(database, q) == expected(q, counts), q
    days = await answered(
        database, Question(FIRST, NOW, ZoneInfo("Asia/Tokyo"), "day", ("domain", "provider"), "domain", now=NOW)
    )
    assert sum(days.values()) == sum(one.n for one in counts if one.by == "domain")


async def test_a_long_report_comes_in_pages(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(figures, "_FEWEST_READ", 1)
    counts = drawn(4, 300)
    await count(database, counts)
    for group, period in ((("tag", "provider"), ""), (("tag",), "day"), ((), "month"), (("stream",), "hour")):
        q = Question(NOW - timedelta(days=20), NOW, period=period, group=group, by="tag", now=NOW)
        async with database.connection() as connection:
            whole, pages, place = await figures.ask(connection, q), list[Answer](), None
            while not pages or place:
                pages.append(await figures.ask_page(connection, q, 7, place))
                place = pages[-1].last
        assert [shown(row) for page in pages for row in page.rows] == [shown(row) for row in whole.rows]
        assert {len(page.rows) for page in pages[:-1]} <= {7}
        assert all(page.totals.counts() == whole.totals.counts() for page in pages)


async def test_no_report_reads_mail_events_or_hours(database: Database) -> None:
    await count(database, drawn(5, 60))
    async with database.transaction() as connection:
        for table in ("messages", "emails", "events", "outcome_counts", "report_hours", "report_days", "report_series"):
            await connection.execute(f"ALTER TABLE {table} RENAME TO gone_{table}")
        asked = [replace(q, by=by) for q in questions() for by in ("application", "domain", "tag")]
        answers = [await figures.ask_page(connection, q, 2) for q in asked]
        assert any(answer.rows for answer in answers)
        assert any(answer.last for answer in answers)
        raise psycopg.Rollback


def shown(row: Row) -> tuple[Any, ...]:
    return row.period, row.keys, row.tally.counts()


async def test_the_migration_makes_of_what_is_there_what_the_triggers_would_have(database: Database) -> None:
    await count(database, drawn(2, 200))
    kept = {at: n for at, n in (await totalled(database)).items() if at[5] > FIRST + timedelta(days=1)}
    [file] = (Path(store.__file__).parent / "migrations" / "versions").glob("*_report_totals.py")
    migration = runpy.run_path(str(file))
    await execute(database, "TRUNCATE report_totals, report_lines, report_kinds")
    await execute(database, migration["KEPT"])

    # The first day, of which retention may have taken hours, is known as a day.
    assert {at: n for at, n in (await totalled(database)).items() if at[5] > FIRST + timedelta(days=1)} == kept
    assert len(kept) > 200


async def totalled(database: Database) -> dict[tuple[Any, ...], int]:
    found = await rows(
        database,
        "SELECT l.by, l.key, l.application_id, l.lane, l.provider, t.before, o.outcome, o.part, u.n"
        "  FROM report_totals t JOIN report_lines l ON l.id = t.line_id, unnest(t.upto) WITH ORDINALITY AS u(n, kind)"
        "  JOIN report_kinds o ON o.id = u.kind WHERE u.n <> 0",
    )
    return {tuple(place): n for *place, n in found}


async def test_retention_leaves_the_days_that_are_kept_as_they_were(database: Database) -> None:
    today = datetime.combine(datetime.now(UTC).date(), time(), UTC)
    old = today - timedelta(days=partitions.STORY_DAYS + 3)
    label = Count("domain", "a", APPLICATION, "marketing", "gmail", "delivered", "1", old, 5)
    kept = [label._replace(hour=today - timedelta(days=n), n=1) for n in (1, 40)]
    await count(database, [label, label._replace(key="gone"), *kept])
    async with database.transaction() as connection:
        await folding.forget(connection, 90, partitions.STORY_DAYS)

    assert await rows(database, "SELECT DISTINCT key FROM report_lines") == [("a",)]
    q = Question(today - timedelta(days=3000), datetime.now(UTC), group=("domain",), by="domain")
    assert await answered(database, q) == {("a", "delivered", "1"): 2}
    assert await answered(database, replace(q, since=today - timedelta(days=30))) == {("a", "delivered", "1"): 1}
    assert await rows(database, "SELECT count(*) FROM report_totals WHERE before <= %s", [today - timedelta(400)]) == [
        (2,)
    ]
