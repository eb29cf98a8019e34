"""Outcomes in the store: each message ends once, whoever tells of it and however often."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from core.ids import uuid7
from core.queues import Lane
from flags.asking import OFF, ON, Switch
from flags.declared import BOUNCE_SUPPRESSIONS
from messages import claim
from messages.model import MessageRef, NewEmail
from messages.states import State
from messages.timeline import EventKind
from mta.model import Action
from outcomes.kinds import Outcome
from outcomes.record import Recorded, record
from store.database import Database
from tests.integration.messages.emails import (
    APPLICATION,
    execute,
    make_partitions,
    new_email,
    refs,
    rows,
    states,
    store,
    waiting,
)
from tests.integration.outcomes.facts import HARD_BOUNCE, WORKER, attempt, bounce, deferral, outcome
from tests.switches import switched


@pytest.fixture(autouse=True)
async def _partitions(database: Database) -> None:
    await make_partitions(database)


async def claimed(database: Database, *emails: NewEmail) -> list[MessageRef]:
    """These emails stored and claimed by `WORKER`; their messages."""
    await store(database, *emails)
    found = [ref for email in emails for ref in refs(email)]
    names = {one.destination for email in emails for one in email.recipients}
    async with database.connection() as connection:
        taken, _ = await claim.claim(connection, emails[0].lane, sorted(names), WORKER, 1000, timedelta(seconds=60))
    assert {message.ref for message in taken} == set(found)
    return found


async def told(database: Database, *outcomes: Outcome) -> Recorded:
    async with database.transaction() as connection:
        return await record(connection, outcomes)


async def events(database: Database, ref: MessageRef) -> list[str]:
    found = await rows(database, "SELECT kind FROM events WHERE email_id = %s AND position = %s ORDER BY at", list(ref))
    return [kind for (kind,) in found]


# Ends


@pytest.mark.parametrize(
    "state", [State.DELIVERED, State.BOUNCED, State.SUPPRESSED, State.EXPIRED, State.CANCELLED, State.FAILED]
)
async def test_end_moves_the_state_and_leaves_the_queue(database: Database, state: State) -> None:
    (ref, other) = await claimed(database, new_email("a@example.com", "b@example.com"))
    assert await told(database, outcome(ref, state, attempts=3)) == Recorded(1, 0, 0)

    assert await states(database) == {ref: state.value, other: "queued"}
    assert set(await waiting(database)) == {other}
    assert await rows(database, "SELECT attempts FROM messages WHERE position = 0") == [(3,)]
    assert await events(database, ref) == [state.value]


async def test_same_outcome_told_again_changes_nothing(database: Database) -> None:
    """A replayed journal, or a commit whose answer was lost."""
    (ref,) = await claimed(database, new_email())
    first = outcome(ref)
    await told(database, first)
    before = await rows(database, "SELECT * FROM messages")
    assert await told(database, first) == Recorded(0, 0, 1)

    assert await rows(database, "SELECT * FROM messages") == before
    assert await events(database, ref) == ["delivered"]
    assert [(outcome, n) for *_, outcome, n in await totals(database) if outcome != "accepted"] == [("delivered", 1)]


async def totals(database: Database) -> list[tuple[str, str, str, str, int]]:
    """The counters, summed over hours and processes."""
    return await rows(
        database, "SELECT lane, provider, ip, outcome, sum(n)::int FROM outcome_counts GROUP BY 1, 2, 3, 4"
    )


async def test_same_outcome_twice_in_one_batch_counts_once(database: Database) -> None:
    (ref,) = await claimed(database, new_email())
    assert await told(database, outcome(ref), outcome(ref)) == Recorded(1, 0, 1)

    assert await events(database, ref) == ["delivered"]
    assert await rows(database, "SELECT sum(n)::int FROM outcome_counts WHERE outcome = 'delivered'") == [(1,)]


async def test_first_end_stands(database: Database) -> None:
    (ref,) = await claimed(database, new_email())
    await told(database, outcome(ref))
    assert await told(database, bounce(ref)) == Recorded(0, 0, 1)

    assert (await states(database))[ref] == "delivered"
    assert await rows(database, "SELECT count(*) FROM suppressions") == [(0,)]


async def test_end_counts_even_when_the_claim_is_somebody_elses(database: Database) -> None:
    """The mail is delivered, whoever holds the row by now."""
    (ref,) = await claimed(database, new_email())
    await execute(database, "UPDATE delivery_queue SET claimed_by = %s", [uuid7()])

    assert await told(database, outcome(ref)) == Recorded(1, 0, 0)


async def test_two_workers_telling_at_once_end_it_once(database: Database) -> None:
    found = await claimed(database, *(new_email() for _ in range(40)))
    told_by = await asyncio.gather(
        told(database, *(outcome(ref) for ref in found)),
        told(database, *(outcome(ref) for ref in reversed(found))),
    )

    assert sum(one.ended for one in told_by) == 40
    assert sum(one.repeats for one in told_by) == 40
    assert await rows(database, "SELECT count(*) FROM events") == [(40,)]


# Deferrals


async def test_deferral_frees_the_claim_and_sets_the_next_time(database: Database) -> None:
    (ref,) = await claimed(database, new_email())
    due = datetime.now(UTC) + timedelta(minutes=7)
    assert await told(database, deferral(ref, next_attempt_at=due, attempts=2)) == Recorded(0, 1, 0)

    assert await states(database) == {ref: "deferred"}
    assert await rows(database, "SELECT due_at, attempts, claimed_by, last_ip FROM delivery_queue") == [
        (due, 2, None, None)
    ]
    assert await rows(database, "SELECT kind, next_attempt_at, code, reply FROM events") == [
        ("deferred", due, 451, "busy")
    ]


async def test_only_greylisting_keeps_the_ip(database: Database) -> None:
    grey, later = await claimed(database, new_email("a@example.com", "b@example.com"))
    same = attempt(ip="127.0.1.3", action=Action.RETRY_SAME_IP.value)
    await told(
        database, deferral(grey, attempt=same), deferral(later, attempt=attempt(ip="127.0.1.2", action="retry_later"))
    )

    found = await rows(database, "SELECT position, last_ip FROM delivery_queue ORDER BY position")
    assert found == [(0, "127.0.1.3"), (1, None)]


async def test_deferral_by_one_who_lost_the_claim_does_not_count(database: Database) -> None:
    (ref,) = await claimed(database, new_email())
    thief = uuid7()
    await execute(database, "UPDATE delivery_queue SET claimed_by = %s", [thief])
    before = await waiting(database)
    assert await told(database, deferral(ref)) == Recorded(0, 0, 1)

    assert await waiting(database) == before
    assert await rows(database, "SELECT claimed_by FROM delivery_queue") == [(thief,)]
    assert await events(database, ref) == []


async def test_deferral_after_the_end_does_not_bring_it_back(database: Database) -> None:
    (ref,) = await claimed(database, new_email())
    await told(database, outcome(ref))
    assert await told(database, deferral(ref)) == Recorded(0, 0, 1)

    assert (await states(database), await waiting(database)) == ({ref: "delivered"}, {})


async def test_end_and_deferral_of_one_message_in_one_batch(database: Database) -> None:
    (ref,) = await claimed(database, new_email())
    assert await told(database, deferral(ref), outcome(ref, attempts=2)) == Recorded(1, 0, 1)

    assert await events(database, ref) == ["delivered"]


# Suppression


async def test_hard_bounce_suppresses_in_the_same_transaction(database: Database) -> None:
    (ref,) = await claimed(database, new_email("gone@example.com"))

    async def interrupted() -> None:
        async with database.transaction() as connection:
            await record(connection, [bounce(ref, "gone@example.com")])
            assert await (await connection.execute("SELECT count(*) FROM suppressions")).fetchone() == (1,)
            raise RuntimeError("killed before the commit")

    with pytest.raises(RuntimeError):
        await interrupted()
    assert await rows(database, "SELECT count(*) FROM suppressions") == [(0,)]
    assert (await states(database))[ref] == "queued"
    await told(database, bounce(ref, "gone@example.com"))

    assert await rows(
        database, "SELECT address, scope, reason, source, detail, expires_at, owner_id FROM suppressions"
    ) == [("gone@example.com", "all", "hard_bounce", "smtp", HARD_BOUNCE.detail, None, APPLICATION)]


async def test_switched_off_a_bounce_suppresses_nobody(database: Database) -> None:
    one, two = await claimed(database, new_email("gone@example.com"), new_email("gone@example.com"))
    with switched(BOUNCE_SUPPRESSIONS, Switch(OFF)):
        await told(database, bounce(one, "gone@example.com"))
    assert (await states(database))[one] == "bounced"
    assert await rows(database, "SELECT count(*) FROM suppressions") == [(0,)]
    with switched(BOUNCE_SUPPRESSIONS, Switch(OFF, {APPLICATION: ON})):
        await told(database, bounce(two, "gone@example.com"))
    assert await rows(database, "SELECT address, reason FROM suppressions") == [("gone@example.com", "hard_bounce")]


async def test_same_address_bouncing_twice_is_one_entry(database: Database) -> None:
    one, two = await claimed(database, new_email("gone@example.com"), new_email("gone@example.com"))
    assert await told(database, bounce(one, "gone@example.com"), bounce(two, "gone@example.com")) == Recorded(2, 0, 0)

    assert await rows(database, "SELECT count(*) FROM suppressions") == [(1,)]


async def test_two_writers_of_the_same_addresses_do_not_wait_in_a_circle(database: Database) -> None:
    emails = [new_email(f"u{number}@example.com") for _ in range(2) for number in range(100)]
    found = await claimed(database, *emails)
    outcomes = [bounce(ref, f"u{number % 100}@example.com") for number, ref in enumerate(found)]
    told_by = await asyncio.gather(told(database, *outcomes[:100]), told(database, *reversed(outcomes[100:])))

    assert [one.ended for one in told_by] == [100, 100]
    assert await rows(database, "SELECT count(*) FROM suppressions") == [(100,)]


# Events and counters


async def test_timeline_keeps_every_fact_of_an_attempt(database: Database) -> None:
    (ref,) = await claimed(database, new_email())
    at = datetime.now(UTC)
    await told(database, bounce(ref, at=at, attempts=4, detail="why"))

    columns = "at, kind, attempt, ip, provider, mx, tls, phase, code, enhanced, reply, action, class, scope, rule"
    assert await rows(database, f"SELECT {columns}, detail, next_attempt_at, duration_ms FROM events") == [
        (
            at, "bounced", 4, "127.0.1.1", "gmail", "mx.gmail.sim", "TLSv1.3 verified", "rcpt", 550, "5.1.1",
            "no such user", "bounce", "ok", "message", "any_2xx", "why", None, 12,
        )
    ]  # fmt: skip


async def test_message_that_was_not_tried_has_an_event_without_attempt(database: Database) -> None:
    (ref,) = await claimed(database, new_email())
    await told(database, outcome(ref, State.SUPPRESSED, attempt=None, attempts=0, detail="suppressed: manual"))

    assert await rows(database, "SELECT kind, attempt, ip, code, detail FROM events") == [
        ("suppressed", None, None, None, "suppressed: manual")
    ]


async def test_counters_by_lane_provider_and_ip(database: Database) -> None:
    found = await claimed(database, new_email(*(f"u{number}@example.com" for number in range(5))))
    await told(
        database,
        outcome(found[0]),
        outcome(found[1]),
        outcome(found[2], attempt=attempt(ip="127.0.1.2")),
        deferral(found[3]),
        outcome(found[4], State.EXPIRED, kind=EventKind.EXPIRED, attempt=None),
    )
    counts = {(lane, provider, ip, outcome): n for lane, provider, ip, outcome, n in await totals(database)}

    lane = Lane.TRANSACTIONAL.value
    assert counts == {
        (lane, "", "", "accepted"): 5,
        (lane, "", "", "expired"): 1,
        (lane, "gmail", "127.0.1.1", "deferred"): 1,
        (lane, "gmail", "127.0.1.1", "delivered"): 2,
        (lane, "gmail", "127.0.1.2", "delivered"): 1,
    }


async def test_nothing_to_tell(database: Database) -> None:
    assert await told(database) == Recorded(0, 0, 0)
    assert await rows(database, "SELECT count(*) FROM outcome_counts") == [(0,)]


async def test_outcome_of_mail_whose_partition_is_gone_still_leaves_the_queue(database: Database) -> None:
    (ref,) = await claimed(database, new_email())
    await execute(database, "DELETE FROM messages")

    assert await told(database, outcome(ref)) == Recorded(1, 0, 0)
    assert await waiting(database) == {}
