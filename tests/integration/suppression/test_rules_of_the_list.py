"""Whom an entry is about and whose mail it forbids; what is locked, and what the history keeps. On a real database."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from core.ids import uuid7
from core.paging import Window
from core.queues import Lane
from messages.claim import claim, still_sendable
from store.database import Database
from suppression import adding, history, removing, repository
from suppression.entries import Addition, Ended
from suppression.query import Search
from suppression.reasons import Reason, Source, SuppressionEntry, SuppressionScope
from suppression.removing import Lock, Removal, Remover
from suppression.subjects import hashed
from tests.integration.messages.emails import make_partitions, new_email, store

ONE, OTHER = UUID(int=1), UUID(int=2)
TOPIC, NEWS = UUID(int=11), UUID(int=12)
OPERATOR = Remover("an operator", None)
ALL, MARKETING = SuppressionScope.ALL, SuppressionScope.MARKETING


def entry(
    scope: SuppressionScope = ALL, reason: Reason = Reason.MANUAL, days: float | None = None, note: str = ""
) -> SuppressionEntry:
    end = datetime.now(UTC) + timedelta(days=days) if days else None
    return SuppressionEntry(scope, reason, Source.API, "as told", end, note)


async def add(database: Database, *additions: Addition) -> list[adding.Added]:
    async with database.transaction() as connection:
        return await adding.add(connection, additions)


async def remove(database: Database, who: Remover, *subjects: str) -> Removal:
    async with database.transaction() as connection:
        return await removing.remove_subjects(connection, subjects, who)


async def ended(database: Database, *subjects: str) -> list[Ended]:
    async with database.connection() as connection:
        return await history.of_subjects(connection, list(subjects))


async def forbidden(database: Database, **mail: object) -> list[bool]:
    """Whether the claim and the question before MAIL FROM forbid a mail to ann@x.example."""
    await make_partitions(database)
    await store(database, new_email("ann@x.example", **mail))
    worker = uuid7()
    async with database.connection() as connection:
        taken, _ = await claim(connection, Lane.MARKETING, ["x.example"], worker, 10, timedelta(seconds=60))
        sendable = await still_sendable(connection, [one.ref for one in taken], worker)
        await connection.execute("DELETE FROM delivery_queue")
    assert len(taken) == 1
    return [taken[0].suppressed is not None, taken[0].ref not in sendable]


@pytest.mark.parametrize(
    ("addition", "forbids"),
    [
        (Addition("ann@x.example", entry()), True),
        (Addition("bob@x.example", entry()), False),
        (Addition("@x.example", entry()), True),
        (Addition("@y.example", entry()), False),
        (Addition("@example", entry()), False),
        (Addition(hashed("ann@x.example"), entry()), True),
        (Addition(hashed("bob@x.example"), entry()), False),
        (Addition("@x.example", entry(days=-1)), False),
        (Addition("@x.example", entry(), only_for=OTHER), False),
        (Addition(hashed("ann@x.example"), entry(MARKETING), only_for=ONE), True),
        (Addition("ann@x.example", entry(MARKETING), only_for=OTHER), False),
        (Addition("ann@x.example", entry(SuppressionScope.TOPIC), only_for=ONE, topic=TOPIC), True),
        (Addition("ann@x.example", entry(SuppressionScope.TOPIC), only_for=ONE, topic=NEWS), False),
        (Addition("ann@x.example", entry(SuppressionScope.TOPIC), only_for=OTHER, topic=TOPIC), False),
    ],
)
async def test_what_forbids_a_mail(database: Database, addition: Addition, forbids: bool) -> None:
    await add(database, addition)
    mail = {"application_id": ONE, "lane": Lane.MARKETING, "topic_id": TOPIC}

    assert await forbidden(database, **mail) == [forbids, forbids]


async def test_a_mail_without_a_topic_asks_for_none(database: Database) -> None:
    await add(database, Addition("ann@x.example", entry(SuppressionScope.TOPIC), only_for=ONE, topic=TOPIC))

    assert await forbidden(database, application_id=ONE, lane=Lane.MARKETING) == [False, False]


async def test_an_address_is_found_in_all_its_forms(database: Database) -> None:
    forms = ["ann@x.example", "@x.example", hashed("ann@x.example")]
    await add(database, *(Addition(form, entry()) for form in forms))
    async with database.connection() as connection:
        found = await repository.about(connection, "ann@x.example")
        domain = await repository.about(connection, "@x.example")

    assert {one.address for one in found} == set(forms)
    assert found[0].address == "ann@x.example"
    assert [one.address for one in domain] == ["@x.example"]


async def test_what_is_removed_is_kept_with_who_and_why(database: Database) -> None:
    (added,) = await add(
        database, Addition("a@x.example", entry(note="called"), ONE, source_id=TOPIC, actor="API key 7")
    )
    await remove(database, Remover("ann on the command line", None, "wrote to us"), "a@x.example")
    (one,) = await ended(database, "a@x.example")

    assert (one.ended, one.by, one.why) == ("removed", "ann on the command line", "wrote to us")
    assert (one.entry.id, one.entry.owner, one.entry.detail) == (added.id, ONE, "as told")
    assert (one.entry.note, one.entry.source_id, one.entry.actor) == ("called", TOPIC, "API key 7")
    async with database.connection() as connection:
        assert await history.of_entry(connection, added.id) == [one]


async def test_what_is_replaced_is_kept_and_what_stays_is_not(database: Database) -> None:
    await add(database, Addition("a@x.example", entry(days=1), actor="first"))
    await add(database, Addition("a@x.example", entry(reason=Reason.HARD_BOUNCE), actor="second"))
    await add(database, Addition("a@x.example", entry(reason=Reason.IMPORT), actor="third"))
    (one,) = await ended(database, "a@x.example")

    assert (one.ended, one.by, one.why) == ("replaced", "second", "hard_bounce")
    assert (one.entry.reason, one.entry.actor) == ("manual", "first")


async def test_what_expired_is_kept(database: Database) -> None:
    await add(database, Addition("a@x.example", entry(days=-40)), Addition("b@x.example", entry(days=-2)))
    await removing.forget_expired(database)

    assert [(one.entry.address, one.ended) for one in await ended(database, "a@x.example", "b@x.example")] == [
        ("a@x.example", "expired")
    ]


@pytest.mark.parametrize(
    ("who", "lock"),
    [
        (Remover("its owner", ONE), Lock.COMPLAINT),
        (Remover("its owner", ONE, "please"), Lock.COMPLAINT),
        (Remover("another", OTHER, "please"), Lock.OTHERS),
        (Remover("an operator", None), Lock.COMPLAINT),
        (Remover("an operator", None, "pressed the wrong button, ticket 7"), None),
    ],
)
async def test_a_complaint_is_locked(database: Database, who: Remover, lock: Lock | None) -> None:
    await add(database, Addition("a@x.example", entry(reason=Reason.COMPLAINT), ONE))
    done = await remove(database, who, "a@x.example")

    assert [one.lock for one in done.kept] == ([lock] if lock else [])
    assert len(done.removed) == (lock is None)


async def test_a_complaint_is_not_washed_away_by_a_longer_decision(database: Database) -> None:
    await add(database, Addition("a@x.example", entry(reason=Reason.COMPLAINT, days=3), ONE))
    await add(database, Addition("a@x.example", entry(reason=Reason.MANUAL), ONE))
    async with database.connection() as connection:
        (found,) = await repository.about(connection, "a@x.example")

    assert (found.reason, found.expires_at) == ("complaint", None)
    assert (await remove(database, Remover("its owner", ONE), "a@x.example")).removed == []


async def test_a_short_complaint_keeps_the_longer_end_of_what_it_replaces(database: Database) -> None:
    long, short = Addition("a@x.example", entry(), ONE), Addition("a@x.example", entry(ALL, Reason.COMPLAINT, 3), ONE)
    await add(database, long)
    await add(database, short)
    await add(database, *(Addition("b@x.example", one.entry, ONE) for one in (long, short)))
    async with database.connection() as connection:
        found = [(await repository.about(connection, address))[0] for address in ("a@x.example", "b@x.example")]

    assert [(one.reason, one.expires_at) for one in found] == [("complaint", None)] * 2


async def test_an_operator_removes_what_holds_for_one_application(database: Database) -> None:
    await add(
        database,
        Addition("a@x.example", entry(MARKETING), ONE, ONE),
        Addition("a@x.example", entry(SuppressionScope.TOPIC), OTHER, OTHER, TOPIC),
        Addition("a@x.example", entry()),
    )
    async with database.transaction() as connection:
        done = await removing.remove_subjects(connection, ["a@x.example"], OPERATOR, [SuppressionScope.TOPIC])

    assert [one.scope for one in done.removed] == [SuppressionScope.TOPIC]
    assert len((await remove(database, OPERATOR, "a@x.example")).removed) == 2


async def test_what_is_between_a_person_and_another_application_is_not_seen(database: Database) -> None:
    await add(
        database,
        Addition("a@x.example", entry(MARKETING, Reason.UNSUBSCRIBE), OTHER, OTHER),
        Addition("b@x.example", entry(MARKETING, Reason.UNSUBSCRIBE), ONE, ONE),
        Addition("c@x.example", entry(SuppressionScope.TOPIC, Reason.UNSUBSCRIBE), ONE, ONE, TOPIC),
        Addition("d@x.example", entry(reason=Reason.HARD_BOUNCE), OTHER),
        Addition("e@x.example", entry(reason=Reason.HARD_BOUNCE), ONE),
        Addition("f@x.example", entry()),
    )
    done = await remove(database, Remover("ONE", ONE), "a@x.example")
    assert (done.removed, done.kept) == ([], [])
    for search, expected in (
        (Search(own_of=ONE), "ecb"),
        (Search(own_of=ONE, reasons=(Reason.UNSUBSCRIBE,)), "cb"),
        (Search(own_of=ONE, scopes=(MARKETING,)), "b"),
        (Search(own_of=ONE, domain="x.example"), "ecb"),
        (Search(own_of=ONE, domain="y.example"), ""),
        (Search(own_of=ONE, prefix=""), "ecb"),
        (Search(own_of=ONE, prefix="e"), "e"),
        (Search(own_of=ONE, only_for=ONE), "cb"),
        (Search(own_of=ONE, only_for=OTHER), ""),
        (Search(only_for=OTHER), "a"),
        (Search(scopes=(MARKETING,)), "ba"),
        (Search(reasons=(Reason.UNSUBSCRIBE,)), "cba"),
        (Search(prefix="a"), "a"),
        (Search(prefix="a", own_of=ONE), ""),
        (Search(prefix="d", own_of=ONE), ""),
        (Search(own_of=ONE, reasons=(Reason.HARD_BOUNCE,)), "e"),
    ):
        async with database.connection() as connection:
            page = await repository.page(connection, search, Window(10))
        assert page is not None
        assert "".join(one.address[0] for one in page.entries) == expected, search


async def test_what_an_application_that_is_gone_agreed_goes_with_it(database: Database) -> None:
    await add(
        database,
        Addition("a@x.example", entry(MARKETING, Reason.UNSUBSCRIBE), ONE, ONE),
        Addition("b@x.example", entry(SuppressionScope.TOPIC), ONE, ONE, TOPIC),
        Addition("c@x.example", entry(MARKETING), OTHER, OTHER),
        Addition("d@x.example", entry(reason=Reason.HARD_BOUNCE), ONE),
    )
    await remove(database, OPERATOR, "b@x.example")
    async with database.transaction() as connection:
        await removing.forget_application(connection, ONE)
        found = await repository.page(connection, Search(), Window(10))

    assert found is not None
    assert [one.address for one in found.entries] == ["d@x.example", "c@x.example"]
    assert await ended(database, "b@x.example") == []
