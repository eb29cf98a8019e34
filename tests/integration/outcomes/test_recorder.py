"""The recorder: commits in groups, keeps everything while the database is away, and survives what it is given."""

import asyncio
import resource
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import psycopg
import pytest

from messages.model import MessageRef
from outcomes import recorder as module
from outcomes.journal import Journal
from outcomes.kinds import Outcome
from outcomes.record import Recorded
from outcomes.recorder import Recorder
from store.database import Database
from tests.integration.messages.emails import (
    execute,
    fill_disk,
    make_partitions,
    make_room,
    new_email,
    refs,
    rows,
    states,
    store,
)
from tests.integration.outcomes.facts import WORKER, attempt, bounce, outcome
from workers.loop import LoopThread

NUL = attempt(reply="text with \x00")


class Commits:
    """Notes every commit."""

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.told: list[Outcome] = []
        self.ended = 0
        self.repeats = 0

    def __call__(self, outcomes: Sequence[Outcome], recorded: Recorded, seconds: float) -> None:
        self.batches.append(len(outcomes))
        self.told.extend(outcomes)
        self.ended += recorded.ended
        self.repeats += recorded.repeats
        assert seconds >= 0


@pytest.fixture
def commits() -> Commits:
    return Commits()


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    made = Journal(tmp_path / "journals", "w")
    made.begin(WORKER)
    return made


@pytest.fixture
async def recorder(database: Database, journal: Journal, commits: Commits) -> AsyncIterator[Recorder]:
    made = Recorder(database, journal, 0.02, commits)
    await made.start()
    yield made
    await made.close()
    journal.close()


async def queued(database: Database, count: int) -> list[MessageRef]:
    """So many messages on their way."""
    await make_partitions(database)
    email = new_email(*(f"u{number}@example.com" for number in range(count)))
    await store(database, email)
    return refs(email)


async def until(condition: Callable[[], bool | Awaitable[bool]], seconds: float = 5.0) -> None:
    async with asyncio.timeout(seconds):
        while True:
            found = condition()
            if found if isinstance(found, bool) else await found:
                return
            await asyncio.sleep(0.005)


async def committed(recorder: Recorder) -> None:
    await until(lambda: recorder.depth() == 0)


async def test_outcomes_are_committed_together_and_the_journal_is_emptied(
    recorder: Recorder, database: Database, journal: Journal, commits: Commits
) -> None:
    found = await queued(database, 50)
    for ref in found:
        recorder.put(outcome(ref))
    await asyncio.sleep(0)
    assert len(journal.left_behind()[1]) == 50
    await committed(recorder)

    assert set((await states(database)).values()) == {"delivered"}
    assert commits.batches == [50]
    assert journal.left_behind()[1] == []
    assert recorder.trouble() == ""


