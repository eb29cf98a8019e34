"""Questions of operators: which messages, what happened to this one, what waits."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from core.ids import uuid7
from core.paging import Window
from core.queues import Lane
from messages import repository, search
from messages.search import Filter
from store.database import Database
from tests.integration.messages.emails import APPLICATION, execute, make_partitions, new_email, refs, store


async def find(database: Database, wanted: Filter) -> list[search.MessageRow]:
    async with database.connection() as connection:
        return await search.find(connection, wanted)


@pytest.fixture(autouse=True)
async def _partitions(database: Database) -> None:
    await make_partitions(database)


async def test_newest_comes_first_with_each_recipient_in_order(database: Database) -> None:
    first, second = new_email("a@x.example"), new_email("b@x.example", "c@y.example", lane=Lane.MARKETING)
    await store(database, first, second)
    found = await find(database, Filter())

    assert [row.message for row in found] == [str(ref) for ref in refs(second) + refs(first)]
    assert (found[0].lane, found[0].recipient, found[0].state, found[0].attempts) == (
        "marketing",
        "b@x.example",
        "queued",
        0,
    )
    assert (found[0].sender, found[0].subject, found[0].accepted_at) == (
        second.sender,
        second.subject,
        second.created_at,
    )


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (Filter(address="a@x.example"), ["a@x.example"]),
        (Filter(state="delivered"), ["b@x.example"]),
        (Filter(lane="marketing"), ["c@x.example"]),
        (Filter(address="a@x.example", lane="marketing"), []),
        (Filter(limit=2), ["c@x.example", "b@x.example"]),
    ],
)
async def test_filters(database: Database, wanted: Filter, found: list[str]) -> None:
    one, two, three = new_email("a@x.example"), new_email("b@x.example"), new_email("c@x.example", lane=Lane.MARKETING)
    await store(database, one, two, three)
    await execute(database, "UPDATE messages SET state = 'delivered' WHERE email_id = %s", [two.id])

    assert [row.recipient for row in await find(database, wanted)] == found


async def test_a_quick_look_goes_as_far_as_it_may_and_says_so(database: Database) -> None:
    mails = [new_email(f"r{n}@x.example", subject="Needle" if n in (0, 4) else "Hay") for n in range(6)]
    await store(database, *mails)
    oldest, newest = mails[0].id, mails[-1].id
    async with database.connection() as connection:

        async def look(wanted: Filter, most: int, **where: str) -> tuple[list[str], UUID | None]:
            found = await search.look(connection, wanted, Window(50, **where), most)
            return [row.recipient for row in found.page.entries], found.reached

        needle = Filter(subject="needle")
        assert await look(needle, 3) == (["r4@x.example"], mails[2].id), "through the newest three and one"
        assert await look(needle, 5) == (["r4@x.example", "r0@x.example"], oldest), "there might be more behind it"
        assert await look(needle, 6) == (["r4@x.example", "r0@x.example"], None)
        assert await look(needle, 2, after=f"{mails[4].id}/0") == ([], mails[2].id)
        assert await look(needle, 2, before=f"{oldest}/0") == ([], mails[2].id)
        assert await look(Filter(subject="needle", applications=(APPLICATION,)), 3) == (["r4@x.example"], mails[2].id)
        provider = await search.look(connection, Filter(provider="gmail"), Window(50), 8)
        assert (provider.reached, provider.through) == (mails[3].id, 2), "timelines take longer"
        assert await look(Filter(address="r0@x.example", subject="needle"), 1) == (["r0@x.example"], None)
        assert (await look(Filter(), 1))[1] is None, "whatever comes first is found at once"
        full = await search.look(connection, Filter(subject="hay"), Window(1), 4)
        assert ([row.message for row in full.page.entries], full.page.has_more, full.reached) == (
            [f"{newest}/0"], True, None,
        )  # fmt: skip


async def test_next_attempt_is_shown_unless_a_worker_holds_it(database: Database) -> None:
    later = datetime.now(UTC) + timedelta(hours=1)
    waits, held, orphan, ended = (new_email(f"{name}@x.example") for name in ("waits", "held", "orphan", "ended"))
    await store(database, waits, held, orphan, ended)
    past = datetime.now(UTC) - timedelta(seconds=1)
    for email, due, worker in ((waits, later, None), (held, later, uuid7()), (orphan, past, uuid7())):
        await execute(
            database,
            "UPDATE delivery_queue SET due_at = %s, claimed_by = %s, claimed_at = now() WHERE email_id = %s",
            [due, worker, email.id],
        )
    await execute(database, "DELETE FROM delivery_queue WHERE email_id = %s", [ended.id])

    shown = {row.recipient.partition("@")[0]: row.next_attempt_at for row in await find(database, Filter())}
    assert shown == {"waits": later, "held": None, "orphan": past, "ended": None}


async def test_of_email_and_its_owner(database: Database) -> None:
    email = new_email("a@x.example", "b@x.example")
    await store(database, email, new_email())
    async with database.connection() as connection:
        assert [row.message for row in await search.of_email(connection, email.id)] == [str(ref) for ref in refs(email)]
        assert await search.of_email(connection, uuid7()) == []
        assert await repository.applications_of(connection, [email.id, uuid7()]) == {email.id: APPLICATION}


async def test_longest_queues_come_first(database: Database) -> None:
    later = datetime.now(UTC) + timedelta(days=1)
    await store(
        database,
        *(new_email(f"u{number}@big.example") for number in range(3)),
        new_email("u@big.example", scheduled_at=later),
        new_email("u@small.example", lane=Lane.MARKETING),
    )
    async with database.connection() as connection:
        found = await search.waiting(connection)
        shortened = await search.waiting(connection, 1)

    assert [(row.lane, row.destination, row.messages, row.due) for row in found] == [
        ("transactional", "big.example", 4, 3),
        ("marketing", "small.example", 1, 1),
    ]
    assert found[0].first_due_at < datetime.now(UTC)
    assert list(shortened) == list(found[:1])
