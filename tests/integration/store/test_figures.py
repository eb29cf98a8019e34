"""Figures are what was counted, by every dimension and period, and whole days are read from the daily sums."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from core.ids import uuid7
from core.refusal import Refused
from store import figures
from store.database import Database
from store.figures import Answer, Question
from store.report_question import Wanted, question
from tests.integration.messages.emails import APPLICATION, execute, rows

OTHER = UUID(int=70)
NOW = datetime(2026, 11, 20, 12, 30, tzinfo=UTC)


async def counted(database: Database, at: datetime, n: int, by: str = "application", **labels: Any) -> None:
    """So many of something in the hour of `at`."""
    told = {"key": "", "application_id": APPLICATION, "lane": "marketing", "provider": "gmail"}
    told |= {"outcome": "delivered", "part": "1"} | labels
    await execute(
        database,
        "WITH s AS (INSERT INTO report_series (by, key, application_id, lane, provider, outcome, part)"
        " VALUES (%(by)s, %(key)s, %(application_id)s, %(lane)s, %(provider)s, %(outcome)s, %(part)s)"
        " ON CONFLICT (by, application_id, key, lane, provider, outcome, part) DO UPDATE SET by = excluded.by"
        " RETURNING id), h AS (INSERT INTO report_hours SELECT id, date_trunc('hour', %(at)s), %(n)s FROM s)"
        " INSERT INTO report_days AS d SELECT id, %(at)s::timestamptz::date, %(n)s FROM s"
        " ON CONFLICT (series_id, day) DO UPDATE SET n = d.n + excluded.n",
        told | {"by": by, "at": at, "n": n},  # type: ignore[arg-type]
    )


async def asked(database: Database, now: datetime = NOW, **wanted: Any) -> Answer:
    async with database.connection() as connection:
        meant = await question(connection, Wanted(**wanted), now, timedelta(days=90))
        return await figures.ask(connection, meant)


def delivered(answer: Answer) -> Mapping[tuple[Any, ...], int]:
    return {(str(row.period or ""), *row.keys): row.tally.sum("delivered") for row in answer.rows}


async def test_totals_are_those_of_the_time(database: Database) -> None:
    for hours, n in ((0, 1), (12, 2), (13, 4), (24 * 6 + 12, 8), (24 * 8, 16)):
        await counted(database, NOW - timedelta(hours=hours), n)

    assert (await asked(database)).totals.sum("delivered") == 1 + 2 + 4
    assert (await asked(database, start="2026-11-14")).totals.sum("delivered") == 1 + 2 + 4 + 8
    assert (await asked(database, start="2026-11-19", end="2026-11-19")).totals.sum("delivered") == 4
    assert (await asked(database, start="2026-11-01", end="2026-11-20T00:00:00Z")).totals.sum("delivered") == 4 + 8 + 16
    await counted(database, NOW + timedelta(hours=1), 32)
    later = await asked(database, NOW + timedelta(hours=5), end=NOW.isoformat())
    assert later.totals.sum("delivered") == 1 + 2 + 4


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "America/New_York"])
async def test_days_are_those_of_the_zone(database: Database, zone: str) -> None:
    place = ZoneInfo(zone)
    for hours in range(0, 72, 5):
        await counted(database, NOW - timedelta(hours=hours), 1)
    expected: dict[tuple[str], int] = {}
    for hours in range(0, 72, 5):
        day = (NOW - timedelta(hours=hours)).astimezone(place).date()
        expected[str(day),] = expected.get((str(day),), 0) + 1
    found = await asked(database, timezone=zone, group_by=("day",), start="2026-11-15")

    assert delivered(found) == expected


async def test_an_hour_that_the_clock_shows_twice_is_two(database: Database) -> None:
    for hour in (0, 1):
        await counted(database, datetime(2026, 10, 25, hour, tzinfo=UTC), hour + 1)
    found = await asked(database, timezone="Europe/Berlin", group_by=("hour",), start="2026-10-25", end="2026-10-25")

    assert delivered(found) == {("2026-10-25 02:00:00+02:00",): 1, ("2026-10-25 02:00:00+01:00",): 2}


async def test_dimensions_combine_with_stream_provider_and_application(database: Database) -> None:
    for provider, lane, whose, n in (
        ("gmail", "marketing", APPLICATION, 1), ("gmail", "transactional", APPLICATION, 2),
        ("yahoo", "marketing", OTHER, 4),
    ):  # fmt: skip
        for by, key in (("application", ""), ("ip", "192.0.2.1")):
            await counted(database, NOW, n, by, key=key, provider=provider, lane=lane, application_id=whose)

    by_both = delivered(await asked(database, group_by=("stream", "provider")))
    assert by_both == {("", "marketing", "gmail"): 1, ("", "marketing", "yahoo"): 4, ("", "transactional", "gmail"): 2}
    assert delivered(await asked(database, group_by=("ip",), filters={"provider": ["yahoo"]})) == {("", "192.0.2.1"): 4}
    assert (await asked(database, filters={"ip": ["192.0.2.1"]}, application_id=OTHER)).totals.sum("delivered") == 4
    assert (await asked(database, filters={"ip": ["192.0.2.9"]})).totals.sum("delivered") == 0
    by_application = delivered(await asked(database, group_by=("application",)))
    assert by_application == {("", str(APPLICATION)): 3, ("", str(OTHER)): 4}


async def test_names_are_found_and_what_is_gone_by_its_id(database: Database) -> None:
    domain, gone = uuid7(), uuid7()
    await execute(database, "INSERT INTO applications (id, name) VALUES (%s, 'acme')", [APPLICATION])
    await execute(
        database,
        "INSERT INTO domains (id, application_id, name, return_path_domain) VALUES (%s, %s, 'acme.example', 'x')",
        [domain, APPLICATION],
    )
    await counted(database, NOW, 3, "domain", key=str(domain))
    await counted(database, NOW, 5, "domain", key=str(gone))

    for text, n in (("acme.example", 3), (str(domain), 3), (str(gone), 5)):
        assert (await asked(database, filters={"domain": [text]})).totals.sum("delivered") == n
    with pytest.raises(Refused, match=r"there is no domain nope\.example"):
        await asked(database, filters={"domain": ["nope.example"]})
    with pytest.raises(Refused, match="there is no domain"):
        await asked(database, filters={"domain": ["acme.example"]}, application_id=OTHER)


@pytest.mark.parametrize(
    ("wanted", "field"),
    [
        ({"timezone": "Mars/Olympus"}, "timezone"), ({"timezone": "../etc"}, "timezone"),
        ({"start": "yesterday"}, "start_date"), ({"end": "2026-13-01"}, "end_date"),
        ({"start": "2026-11-21"}, "start_date"), ({"group_by": ("hour",), "start": "2020-01-01"}, "start_date"),
        ({"group_by": ("weather",)}, "group_by"), ({"group_by": ("hour", "day")}, "group_by"),
        ({"group_by": ("domain", "ip")}, "group_by"), ({"group_by": ("tag",), "filters": {"pool": ["x"]}}, "group_by"),
        ({"filters": {"stream": ["spam"]}}, "stream"), ({"filters": {"provider": ["x"] * 101}}, "provider"),
    ],
)  # fmt: skip
async def test_what_cannot_be_asked_names_its_field(database: Database, wanted: dict[str, Any], field: str) -> None:
    with pytest.raises(Refused) as refused:
        await asked(database, **wanted)
    assert refused.value.field == field


async def test_whole_days_are_not_counted_by_their_hours(database: Database) -> None:
    """The hours are gone after some months; the days stay."""
    await counted(database, NOW - timedelta(days=200), 7)
    await execute(database, "DELETE FROM report_hours")

    assert (await asked(database, start="2026-01-01")).totals.sum("delivered") == 7
    found = await asked(database, start="2026-01-01", timezone="Europe/Berlin", group_by=("month",))
    assert delivered(found) == {("2026-05-01",): 7}
    assert await rows(database, "SELECT count(*) FROM report_hours") == [(0,)]


async def test_an_answer_has_an_end(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(figures, "MOST_ROWS", 2)
    for n in range(3):
        await counted(database, NOW, 1, "ip", key=f"192.0.2.{n}")
    with pytest.raises(Refused, match="more than 2 rows"):
        await asked(database, group_by=("ip",))
    since, until = NOW - timedelta(days=1), NOW
    async with database.connection() as connection:
        assert (await figures.ask(connection, Question(since, until, by="ip"))).totals.sum("delivered") == 3


async def test_the_largest_rows_are_those_of_the_whole_answer(database: Database) -> None:
    for n in range(1, 9):
        outcome = "bounced" if n % 2 else "delivered"
        await counted(database, NOW, n % 5, "domain", key=f"d{n}", outcome=outcome)
        await counted(database, NOW, 10 - n, "domain", key=f"d{n}", outcome="accepted")
        await counted(database, NOW - timedelta(days=9), 99, "domain", key=f"d{n}")
    await counted(database, NOW, 500, "domain", key="", outcome="accepted")
    every = (await asked(database, group_by=("domain",))).rows
    expected = sorted(
        [row for row in every if row.keys[0]],
        key=lambda row: (-row.tally.sum("delivered", "bounced"), -row.tally.sum("accepted")),
    )
    async with database.connection() as connection:
        meant = await question(connection, Wanted(group_by=("domain",)), NOW, timedelta(days=90))
        found = await figures.largest(connection, meant, 3)

    assert found.count == 8, "mail that was only accepted has no domain's row"
    assert [(row.keys, row.tally.counts()) for row in found.rows] == [
        (row.keys, row.tally.counts()) for row in expected[:3]
    ]
    assert [row.keys[0] for row in found.rows] == ["d4", "d3", "d8"]
