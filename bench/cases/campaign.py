"""What a campaign costs and how soon it begins: from its start to the last 250, against plain mail of the same size.

One stack on one database. A million contacts are there before, of whom some are on a list; the list's campaign is
tracked (opens, clicks), the plain mail before and behind it is not: a campaign without tracking is none that anybody
sends. Then a campaign to all of the million begins, its first mail is waited for, and it is cancelled.

A row is what PostgreSQL keeps of one person of a campaign that has ended, with indexes and what updates left behind.
Memory is that of the processes that feed and send, the most they ever had, up to the end of a campaign to ten thousand
and up to that of the large one: what is kept of each person of a campaign would be seen in it. What was composed and
waits for a session is in it, up to the limit that a process has for that.
"""

import asyncio
import statistics
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from audience import audiences, properties, segments
from audience.properties import PropertyType
from bench import processor, rows
from bench.campaign_mail import LINKS, VARIABLES, PlainMail, words
from bench.cases.throughput import WARM_UP, Pass, deliver, full_shape
from bench.databases import BenchDatabase
from bench.options import Options
from bench.session import Session, expect
from bench.sink import wait_for_count
from bench.world import Own, Running
from campaigns import repository, steering
from campaigns.model import Campaign, Draft
from store.database import Database
from workers.budget import AHEAD_BYTES

KEYS = (
    "campaign_per_s", "campaign_ratio", "campaign_first_mail_ms", "bytes_per_recipient", "campaign_memory_ratio",
    "segment_count_ms",
)  # fmt: skip

_SETTINGS: Final = {"POSTLANE_PUBLIC_URL": "http://127.0.0.1"}
_FILTER: Final = 'city = "Berlin" and points > 500 and not plan = "free"'
_COUNTS: Final = 5
_PATIENCE: Final = 1800.0
_SETTLED_SECONDS: Final = 120.0
_FEW: Final = 10_000
"""People of the campaign that memory is compared with; a part of the large one where that has few itself."""
_FEED_AND_SEND: Final = ("worker-background", "worker-marketing")


@dataclass(frozen=True, slots=True)
class _Lists:
    """Segments of the database."""

    everybody: UUID
    some: UUID
    few: UUID


@dataclass(frozen=True, slots=True)
class _Memory:
    """Megabytes by process."""

    peak: dict[str, float]
    """The most so far."""
    behind: dict[str, float]
    """Behind a campaign."""


async def measure(session: Session) -> None:
    """All figures of this module."""
    world, database = session.world, session.world.databases.copy("bench_campaign")
    pool = Database(database.url, size=2, name="postlane-bench")
    await pool.open()
    try:
        lists = await _fill(session, database, pool)
        await _count(session, pool)
        with world.stack(database, lambda port: full_shape(session, port), Own(_SETTINGS)) as running:
            await _compare(session, running, pool, lists)
            await _first_mail(session, running, pool, lists.everybody)
    finally:
        await pool.close()
    world.databases.drop(database.name)


async def _fill(session: Session, database: BenchDatabase, pool: Database) -> _Lists:
    application = session.world.databases.tenant.application
    async with pool.transaction() as connection:
        for key, kind in (
            ("city", PropertyType.STRING),
            ("plan", PropertyType.STRING),
            ("points", PropertyType.NUMBER),
        ):
            await properties.create(connection, application, key, kind)
        made = [await segments.create(connection, application, name) for name in ("everybody", "some", "few")]
    lists, options = _Lists(*(one.id for one in made)), session.options
    with database.connect() as connection:
        for first, last in rows.chunks(options.contacts):
            session.say(f"campaign: {first - 1:,} of {options.contacts:,} contacts")
            rows.add_contacts(connection, database.rows, (first, last), lists.everybody)
        rows.put_on_list(connection, lists.everybody, lists.some, options.campaign_people)
        rows.put_on_list(connection, lists.everybody, lists.few, _few(options))
        rows.settle(connection, "contacts", "segment_members")
    session.world.databases.checkpoint()
    return lists


async def _count(session: Session, pool: Database) -> None:
    application = session.world.databases.tenant.application
    async with pool.transaction() as connection:
        filtered = await segments.create(connection, application, "filtered", _FILTER)
    times: list[float] = []
    for _ in range(_COUNTS):
        async with pool.connection() as connection:
            begun = time.perf_counter()
            audience = await segments.audience(connection, filtered)
            found = await audiences.count(connection, application, audience, datetime.now(UTC))
            times.append((time.perf_counter() - begun) * 1000)
    expect(0 < found < session.options.contacts, f"{found:,} people fit the filter")
    session.add(
        "segment_count_ms", times, contacts=session.options.contacts, found=found, filter=_FILTER,
        note="the segment is read, compiled and counted; each run is one count",
    )  # fmt: skip


