"""`postlane messages`: where is my message, and why?"""

import json
from datetime import UTC, datetime, timedelta

import pytest

from cli.commands import messages as module
from core.ids import uuid7
from core.queues import Lane
from messages.model import NewEmail
from messages.states import State
from mta.model import EgressIp
from outcomes.record import record
from pools.repository import ensure_pool
from store.database import Database
from tests.integration.api.account import make_account
from tests.integration.cli.commands import Postlane, in_database
from tests.integration.messages.emails import (
    APPLICATION,
    delivered,
    execute,
    make_partitions,
    new_email,
    refs,
    store,
)
from tests.integration.outcomes.facts import WORKER, attempt, bounce, deferral, outcome

AT = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)


@pytest.fixture
def emails(database_url: str) -> list[NewEmail]:
    """One with three fates, one that waits for its schedule."""
    told = new_email("ann@one.example", "bob@one.example", "eve@two.example", subject="Receipt", lane=Lane.MARKETING)
    later = new_email("ann@one.example", scheduled_at=datetime.now(UTC) + timedelta(hours=1))

    async def fill(database: Database) -> None:
        await make_partitions(database)
        await store(database, told, later)
        await execute(database, "UPDATE delivery_queue SET claimed_by = %s WHERE email_id = %s", [WORKER, told.id])
        ann, bob, eve = refs(told)
        greylisted = attempt(code=451, enhanced="4.7.1", reply="come back", action="retry_same_ip", rule="greylisting")
        async with database.transaction() as connection:
            await record(connection, [deferral(ann, at=AT, attempt=greylisted)])
        await execute(database, "UPDATE delivery_queue SET claimed_by = %s WHERE email_id = %s", [WORKER, told.id])
        async with database.transaction() as connection:
            await record(connection, [outcome(ann, at=AT + timedelta(minutes=1), attempts=2), bounce(bob, at=AT)])
            await record(connection, [outcome(eve, State.SUPPRESSED, at=AT, attempt=None, detail="suppressed: manual")])

    in_database(database_url, fill)
    return [told, later]


def test_list_shows_newest_first_and_filters(postlane: Postlane, emails: list[NewEmail]) -> None:
    found = postlane("messages", "list")
    assert [row["id"] for row in found.out] == [str(ref) for email in reversed(emails) for ref in refs(email)]
    assert [row["state"] for row in postlane("messages", "list", "--to", "ANN@one.example").out] == [
        "scheduled",
        "delivered",
    ]
    assert [row["recipient"] for row in postlane("messages", "list", "--state", "bounced").out] == ["bob@one.example"]
    assert len(postlane("messages", "list", "--lane", "marketing").out) == 3
    assert len(postlane("messages", "list", "--limit", "2").out) == 2


def test_wrong_filters_are_said(postlane: Postlane) -> None:
    assert postlane("messages", "list", "--to", "nobody").code == "bad_address"
    assert postlane("messages", "list", "--state", "lost").status == 2
    assert postlane("messages", "list").out == []


def test_show_gives_recipients_and_their_events(postlane: Postlane, emails: list[NewEmail]) -> None:
    found = postlane("messages", "show", str(emails[0].id)).out

    assert [row["state"] for row in found["recipients"]] == ["delivered", "bounced", "suppressed"]
    told = sorted(event["event"] for event in found["events"])
    assert told == ["bounced", "deferred", "delivered", "queued", "suppressed"]


def test_one_recipient_by_its_number(postlane: Postlane, emails: list[NewEmail]) -> None:
    found = postlane("messages", "show", f"{emails[0].id}/1").out

    assert [row["recipient"] for row in found["recipients"]] == ["bob@one.example"]
    assert [event["event"] for event in found["events"]] == ["queued", "bounced"]


def test_why_tells_the_story_with_reply_rule_and_next_step(postlane: Postlane, emails: list[NewEmail]) -> None:
    ann, bob, eve = postlane("messages", "why", str(emails[0].id)).out

    assert [(one["recipient"], one["state"]) for one in (ann, bob, eve)] == [
        ("ann@one.example", "delivered"),
        ("bob@one.example", "bounced"),
        ("eve@two.example", "suppressed"),
    ]
    accepted, refused, taken = ann["story"]
    assert "accepted for the marketing lane: “Receipt” from Acme" in accepted
    for part in ("2026-05-04 12:00:00 attempt 1", "127.0.1.1", "mx.gmail.sim", "451 4.7.1 come back", "greylisting"):
        assert part in refused
    assert "attempt 2" in taken
    assert "“550 5.1.1 no such user” → bounced" in bob["story"][1]
    assert eve["story"][1] == "2026-05-04 12:00:00 suppressed: manual"
    assert eve["story"][2] == "nothing forbids such mail now: `postlane recipients show eve@two.example`"


def test_why_names_the_topic_that_was_left_and_where_it_stands(
    postlane: Postlane, emails: list[NewEmail], database_url: str
) -> None:
    insert = "INSERT INTO applications (id, name) VALUES (%s, 'shop')"
    in_database(database_url, lambda database: execute(database, insert, [APPLICATION]))
    postlane("topics", "create", "News")
    postlane("topics", "choose", "eve@two.example", "News", "opt_out")
    news = postlane("topics", "list").out[0]["id"]
    of_topic = "UPDATE emails SET topic_id = %s WHERE id = %s"
    in_database(database_url, lambda database: execute(database, of_topic, [news, emails[0].id]))
    told = postlane("messages", "why", f"{emails[0].id}/2").out[0]["story"][-1]

    assert told.startswith(f"they left the topic “News”, since {datetime.now(UTC):%Y-}")
    assert "postlane topics choices eve@two.example" in told
    assert "recipients show eve@two.example" in postlane("suppressions", "get", "eve@two.example").said