async def test_outcomes_of_one_turn_are_in_the_journal_by_one_write_before_another_mail_leaves(
    recorder: Recorder, database: Database, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kill repeats mail that is on the wire, never one that was answered before."""
    found = await queued(database, 5)
    writes: list[int] = []
    append = journal.append

    def counting(*outcomes: Outcome) -> None:
        writes.append(len(outcomes))
        append(*outcomes)

    monkeypatch.setattr(journal, "append", counting)
    for ref in found[:3]:
        recorder.put(outcome(ref))
    assert journal.left_behind()[1] == []
    assert await recorder.ready()
    assert len(journal.left_behind()[1]) == 3
    for ref in found[3:]:
        recorder.put(outcome(ref))
    await committed(recorder)

    assert writes == [3, 2]


async def test_an_outcome_that_cannot_be_written_keeps_no_other_out_of_the_journal(
    database: Database, journal: Journal, commits: Commits
) -> None:
    recorder = Recorder(database, journal, 0.02, commits)
    first, broken, last = await queued(database, 3)
    recorder.put(outcome(first))
    recorder.put(outcome(broken)._replace(next_attempt_at=object()))  # type: ignore[arg-type]  # a bug
    recorder.put(outcome(last))

    assert await recorder.ready()
    assert {one.ref for one in journal.left_behind()[1]} == {first, last}


async def test_an_outcome_of_the_last_turn_of_a_loop_is_written_by_whoever_stops_it(
    database: Database, journal: Journal, commits: Commits
) -> None:
    (ref,) = await queued(database, 1)
    recorder = Recorder(database, journal, 0.02, commits)
    loop = LoopThread()
    asked: list[Outcome] = []

    def turn() -> None:
        asked.append(outcome(ref))
        recorder.put(asked[-1])
        loop._loop.call_soon(turn)

    loop._loop.call_soon_threadsafe(turn)
    await asyncio.sleep(0.01)
    loop.stop()
    recorder.write_down()

    assert len(journal.left_behind()[1]) == len(asked)


async def test_a_busy_worker_commits_less_often(
    database: Database, commits: Commits, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BUSY_AT", 2)
    found = await queued(database, 6)
    recorder = Recorder(database, None, 0.2, commits)
    await recorder.start()
    for ref in found[:2]:
        recorder.put(outcome(ref))
    await asyncio.sleep(0.3)
    for ref in found[2:5]:
        recorder.put(outcome(ref))
    await committed(recorder)
    recorder.put(outcome(found[5]))
    await committed(recorder)
    await recorder.close()

    assert commits.batches == [5, 1]


async def test_many_outcomes_do_not_wait_for_the_interval(
    database: Database, commits: Commits, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FLUSH_AT", 10)
    found = await queued(database, 10)
    recorder = Recorder(database, None, 60.0, commits)
    await recorder.start()
    for ref in found:
        recorder.put(outcome(ref))
    await committed(recorder)
    await recorder.close()

    assert commits.batches == [10]


async def test_closing_commits_what_is_there_at_once(database: Database, commits: Commits) -> None:
    found = await queued(database, 3)
    recorder = Recorder(database, None, 60.0, commits)
    await recorder.start()
    for ref in found:
        recorder.put(outcome(ref))
    started = time.monotonic()
    await recorder.close()

    assert time.monotonic() - started < 5
    assert commits.batches == [3]
    assert recorder.trouble() == ""


async def test_resting_costs_no_processor_time_whatever_the_interval(database: Database, commits: Commits) -> None:
    """`outcome_flush_ms` may be 0."""
    recorder = Recorder(database, None, 0.0, commits)
    await recorder.start()
    before = resource.getrusage(resource.RUSAGE_SELF)
    await asyncio.sleep(0.3)
    after = resource.getrusage(resource.RUSAGE_SELF)
    await recorder.close()

    assert after.ru_utime - before.ru_utime < 0.15


async def test_interval_of_zero_commits(database: Database, commits: Commits) -> None:
    (ref,) = await queued(database, 1)
    recorder = Recorder(database, None, 0.0, commits)
    await recorder.start()
    recorder.put(outcome(ref))
    await committed(recorder)
    await recorder.close()

    assert set((await states(database)).values()) == {"delivered"}


# The database is away


async def close_door(database_url: str, closed: bool) -> None:
    """Nobody but this connection may use the database; those connected are thrown out."""
    name = database_url.rpartition("/")[2].partition("?")[0]
    other = database_url.replace(f"/{name}", "/postgres")
    async with await psycopg.AsyncConnection.connect(other, autocommit=True) as connection:
        await connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS {str(not closed).lower()}")  # type: ignore[arg-type]
        if closed:
            await connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"
                " AND backend_type = 'client backend'",
                [name],
            )


async def test_outcomes_wait_for_an_away_database_and_are_committed_when_it_is_back(
    recorder: Recorder, database: Database, database_url: str, journal: Journal, commits: Commits
) -> None:
    database._pool.timeout = 0.2
    found = await queued(database, 20)
    await close_door(database_url, True)
    for ref in found[:10]:
        recorder.put(outcome(ref))
    await asyncio.sleep(0.3)
    for ref in found[10:]:
        recorder.put(outcome(ref))
    await asyncio.sleep(0)
    assert recorder.depth() == 20
    assert len(journal.left_behind()[1]) == 20
    await close_door(database_url, False)
    await until(lambda: recorder.depth() == 0, 20)

    assert set((await states(database)).values()) == {"delivered"}
    assert (sum(commits.batches), commits.repeats) == (20, 0)
    assert journal.left_behind()[1] == []


async def test_no_more_is_claimed_while_too_many_wait(
    recorder: Recorder, database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FULL_AT", 5)
    monkeypatch.setattr(module, "_SLOW_SECONDS", 0.05)
    found = await queued(database, 6)
    async with await psycopg.AsyncConnection.connect(database_url) as holder:
        await holder.execute("LOCK TABLE delivery_queue IN ACCESS EXCLUSIVE MODE")
        for ref in found:
            recorder.put(outcome(ref))
        await asyncio.sleep(0.15)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(recorder.room(), 0.1)
        assert "wait for the database" in recorder.trouble()
        await holder.rollback()
    await asyncio.wait_for(recorder.room(), 5)
    await committed(recorder)

    assert recorder.trouble() == ""


async def test_replay_commits_what_a_predecessor_left(database: Database, journal: Journal, commits: Commits) -> None:
    found = await queued(database, 4)
    recorder = Recorder(database, journal, 0.02, commits)
    await recorder.replay([outcome(ref) for ref in found] + [outcome(found[0])])
    await recorder.replay([])

    assert set((await states(database)).values()) == {"delivered"}
    assert (commits.batches, commits.repeats) == ([5], 1)


# What it is given


@pytest.mark.parametrize("reply", ["nul \x00", "half \udcff"])
async def test_an_outcome_that_cannot_be_stored_as_it_is_neither_stops_nor_loses_anything(
    recorder: Recorder, database: Database, commits: Commits, reply: str
) -> None:
    """The mail was taken by its server: not recording it would send it again, for ever."""
    found = await queued(database, 30)
    for number, ref in enumerate(found):
        recorder.put(outcome(ref, attempt=attempt(reply=reply if number == 7 else "ok")))
    await committed(recorder)

    assert set((await states(database)).values()) == {"delivered"}
    assert sum(commits.batches) == 30
    assert recorder.trouble() == ""
    assert await rows(database, "SELECT count(*) FROM events WHERE reply <> 'ok'") == [(1,)]


async def test_poison_in_a_journal_does_not_keep_a_worker_from_starting(
    database: Database, journal: Journal, commits: Commits
) -> None:
    found = await queued(database, 3)
    recorder = Recorder(database, journal, 0.02, commits)
    await recorder.replay([outcome(found[0]), outcome(found[1], attempt=NUL), bounce(found[2])])

    assert sorted((await states(database)).values()) == ["bounced", "delivered", "delivered"]


async def test_a_broken_schema_keeps_outcomes_until_it_is_mended(
    recorder: Recorder, database: Database, commits: Commits, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error that is about everything is no reason to give up anything."""
    monkeypatch.setattr(module, "_RETRY_SECONDS", 0.05)
    found = await queued(database, 3)
    await execute(database, "ALTER TABLE outcome_counts RENAME TO elsewhere")
    for ref in found:
        recorder.put(outcome(ref))
    await asyncio.sleep(0.3)
    assert (recorder.depth(), commits.batches) == (3, [])
    await execute(database, "ALTER TABLE elsewhere RENAME TO outcome_counts")
    await committed(recorder)

    assert set((await states(database)).values()) == {"delivered"}


async def test_a_full_disk_keeps_outcomes_until_there_is_room(
    recorder: Recorder, database: Database, commits: Commits, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of PostgreSQL: it goes on answering, and refuses to write."""
    monkeypatch.setattr(module, "_RETRY_SECONDS", 0.05)
    found = await queued(database, 3)
    await fill_disk(database, "events")
    for ref in found:
        recorder.put(outcome(ref))
    await asyncio.sleep(0.3)
    assert (recorder.depth(), commits.batches) == (3, [])
    await make_room(database)
    await committed(recorder)

    assert set((await states(database)).values()) == {"delivered"}


@pytest.mark.parametrize(
    ("changes", "state", "ended"),
    [({"attempt": attempt(duration_ms=-(2**40))}, "delivered", 1), ({"attempts": -(2**20)}, "queued", 0)],
)
async def test_a_mail_ends_whatever_is_said_about_it_and_is_let_go_of_at_the_last(
    recorder: Recorder, database: Database, commits: Commits, changes: dict[str, Any], state: str, ended: int
) -> None:
    """Nobody renews the claim of an outcome for ever: what cannot be stored in any form is told of too."""
    (ref,) = await queued(database, 1)
    recorder.put(outcome(ref, **changes))
    await committed(recorder)

    assert (await states(database))[ref] == state
    assert [one.ref for one in commits.told] == [ref]
    assert commits.ended == ended


# The journal cannot be written


@pytest.fixture
def full_disk(journal: Journal) -> Iterator[Callable[[bool], None]]:
    """Says whether the disk of the journal is full."""
    handles = journal._handles

    def is_full(full: bool) -> None:
        journal._handles = (-1, -1) if full else handles

    yield is_full
    is_full(False)


async def test_a_journal_that_cannot_be_written_loses_no_outcome(
    recorder: Recorder, database: Database, full_disk: Callable[[bool], None]
) -> None:
    found = await queued(database, 3)
    full_disk(True)
    for ref in found[:2]:
        recorder.put(outcome(ref))
    await committed(recorder)
    assert "journal cannot be written" in recorder.trouble()
    full_disk(False)
    recorder.put(outcome(found[2]))
    await committed(recorder)

    assert set((await states(database)).values()) == {"delivered"}
    assert recorder.trouble() == ""


async def test_without_a_journal_few_outcomes_are_exposed_at_a_time(
    recorder: Recorder, database: Database, database_url: str, full_disk: Callable[[bool], None]
) -> None:
    """A kill repeats what is in no journal and not committed."""
    found = await queued(database, module.EXPOSED_AT)
    full_disk(True)
    async with await psycopg.AsyncConnection.connect(database_url) as holder:
        await holder.execute("LOCK TABLE delivery_queue IN ACCESS EXCLUSIVE MODE")
        for ref in found[:-1]:
            recorder.put(outcome(ref))
        assert await recorder.ready()
        recorder.put(outcome(found[-1]))
        waiting = [asyncio.create_task(recorder.ready()), asyncio.create_task(recorder.room())]
        await asyncio.sleep(0.1)
        assert not any(one.done() for one in waiting)
        await holder.rollback()
        assert await asyncio.wait_for(waiting[0], 5)
        await asyncio.wait_for(waiting[1], 5)


@pytest.mark.parametrize("back", ["database", "disk"])
async def test_no_mail_leaves_while_outcomes_can_be_kept_nowhere(
    recorder: Recorder, database: Database, database_url: str, full_disk: Callable[[bool], None], back: str
) -> None:
    """The disk is full and PostgreSQL away: every mail that was sent would be sent again after a kill."""
    database._pool.timeout = 0.2
    found = await queued(database, 2)
    full_disk(True)
    await close_door(database_url, True)
    recorder.put(outcome(found[0]))
    await until(lambda: "no mail is sent" in recorder.trouble())
    assert not await recorder.ready()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(recorder.room(), 0.1)
    if back == "disk":
        full_disk(False)
    else:
        await close_door(database_url, False)
    await asyncio.wait_for(recorder.room(), 20)
    assert await recorder.ready()
    await close_door(database_url, False)
    await until(lambda: recorder.depth() == 0, 20)

    assert (await states(database))[found[0]] == "delivered"
