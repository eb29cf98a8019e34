"""The suppression list on the real database: what stands, what is shown, and what a worker's claim sees of it."""

import asyncio
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from core.ids import uuid7
from core.paging import Page, Window
from core.queues import Lane
from messages.claim import claim, still_sendable
from store.database import Connection, Database
from suppression import removing, repository
from suppression.query import Search
from suppression.reasons import Reason, Source, SuppressionEntry, SuppressionScope
from suppression.removing import Lock, Remover
from suppression.repository import Addition, Suppression
from suppression.scopes import SHARED
from tests.integration.messages.emails import make_partitions, new_email, store

NOW = datetime.now(UTC)
WORKER = uuid7()
OPERATOR = Remover("an operator", None)


def entry(
    scope: SuppressionScope = SuppressionScope.ALL,
    reason: Reason = Reason.MANUAL,
    days: float | None = None,
    detail: str = "",
) -> SuppressionEntry:
    return SuppressionEntry(scope, reason, Source.API, detail, NOW + timedelta(days=days) if days else None)


async def add(database: Database, *additions: Addition) -> list[repository.Added]:
    async with database.transaction() as connection:
        return await repository.add(connection, additions)


async def of(database: Database, address: str) -> list[Suppression]:
    async with database.connection() as connection:
        return await repository.about(connection, address)


async def age(database: Database, address: str, days: int) -> None:
    """Let time pass for an entry."""
    async with database.connection() as connection:
        await connection.execute(
            "UPDATE suppressions SET expires_at = expires_at - make_interval(days => %s) WHERE address = %s",
            [days, address],
        )


async def test_an_added_entry_is_there_with_everything(database: Database) -> None:
    wanted = entry(SuppressionScope.MARKETING, Reason.UNSUBSCRIBE, days=3, detail="clicked")
    (added,) = await add(database, Addition("a@example.com", wanted))
    (found,) = await of(database, "a@example.com")
    assert added == repository.Added(found.id, "a@example.com", SuppressionScope.MARKETING, True)
    assert (found.scope, found.reason, found.source, found.detail) == ("marketing", "unsubscribe", "api", "clicked")
    assert found.expires_at == wanted.expires_at
    assert abs(found.created_at - datetime.now(UTC)) < timedelta(minutes=1)
    async with database.connection() as connection:
        assert await repository.get(connection, added.id) == found
        assert await repository.get(connection, uuid.uuid4()) is None
    assert await of(database, "b@example.com") == []


@pytest.mark.parametrize(
    ("first", "second", "stands"),
    [
        (entry(reason=Reason.COMPLAINT), entry(reason=Reason.IMPORT), "complaint"),
        (entry(reason=Reason.SOFT_BOUNCES, days=3), entry(reason=Reason.MANUAL), "manual"),
        (entry(reason=Reason.SOFT_BOUNCES, days=3), entry(reason=Reason.MANUAL, days=4), "manual"),
        (entry(reason=Reason.SOFT_BOUNCES, days=3), entry(reason=Reason.MANUAL, days=2), "soft_bounces"),
        (entry(reason=Reason.MANUAL), entry(reason=Reason.SOFT_BOUNCES, days=3), "manual"),
        (entry(reason=Reason.MANUAL), entry(reason=Reason.COMPLAINT), "complaint"),
    ],
)
async def test_the_longer_decision_stands_and_between_equals_the_older(
    database: Database, first: SuppressionEntry, second: SuppressionEntry, stands: str
) -> None:
    (one,) = await add(database, Addition("a@example.com", first))
    (two,) = await add(database, Addition("a@example.com", second))
    (found,) = await of(database, "a@example.com")
    assert (found.reason, found.id) == (stands, one.id)
    assert (one.created, two.created) == (True, False)
    assert two.id == one.id
    assert found.expires_at == (second if stands == second.reason else first).expires_at


async def test_an_entry_whose_time_is_over_counts_for_nothing(database: Database) -> None:
    (added,) = await add(database, Addition("a@example.com", entry(reason=Reason.SOFT_BOUNCES, days=1)))
    await age(database, "a@example.com", 2)
    assert await of(database, "a@example.com") == []
    async with database.connection() as connection:
        assert await repository.get(connection, added.id) is None
        for search in (Search(), Search(prefix="a"), Search(domain="example.com"), Search(reasons=tuple(Reason))):
            page = await repository.page(connection, search, Window(10))
            assert page is not None
            assert page.entries == []
    await add(database, Addition("a@example.com", entry(reason=Reason.MANUAL, days=1)))
    (found,) = await of(database, "a@example.com")
    assert found.reason == "manual"


