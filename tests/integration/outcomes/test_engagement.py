"""Opens and clicks in the database: events, counters, webhooks, who engages; each hit once."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from core.ids import uuid7
from flags.asking import OFF, Switch
from flags.declared import ENGAGEMENT
from messages.link_tokens import Kind
from messages.model import MessageRef
from messages.repository import EventView, find_email, read_events
from outcomes import engagement
from outcomes.engagement import Written, engagement_of, last_engaged, record, report_activity
from outcomes.engagement_writer import EngagementWriter
from outcomes.hits import Hit, HitSpool
from outcomes.machines import load_machines
from outcomes.record import record as record_outcomes
from store.database import Database
from tests.integration.messages.emails import APPLICATION, make_partitions, new_email
from tests.integration.outcomes.facts import outcome
from tests.integration.outcomes.test_record import claimed
from tests.integration.webhooks.outbox import make_endpoint, told
from tests.switches import switched
from web.faces.emails import email_detail

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0"
BOOK = load_machines()


@pytest.fixture(autouse=True)
async def _partitions(database: Database) -> None:
    await make_partitions(database)


async def delivered(database: Database, *addresses: str, **changes: Any) -> tuple[list[MessageRef], datetime]:
    """Messages that were delivered five minutes ago."""
    found = await claimed(database, new_email(*addresses, **changes))
    at = datetime.now(UTC) - timedelta(minutes=5)
    async with database.transaction() as connection:
        await record_outcomes(connection, [outcome(ref, at=at) for ref in found])
    return list(found), at + timedelta(minutes=1)


def hit(ref: MessageRef, at: datetime, kind: Kind = Kind.OPEN, **changes: Any) -> Hit:
    link = "https://a.example/" if kind is Kind.CLICK else ""
    return replace(Hit(kind, ref, at, link, "198.51.100.7", FIREFOX, False), **changes)


async def write(database: Database, *hits: Hit, segment: UUID | None = None) -> Written | None:
    async with database.transaction() as connection:
        return await record(connection, segment or uuid7(), hits, (), BOOK)


async def events(database: Database, ref: MessageRef) -> list[EventView]:
    async with database.connection() as connection:
        found, _ = await read_events(connection, ref.email_id)
    return [event for event in found if event.kind in ("opened", "clicked")]


async def counted(database: Database) -> dict[tuple[str, str], int]:
    async with database.connection() as connection:
        cursor = await connection.execute(
            "SELECT outcome, part, sum(n)::int FROM count_deltas WHERE outcome IN ('opened', 'clicked') GROUP BY 1, 2"
        )
        return {(what, part): n for what, part, n in await cursor.fetchall()}


async def test_an_open_and_a_click_stand_in_the_timeline(database: Database) -> None:
    endpoint = await make_endpoint(database)
    (ref,), at = await delivered(database, "a@example.com")
    assert await write(database, hit(ref, at), hit(ref, at, Kind.CLICK)) == Written(2, 0, 0)

    opened, clicked = await events(database, ref)
    assert (opened.kind, opened.provider, opened.ip) == ("opened", "gmail", "127.0.1.1")
    assert clicked.engagement == {
        "ip": "198.51.100.7", "user_agent": FIREFOX, "machine": None, "proxy": None, "first": True,
        "link": "https://a.example/",
    }  # fmt: skip
    assert await counted(database) == {("opened", "first"): 1, ("clicked", "first"): 1}
    told_of = {event["type"]: event["data"] for event in await told(database, endpoint)}
    assert told_of["email.clicked"]["click"]["link"] == "https://a.example/"
    assert told_of["email.clicked"]["click"]["ipAddress"] == "198.51.100.7"
    assert told_of["email.opened"]["machine"] is None


async def test_the_last_event_of_an_email_is_what_a_person_did(database: Database) -> None:
    (ref,), at = await delivered(database, "a@example.com")

    async def last() -> str:
        async with database.connection() as connection:
            found = await find_email(connection, APPLICATION, ref.email_id)
        assert found is not None
        return str(email_detail(found)["last_event"])

    await write(database, hit(ref, at, agent="Mozilla/5.0"))
    assert await last() == "delivered"
    await write(database, hit(ref, at))
    assert await last() == "opened"
    await write(database, hit(ref, at, Kind.CLICK))
    assert await last() == "clicked"


async def test_only_the_first_of_a_person_is_the_first(database: Database) -> None:
    (ref,), at = await delivered(database, "a@example.com")
    await write(database, hit(ref, at, agent="Mozilla/5.0"), hit(ref, at), hit(ref, at))
    await write(database, hit(ref, at + timedelta(hours=1)), hit(ref, at, agent="curl/8"))

    found = [event.engagement or {} for event in await events(database, ref)]
    assert sorted((e["machine"] or "", e["first"]) for e in found) == [
        ("", False), ("", False), ("", True), ("apple_privacy", False), ("program", False),
    ]  # fmt: skip
    assert await counted(database) == {("opened", "first"): 1, ("opened", "again"): 2, ("opened", "machine"): 2}


async def test_a_segment_counts_once_however_often_it_is_read(database: Database) -> None:
    (ref,), at = await delivered(database, "a@example.com")
    segment = uuid7()
    assert await write(database, hit(ref, at), segment=segment) is not None
    assert await write(database, hit(ref, at), segment=segment) is None
    assert len(await events(database, ref)) == 1


async def test_who_engages_is_known_without_machines(database: Database) -> None:
    (one, other), at = await delivered(database, "A@example.com", "b@example.com")
    later = at + timedelta(minutes=2)
    await write(database, hit(one, at), hit(one, later), hit(one, at, Kind.CLICK), hit(other, at, agent="Mozilla/5.0"))
    async with database.transaction() as connection:
        found = await engagement_of(connection, APPLICATION, "a@example.com")
        assert found is not None
        assert (found.opened_at, found.clicked_at, found.opens, found.clicks) == (later, at, 2, 1)
        assert await engagement_of(connection, APPLICATION, "b@example.com") is None
        await report_activity(connection, APPLICATION, "b@example.com", later)
        whom = [(APPLICATION, "a@example.com"), (APPLICATION, "b@example.com"), (APPLICATION, "c@example.com")]
        assert await last_engaged(connection, whom) == {whom[0]: later, whom[1]: later}


async def test_captured_mail_engages_nobody(database: Database) -> None:
    (ref,), at = await delivered(database, "a@example.com", capture=True)
    await write(database, hit(ref, at))
    assert len(await events(database, ref)) == 1
    assert await counted(database) == {}
    async with database.connection() as connection:
        assert await engagement_of(connection, APPLICATION, "a@example.com") is None


async def test_mail_that_is_forgotten_and_visits_to_the_hidden_link_leave_no_event(database: Database) -> None:
    (ref,), at = await delivered(database, "a@example.com")
    assert await write(database, hit(MessageRef(uuid7(), 0), at), hit(ref, at, Kind.TRAP)) == Written(0, 0, 2)
    assert await events(database, ref) == []


async def test_one_link_does_not_fill_the_timeline(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engagement, "MOST_EVENTS", 3)
    (ref,), at = await delivered(database, "a@example.com")
    await write(database, hit(ref, at), hit(ref, at))
    await write(database, hit(ref, at), hit(ref, at), hit(ref, at))
    assert len(await events(database, ref)) == 3


async def test_the_writer_leaves_nothing_behind_at_the_end(database: Database, tmp_path: Path) -> None:
    (ref,), at = await delivered(database, "a@example.com")
    writer = EngagementWriter(database, HitSpool(tmp_path))
    await writer.start()
    writer.put(hit(ref, at), "198.51.100.7")
    await writer.stop()
    assert len(await events(database, ref)) == 1
    assert list(tmp_path.glob("*.hits")) == []


async def test_what_cannot_be_stored_does_not_hold_up_the_rest(database: Database, tmp_path: Path) -> None:
    (ref,), at = await delivered(database, "a@example.com")
    writer = EngagementWriter(database, HitSpool(tmp_path))
    writer.put(hit(ref, at, agent="a\x00b"), "x")
    writer.put(hit(ref, at), "x")
    await writer.stop()
    assert [(event.engagement or {})["user_agent"] for event in await events(database, ref)] == [FIREFOX]


async def test_hits_wait_on_the_disk_while_the_database_is_away(database: Database, tmp_path: Path) -> None:
    (ref,), at = await delivered(database, "a@example.com")
    away = Database("postgresql://nobody@127.0.0.1:1/none", 1)
    await away.open()
    writer = EngagementWriter(away, HitSpool(tmp_path))
    for _ in range(5):
        writer.put(hit(ref, at), "x")
    await writer.stop()
    await away.close()
    assert len(list(tmp_path.glob("*.hits"))) == 1

    successor = EngagementWriter(database, HitSpool(tmp_path))
    await successor.stop()
    assert len(await events(database, ref)) == 5


async def test_a_file_that_somebody_else_has_is_not_called_written(database: Database, tmp_path: Path) -> None:
    (ref,), at = await delivered(database, "a@example.com")
    spool = HitSpool(tmp_path)
    writer = EngagementWriter(database, spool)
    writer.put(hit(ref, at), "x")
    spool.turn()
    (segment,) = spool.closed()
    taken = segment.file.rename(tmp_path / "elsewhere")
    await writer.stop()
    assert spool.closed() == ()

    taken.rename(segment.file)
    await EngagementWriter(database, HitSpool(tmp_path)).stop()
    assert len(await events(database, ref)) == 1


async def test_a_flood_of_one_link_is_not_kept(database: Database, tmp_path: Path) -> None:
    (ref,), at = await delivered(database, "a@example.com")
    spool = HitSpool(tmp_path)
    writer = EngagementWriter(database, spool)
    for _ in range(500):
        writer.put(hit(ref, at), "x")
    assert spool._hits < 100
    await writer.stop()


async def test_switched_off_nothing_is_written_down_for_this_application(database: Database) -> None:
    (ref,), at = await delivered(database, "a@example.com")
    with switched(ENGAGEMENT, Switch(None, {APPLICATION: OFF})):
        assert await write(database, hit(ref, at), hit(ref, at, Kind.CLICK)) == Written(0, 0, 2)
    assert (await events(database, ref), await counted(database)) == ([], {})
    assert await write(database, hit(ref, at)) == Written(1, 0, 0)