def test_why_tells_that_the_ips_of_the_pool_rest_and_until_when(
    postlane: Postlane, emails: list[NewEmail], database_url: str
) -> None:
    async def rest(database: Database) -> None:
        members = [EgressIp(one, one, "mail.x") for one in ("127.0.1.1", "127.0.1.2")]
        async with database.transaction() as connection:
            await ensure_pool(connection, "bulk", Lane.MARKETING, members)
        await execute(database, "UPDATE messages SET state = 'deferred' WHERE address = 'ann@one.example'")
        await execute(
            database,
            "INSERT INTO throttles (kind, subject, site, state, since, rest_until, rate, rule, class, reply,"
            " stepped_at) SELECT 'ip', address, 'gmail', 'throttled', now(), '2999-01-01Z', 1, 'r', 'c', '', now()"
            " FROM egress_ips",
        )

    in_database(database_url, rest)
    last = postlane("messages", "why", f"{emails[0].id}/0").out[0]["story"][-1]
    assert last.startswith("all 2 IPs of the pool bulk rest at gmail, the first is back at 2999-01-01 00:00:00 UTC")
    in_database(database_url, lambda database: execute(database, "DELETE FROM throttles WHERE subject = '127.0.1.2'"))
    assert "1 of 2 IPs" in postlane("messages", "why", f"{emails[0].id}/0").out[0]["story"][-1]


def test_why_says_what_is_next(postlane: Postlane, emails: list[NewEmail], database_url: str) -> None:
    (waits,) = postlane("messages", "why", str(emails[1].id)).out
    due = emails[1].scheduled_at
    assert due is not None
    assert waits["story"][-1] == f"next attempt {due:%Y-%m-%d %H:%M:%S} UTC"

    async def claim(database: Database) -> None:
        await execute(database, "UPDATE delivery_queue SET claimed_by = %s", [uuid7()])

    in_database(database_url, claim)
    (held,) = postlane("messages", "why", str(emails[1].id)).out
    assert held["story"][-1] == "a worker holds it right now"


def test_why_for_people(postlane: Postlane, emails: list[NewEmail], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "wants_json", lambda _as_json: False)
    shown = postlane("messages", "why", str(emails[0].id)).out

    assert "bob@one.example: bounced" in shown
    assert "  2026-05-04 12:00:00 attempt 1 from 127.0.1.1" in shown


def test_cancel_takes_back_what_waits_and_says_when_it_is_too_late(postlane: Postlane, emails: list[NewEmail]) -> None:
    taken = postlane("messages", "cancel", str(emails[1].id))
    assert (taken.status, taken.out) == (0, {"object": "email", "id": str(emails[1].id)})
    again = postlane("messages", "cancel", str(emails[1].id))
    assert (again.status, again.code) == (1, "too_late")
    assert "cancelled" in again.said
    (told,) = postlane("messages", "why", str(emails[1].id)).out
    assert told["story"][-1].endswith("cancelled: cancelled by an operator")


def test_again_sends_to_one_recipient_and_says_where_its_story_is(postlane: Postlane, database_url: str) -> None:
    async def fill(database: Database) -> NewEmail:
        await make_partitions(database)
        account = await make_account(database)
        old = new_email("ann@one.example", "bob@one.example", application_id=account.application_id)
        await store(database, old)
        await delivered(database, old.id)
        return old

    old = in_database(database_url, fill)

    unclear = postlane("messages", "again", str(old.id))
    sent = postlane("messages", "again", f"{old.id}/1")

    assert unclear.code == "ambiguous"
    assert f"{old.id}/1  bob@one.example" in json.loads(unclear.said)["error"]["message"]
    assert sent.status == 0
    new = postlane("messages", "show", sent.out["id"]).out
    assert new["again_of"] == str(old.id)
    assert [one["recipient"] for one in new["recipients"]] == ["bob@one.example"]
    (told,) = postlane("messages", "why", f"{old.id}/1").out
    assert told["story"][-1].endswith(f"sent again: as {sent.out['id']}, by an operator")
    (told,) = postlane("messages", "why", sent.out["id"]).out
    assert told["story"][1] == f"it is the same as {old.id}/1 once more"
    assert postlane("messages", "again", f"{old.id}/2").code == "not_found"
    assert postlane("messages", "again", sent.out["id"]).code == "conflict", "it is still on its way"


@pytest.mark.parametrize("command", ["show", "why", "cancel", "again"])
def test_unknown_and_malformed_ids_are_said(postlane: Postlane, emails: list[NewEmail], command: str) -> None:
    assert postlane("messages", command, str(uuid7())).code == "not_found"
    assert postlane("messages", command, "not-an-id").code == "bad_id"
    assert postlane("messages", command, f"{emails[0].id}/x").code == "bad_id"


def test_no_such_recipient_number(postlane: Postlane, emails: list[NewEmail]) -> None:
    assert postlane("messages", "show", f"{emails[0].id}/9").code == "not_found"