async def test_scopes_are_entries_of_their_own_and_all_comes_first(database: Database) -> None:
    scopes = [SuppressionScope.TRANSACTIONAL, SuppressionScope.ALL, SuppressionScope.MARKETING]
    await add(database, *(Addition("a@example.com", entry(scope)) for scope in scopes))
    assert [one.scope for one in await of(database, "a@example.com")] == ["all", "marketing", "transactional"]


async def test_repeats_in_one_batch_collapse_to_the_longest(database: Database) -> None:
    added = await add(
        database,
        Addition("b@example.com", entry(reason=Reason.IMPORT, days=1)),
        Addition("a@example.com", entry()),
        Addition("b@example.com", entry(reason=Reason.COMPLAINT)),
        Addition("b@example.com", entry(reason=Reason.MANUAL)),
    )
    assert [one.address for one in added] == ["a@example.com", "b@example.com"]
    assert [one.reason for one in await of(database, "b@example.com")] == ["complaint"]


async def test_adding_nothing_is_nothing(database: Database) -> None:
    assert await add(database) == []


async def test_two_batches_with_the_same_addresses_do_not_deadlock(database: Database) -> None:
    addresses = [f"u{n}@example.com" for n in range(500)]

    async def batch(order: Sequence[str], reason: Reason) -> list[repository.Added]:
        return await add(database, *(Addition(address, entry(reason=reason)) for address in order))

    for _ in range(5):
        one, two = await asyncio.gather(
            batch(addresses, Reason.IMPORT), batch(list(reversed(addresses)), Reason.MANUAL)
        )
        assert [added.id for added in one] == [added.id for added in two]
        async with database.transaction() as first, database.transaction() as second:
            removed = asyncio.create_task(removing.remove_subjects(first, addresses, OPERATOR))
            await removed
            waiting = asyncio.create_task(removing.remove_subjects(second, list(reversed(addresses)), OPERATOR))
            await asyncio.sleep(0.01)
            await first.execute("COMMIT")
            await waiting


async def test_removing_by_address_scope_and_id(database: Database) -> None:
    await add(
        database,
        *(Addition("a@example.com", entry(scope)) for scope in SHARED),
        Addition("b@example.com", entry()),
    )
    async with database.transaction() as connection:
        done = await removing.remove_subjects(
            connection, ["a@example.com", "nobody@example.com"], OPERATOR, [SuppressionScope.MARKETING]
        )
        assert [(one.address, one.scope) for one in done.removed] == [("a@example.com", "marketing")]
        assert len((await removing.remove_subjects(connection, ["a@example.com"], OPERATOR)).removed) == 2
    (left,) = await of(database, "b@example.com")
    async with database.transaction() as connection:
        done = await removing.remove_ids(connection, [left.id, uuid.uuid4()], OPERATOR)
        assert [one.id for one in done.removed] == [left.id]
    assert await of(database, "b@example.com") == []


async def walk(connection: Connection, search: Search, size: int) -> list[str]:
    """All addresses of a search, forwards page by page; then the same backwards, which must agree."""
    seen: list[Suppression] = []
    wanted = Window(size)
    while True:
        page = await repository.page(connection, search, wanted)
        assert page is not None
        assert len(page.entries) <= size
        seen += page.entries
        if not page.has_more:
            break
        wanted = Window(size, after=seen[-1].id)
    back: list[Suppression] = []
    while seen and len(back) < len(seen) - 1:
        page = await repository.page(connection, search, Window(size, before=back[0].id if back else seen[-1].id))
        assert page is not None
        back = page.entries + back
        assert page.has_more == (len(back) < len(seen) - 1)
    assert back == seen[: len(back)]
    return [one.address for one in seen]