async def _compare(session: Session, running: Running, pool: Database, lists: _Lists) -> None:
    plain, options = PlainMail(words()), session.options
    await deliver(session, running, WARM_UP, "campaign-warm-up", plain)
    before = await _memory_of_few(session, running, pool, lists.few)
    passes: list[Pass] = []
    for turn in range(2):
        if turn:
            session.say(f"campaign: {options.campaign_people:,} people")
            rate, cpu = await _campaign(session, running, pool, lists.some, options.campaign_people)
            _add_memory(session, before, _memory(running))
        session.say(f"campaign: {options.told_messages:,} plain mails")
        passes.append(await deliver(session, running, options.told_messages, f"plain{turn}", plain))
    around = statistics.mean(one.per_second for one in passes)
    session.add(
        "campaign_per_s", [rate], people=options.campaign_people, variables=len(VARIABLES), links=LINKS,
        html_and_text_bytes=plain.size, cpu_microseconds_per_message=cpu,
        plain_cpu_microseconds_per_message=passes[-1].cpu,
        note="from its start to the last 250: audience fixed, fed, rendered, tracked, signed, recorded, settled",
    )  # fmt: skip
    session.add(
        "campaign_ratio", [rate / around], plain_per_s=[one.per_second for one in passes],
        plain_messages=options.told_messages, note="plain mail of the same bytes by POST /emails/batch, not tracked",
    )  # fmt: skip
    _add_bytes(session, running.database)


async def _campaign(
    session: Session, running: Running, pool: Database, list_id: UUID, people: int
) -> tuple[float, dict[str, float]]:
    sink = session.world.sink
    draft = Draft(words(), "bench", list_id, open_tracking=True, click_tracking=True)
    before, pids = sink.count(), running.pids() | session.world.server_pids()
    cpu, begun = processor.sample(pids), time.monotonic()
    campaign = await _start(session, pool, draft)
    arrived = await wait_for_count(sink, before + people, _PATIENCE, running.check)
    used = processor.sample(pids).since(cpu)
    await _ended(running, pool, campaign)
    expect(sink.count() == before + people, f"the sink took {sink.count() - before:,} mails for {people:,} people")
    return people / (arrived - begun), processor.microseconds_per_message(used, people)


async def _start(session: Session, pool: Database, draft: Draft) -> Campaign:
    application = session.world.databases.tenant.application
    async with pool.transaction() as connection:
        return await steering.start(connection, await steering.create(connection, application, draft))


async def _ended(running: Running, pool: Database, campaign: Campaign) -> None:
    """Finished, with an outcome in every row."""
    ends = time.monotonic() + _SETTLED_SECONDS
    while True:
        running.check()
        async with pool.connection() as connection:
            known = await repository.get(connection, campaign.application_id, campaign.id)
        if known.state == "finished":
            break
        expect(time.monotonic() < ends, "the campaign does not finish", known.tallies)
        await asyncio.sleep(0.2)
    delivered = {state: n for state, n in known.tallies.items() if n}
    expect(set(delivered) == {"delivered"}, "not everybody got the campaign", delivered)


async def _memory_of_few(session: Session, running: Running, pool: Database, list_id: UUID) -> _Memory | None:
    """Behind a campaign to few people; nothing when nobody asked."""
    if not session.wants("campaign_memory_ratio"):
        return None
    people = _few(session.options)
    session.say(f"campaign: {people:,} people, for their memory")
    await _campaign(session, running, pool, list_id, people)
    return _memory(running)


def _few(options: Options) -> int:
    return min(_FEW, options.campaign_people // 4)


def _memory(running: Running) -> _Memory:
    pids = {name: pid for name, pid in running.pids().items() if name.startswith(_FEED_AND_SEND)}
    return _Memory(
        {name: processor.peak_mb(pid) for name, pid in pids.items()},
        {name: processor.memory_mb(pid) for name, pid in pids.items()},
    )


def _add_memory(session: Session, before: _Memory | None, after: _Memory) -> None:
    if before is not None:
        session.add(
            "campaign_memory_ratio", [sum(after.peak.values()) / sum(before.peak.values())],
            people=session.options.campaign_people, few=_few(session.options), peak_of_few_mb=before.peak,
            peak_of_all_mb=after.peak, behind_few_mb=before.behind, behind_all_mb=after.behind,
            composed_ahead_bytes=AHEAD_BYTES,
            note="most resident memory of the background process and the marketing workers since they began, of one"
            " stack; a worker has so many bytes for mail that is composed ahead",
        )  # fmt: skip


def _add_bytes(session: Session, database: BenchDatabase) -> None:
    with database.connect() as connection:
        row = connection.execute(
            "SELECT pg_total_relation_size('campaign_recipients'), (SELECT count(*) FROM campaign_recipients),"
            " (SELECT sum(pg_total_relation_size(c.oid)) FROM pg_class c WHERE c.relkind = 'r'"
            "   AND c.relname ~ '^(emails|messages|events)_')"
        ).fetchone()
    assert row is not None
    size, people, mail = (int(str(value or 0)) for value in row)
    session.add(
        "bytes_per_recipient", [size / people], people=people, mail_bytes_of_all_mail_so_far=mail,
        note="table and indexes of the campaign's people, right after its end, before any vacuum",
    )  # fmt: skip


async def _first_mail(session: Session, running: Running, pool: Database, list_id: UUID) -> None:
    """From the start of a campaign to everybody to its first mail; then it is cancelled."""
    if not session.wants("campaign_first_mail_ms"):
        return
    session.say(f"campaign: first mail of {session.options.contacts:,}")
    sink = session.world.sink
    before, begun = sink.count(), time.monotonic()
    campaign = await _start(session, pool, Draft(words(), "first mail", list_id))
    arrived = await wait_for_count(sink, before + 1, 120.0, running.check)
    async with pool.transaction() as connection:
        known = await repository.get(connection, campaign.application_id, campaign.id)
        await steering.cancel(connection, known)
    session.add(
        "campaign_first_mail_ms", [(arrived - begun) * 1000], contacts=session.options.contacts,
        note="from the commit that starts it; the rest of its audience is fixed meanwhile",
    )  # fmt: skip
