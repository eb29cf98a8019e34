"""What is written down with the mail is added up once: by hours and days, in each of its dimensions."""

import asyncio
from typing import Any
from uuid import UUID

import pytest

from core.ids import uuid7
from outcomes.record import record
from store import counters, folding
from store.counters import Counted, Origin
from store.database import Database
from tests.integration.messages.emails import (
    APPLICATION,
    DOMAIN,
    execute,
    make_partitions,
    new_email,
    refs,
    rows,
    store,
)
from tests.integration.outcomes.facts import attempt, bounce, outcome

POOL, TOPIC = uuid7(), uuid7()


@pytest.fixture(autouse=True)
async def _partitions(database: Database) -> None:
    await make_partitions(database)


async def note(database: Database, *told: tuple[Counted, Origin], n: int = 1) -> None:
    async with database.transaction() as connection:
        await counters.add(connection, dict.fromkeys(told, n))


async def figures(database: Database, by: str = "application") -> dict[tuple[Any, ...], int]:
    """Sums by key, outcome and part."""
    found = await rows(
        database,
        "SELECT s.key, s.outcome, s.part, sum(h.n)::int FROM report_series s JOIN report_hours h ON h.series_id = s.id"
        " WHERE s.by = %s GROUP BY 1, 2, 3",
        [by],
    )
    return {tuple(labels): n for *labels, n in found}


async def test_every_dimension_gets_its_figure(database: Database) -> None:
    whose = Origin(APPLICATION, DOMAIN, TOPIC, ("plan=free", "lang=de"))
    delivered = Counted("marketing", "gmail", "192.0.2.1", "delivered", "0.5", POOL)
    await note(database, (delivered, whose), n=3)
    await note(database, (delivered, whose), (Counted("marketing", "", "", "accepted"), whose))

    assert await folding.fold(database) == 3
    assert await folding.fold(database) == 0
    assert await figures(database) == {("", "delivered", "0.5"): 4, ("", "accepted", ""): 1}
    assert await figures(database, "ip") == {("192.0.2.1", "delivered", "0.5"): 4}
    assert await figures(database, "pool") == {(str(POOL), "delivered", "0.5"): 4}
    assert (await figures(database, "topic"))[str(TOPIC), "accepted", ""] == 1
    assert (await figures(database, "tag"))["lang=de", "delivered", "0.5"] == 4
    assert await rows(database, "SELECT sum(n)::int FROM report_days") == await rows(
        database, "SELECT sum(n)::int FROM report_hours"
    )


async def test_many_folders_count_once(database: Database) -> None:
    """Two background processes, each with several rounds, while others write."""
    whose = Origin(APPLICATION, DOMAIN)
    told = [Counted("marketing", f"p{n}", "192.0.2.1", "delivered", "1") for n in range(40)]

    async def write() -> None:
        for counted in told:
            await note(database, (counted, whose))

    await asyncio.gather(write(), *(folding.fold(database, 7) for _ in range(4)), write())
    await folding.fold(database)
    assert sum((await figures(database)).values()) == 80


async def test_a_fold_that_is_cut_off_counts_nothing(database: Database) -> None:
    whose = Origin(APPLICATION, DOMAIN)
    await note(database, (Counted("marketing", "", "", "accepted"), whose))

    async def killed() -> None:
        async with database.transaction() as connection:
            assert await folding._fold_some(connection, 10) == 1
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await killed()
    assert await folding.fold(database) == 1
    assert await figures(database) == {("", "accepted", ""): 1}


async def test_an_application_has_room_for_so_many_tags(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folding, "MOST_TAGS", 2)
    accepted, other = Counted("marketing", "", "", "accepted"), UUID(int=99)
    for tag in ("a=1", "b=1", "c=1", "d=1"):
        await note(database, (accepted, Origin(APPLICATION, DOMAIN, None, (tag,))))
        await folding.fold(database)
    await note(database, (accepted, Origin(APPLICATION, DOMAIN, None, ("a=1", "c=1", "d=1"))))
    await note(database, (accepted, Origin(other, DOMAIN, None, ("d=1",))))
    await folding.fold(database)

    assert await figures(database, "tag") == {
        ("a=1", "accepted", ""): 2, ("b=1", "accepted", ""): 1, ("*", "accepted", ""): 3, ("d=1", "accepted", ""): 1,
    }  # fmt: skip


async def test_any_text_may_be_a_tag(database: Database) -> None:
    odd = ('a="quoted"', "b=back\\slash\\", "c=tab\tand\nline\r", "d={1,2}", "e=NULL", "f=\\N", "g=é,ö", "h=")
    await note(
        database, (Counted("marketing", "mx:\\N", "", "accepted", "tab\t"), Origin(APPLICATION, DOMAIN, TOPIC, odd))
    )
    assert await rows(database, "SELECT tags, provider, part, topic_id, pool_id FROM count_deltas") == [
        ([*odd], "mx:\\N", "tab\t", TOPIC, None)
    ]


async def test_captured_mail_is_in_no_figure(database: Database) -> None:
    await note(database, (Counted("marketing", "", "", "accepted"), Origin(APPLICATION, DOMAIN, captured=True)))
    await store(database, new_email(capture=True))
    assert await folding.fold(database) == 0
    assert await rows(database, "SELECT count(*) FROM outcome_counts") == [(0,)]


async def test_outcomes_count_for_their_mail_whoever_tells_and_however_often(database: Database) -> None:
    """A worker knows the origin, a replayed journal does not: the stored email has it."""
    email = new_email("a@example.com", "b@example.com", topic_id=TOPIC, tags=(("plan", "free"),))
    await store(database, email)
    first, second = refs(email)
    pooled = attempt(pool=str(POOL))
    delivered = outcome(first, attempt=pooled, waited=1.2)
    refused = bounce(second, waited=None, origin=Origin(APPLICATION, DOMAIN, TOPIC, ("plan=free",)))
    for _ in range(2):
        async with database.transaction() as connection:
            await record(connection, [delivered, refused])
    await folding.fold(database)

    assert await figures(database, "topic") == {
        (str(TOPIC), "accepted", ""): 2, (str(TOPIC), "delivered", "1.5"): 1, (str(TOPIC), "bounced", "ok"): 1,
    }  # fmt: skip
    assert await figures(database, "pool") == {(str(POOL), "delivered", "1.5"): 1}
    assert (await figures(database, "tag"))["plan=free", "delivered", "1.5"] == 1
    assert (await rows(database, "SELECT pool_id FROM events WHERE kind = 'delivered'")) == [(POOL,)]


async def test_what_is_old_is_forgotten(database: Database) -> None:
    await note(database, (Counted("marketing", "", "", "accepted"), Origin(APPLICATION, DOMAIN, None, ("a=1",))))
    await folding.fold(database)
    await execute(database, "UPDATE report_hours SET hour = hour - interval '91 days'")
    await execute(database, "UPDATE report_tags SET seen = seen - 31")
    async with database.transaction() as connection:
        await folding.forget(connection, 90, 400)
    assert await rows(database, "SELECT count(*) FROM report_hours") == [(0,)]
    assert await rows(database, "SELECT count(*) FROM report_tags") == [(0,)]
    assert await rows(database, "SELECT count(*) > 0 FROM report_series") == [(True,)]

    await execute(database, "UPDATE report_days SET day = day - 401")
    async with database.transaction() as connection:
        await folding.forget(connection, 90, 400)
    assert await rows(database, "SELECT count(*) FROM report_series") == [(0,)]