@pytest.fixture
async def many(database: Database) -> Database:
    """30 addresses of three domains, added one by one so that their order is known."""
    reasons = [Reason.HARD_BOUNCE, Reason.COMPLAINT, Reason.IMPORT]
    scopes = [SuppressionScope.ALL, SuppressionScope.MARKETING]
    for n in range(30):
        address = f"user{n:02d}@{('a.test', 'b.test', 'sub.a.test')[n % 3]}"
        await add(database, Addition(address, entry(scopes[n % 2], reasons[n // 10])))
    return database


@pytest.mark.parametrize("size", [1, 7, 100])
@pytest.mark.parametrize(
    ("search", "numbers"),
    [
        (Search(), range(29, -1, -1)),
        (Search(domain="a.test"), range(27, -1, -3)),
        (Search(reasons=(Reason.COMPLAINT,)), range(19, 9, -1)),
        (Search(reasons=(Reason.COMPLAINT, Reason.IMPORT)), range(29, 9, -1)),
        (Search(scopes=(SuppressionScope.MARKETING,)), range(29, 0, -2)),
        (Search(scopes=(SuppressionScope.ALL,), reasons=(Reason.IMPORT,)), range(28, 19, -2)),
        (Search(domain="b.test", reasons=(Reason.IMPORT,)), range(28, 19, -3)),
        (Search(prefix="user1"), range(10, 20)),
        (Search(prefix="user1", scopes=(SuppressionScope.MARKETING,)), range(11, 20, 2)),
        (Search(prefix="user05@sub.a.test"), range(5, 6)),
        (Search(prefix="user%"), ()),
        (Search(prefix="nobody"), ()),
        (Search(domain="test"), ()),
    ],
)
async def test_every_search_gives_every_entry_once_in_order(
    many: Database, search: Search, numbers: Sequence[int], size: int
) -> None:
    async with many.connection() as connection:
        found = await walk(connection, search, size)
    assert [int(address[4:6]) for address in found] == list(numbers)


async def test_a_page_after_an_entry_that_is_gone(many: Database) -> None:
    async with many.connection() as connection:
        assert await repository.page(connection, Search(prefix="user"), Window(3, after=uuid.uuid4())) is None
        page = await repository.page(connection, Search(), Window(3, after=uuid.UUID(int=0)))
        assert page == Page([], False)


@pytest.mark.parametrize(
    ("search", "index"),
    [
        (Search(), "suppressions_pkey"),
        (Search(domain="example0.com"), "suppressions_by_domain"),
        (Search(reasons=(Reason.COMPLAINT,)), "suppressions_by_reason"),
        (Search(scopes=(SuppressionScope.TRANSACTIONAL,)), "suppressions_by_reason"),
        (Search(prefix="user42"), "suppressions_address_scope_key"),
        (Search(own_of=uuid.UUID(int=1)), "suppressions_own_by_reason"),
        (Search(own_of=uuid.UUID(int=1), domain="example0.com"), "suppressions_own_by_domain"),
        (Search(own_of=uuid.UUID(int=1), prefix="user42"), "suppressions_own_by_address"),
        (Search(only_for=uuid.UUID(int=1)), "suppressions_by_application"),
        (Search(scopes=(SuppressionScope.TOPIC,)), "suppressions_by_word"),
    ],
)
async def test_searches_read_a_range_of_one_index(database: Database, search: Search, index: str) -> None:
    async with database.connection() as connection:
        await connection.execute(
            "INSERT INTO suppressions (id, address, scope, reason, source)"
            " SELECT gen_random_uuid(), 'user' || n || '@example' || n % 50 || '.com', 'all', 'import', 'import'"
            " FROM generate_series(1, 20000) n"
        )
        await connection.execute("ANALYZE suppressions")
        seq_before, index_before = await _scans(connection, index)
        for _ in range(8):  # beyond the fifth execution the server may settle on a generic plan
            page = await repository.page(connection, search, Window(10))
            assert page is not None
        seq_after, index_after = await _scans(connection, index)
    assert seq_after == seq_before
    assert index_after >= index_before + 8


async def _scans(connection: Connection, index: str) -> tuple[int, int]:
    """How often the table was read from end to end, and how often through this index."""
    await connection.execute("SELECT pg_stat_force_next_flush()")
    cursor = await connection.execute(
        "SELECT seq_scan, (SELECT idx_scan FROM pg_stat_user_indexes WHERE indexrelname = %s)"
        " FROM pg_stat_user_tables WHERE relname = 'suppressions'",
        [index],
    )
    row = await cursor.fetchone()
    assert row is not None
    return row[0], row[1]


async def test_an_export_gives_everything_page_by_page(many: Database) -> None:
    async with many.connection() as connection:
        pages = [page async for page in repository.each_page(connection, Search(), size=8)]
    assert [len(page) for page in pages] == [8, 8, 8, 6]
    assert len({one.id for page in pages for one in page}) == 30


async def test_expired_entries_go_after_a_month(database: Database) -> None:
    for address, days in (("old@example.com", 40), ("young@example.com", 20)):
        await add(database, Addition(address, entry(days=1)))
        await age(database, address, days)
    await add(database, Addition("kept@example.com", entry()))
    async with database.connection() as connection:
        assert await removing.remove_expired(connection) == 1
        assert await removing.remove_expired(connection) == 0
        cursor = await connection.execute("SELECT address FROM suppressions ORDER BY address")
        assert [row[0] for row in await cursor.fetchall()] == ["kept@example.com", "young@example.com"]


@pytest.mark.parametrize(
    ("scope", "lane", "stopped"),
    [
        (SuppressionScope.ALL, Lane.TRANSACTIONAL, True),
        (SuppressionScope.ALL, Lane.MARKETING, True),
        (SuppressionScope.MARKETING, Lane.MARKETING, True),
        (SuppressionScope.MARKETING, Lane.TRANSACTIONAL, False),
        (SuppressionScope.TRANSACTIONAL, Lane.MARKETING, False),
    ],
)
async def test_the_next_claim_sees_what_was_committed(
    database: Database, scope: SuppressionScope, lane: Lane, stopped: bool
) -> None:
    async with database.connection() as connection:
        await connection.execute(
            "INSERT INTO delivery_queue (email_id, position, lane, destination, recipient, address, due_at)"
            " VALUES (%s, 0, %s, 'example.com', 'A@example.com', 'a@example.com', now())",
            [uuid.uuid4(), lane.value],
        )
    await add(database, Addition("a@example.com", entry(scope, Reason.COMPLAINT)))
    async with database.connection() as connection:
        claimed, _ = await claim(connection, lane, ["example.com"], uuid.uuid4(), 10, timedelta(seconds=60))
    assert [one.suppressed for one in claimed] == ["complaint" if stopped else None]


ONE, OTHER = uuid.UUID(int=1), uuid.UUID(int=2)


@pytest.mark.parametrize(
    ("owner", "by", "may"), [(ONE, ONE, True), (ONE, OTHER, False), (None, ONE, False), (ONE, None, True)]
)
async def test_only_its_owner_or_an_operator_removes_an_entry(
    database: Database, owner: uuid.UUID | None, by: uuid.UUID | None, may: bool
) -> None:
    added = await add(database, *(Addition(f"{name}@x.example", entry(), owner) for name in "ab"))
    async with database.transaction() as connection:
        by_id = await removing.remove_ids(connection, [added[0].id], Remover("me", by))
        by_address = await removing.remove_subjects(connection, ["b@x.example"], Remover("me", by))
    assert [len(by_id.removed), len(by_address.removed)] == [may, may]
    assert [one.lock for one in by_id.kept + by_address.kept] == [] if may else [Lock.OTHERS, Lock.OTHERS]
    assert (await of(database, "a@x.example") == []) is may


async def test_what_led_to_an_entry_is_its_owners_business(database: Database) -> None:
    await add(database, Addition("a@x.example", entry(detail="complained about the sale"), ONE))
    (found,) = await of(database, "a@x.example")
    assert found.seen_by(ONE).detail == "complained about the sale"
    assert found.seen_by(OTHER).detail == ""
    assert found.seen_by(OTHER).reason == found.reason


@pytest.mark.parametrize(
    ("first", "longer", "owner"), [(ONE, ONE, ONE), (ONE, OTHER, None), (None, OTHER, None), (ONE, None, None)]
)
async def test_what_two_have_decided_only_an_operator_removes(
    database: Database, first: uuid.UUID | None, longer: uuid.UUID | None, owner: uuid.UUID | None
) -> None:
    await add(database, Addition("a@x.example", entry(days=1), first))
    await add(database, Addition("a@x.example", entry(days=2), longer))
    await add(database, Addition("a@x.example", entry(days=1), ONE))
    assert [found.owner for found in await of(database, "a@x.example")] == [owner]


async def test_an_entry_whose_time_is_over_has_no_owner_any_more(database: Database) -> None:
    await add(database, Addition("a@x.example", entry(days=-1), ONE))
    await add(database, Addition("a@x.example", entry(days=2), OTHER))
    assert [found.owner for found in await of(database, "a@x.example")] == [OTHER]


@pytest.mark.parametrize(
    ("scope", "forbidden"),
    [
        (SuppressionScope.ALL, {(ONE, Lane.TRANSACTIONAL), (ONE, Lane.MARKETING)}),
        (SuppressionScope.MARKETING, {(ONE, Lane.MARKETING)}),
    ],
)
async def test_an_entry_for_one_application_forbids_its_mail_only(
    database: Database, scope: SuppressionScope, forbidden: set[tuple[uuid.UUID, Lane]]
) -> None:
    await make_partitions(database)
    await add(database, Addition("a@x.example", entry(scope), ONE, only_for=ONE))
    whose = [(application, lane) for application in (ONE, OTHER) for lane in Lane]
    mails = [new_email("a@x.example", application_id=application, lane=lane) for application, lane in whose]
    await store(database, *mails)
    claimed = []
    async with database.connection() as connection:
        for lane in Lane:
            taken, _ = await claim(connection, lane, ["x.example"], WORKER, 10, timedelta(seconds=60))
            claimed += taken
        sendable = await still_sendable(connection, [one.ref for one in claimed], WORKER)
    by_id = dict(zip([mail.id for mail in mails], whose, strict=True))
    assert {by_id[one.ref.email_id] for one in claimed if one.suppressed} == forbidden
    assert {by_id[ref.email_id] for ref in sendable} == set(whose) - forbidden
    (found,) = await of(database, "a@x.example")
    assert (found.scope, found.only_for) == (scope, ONE)
    async with database.transaction() as connection:
        assert len((await removing.remove_subjects(connection, ["a@x.example"], Remover("me", ONE))).removed) == 1
