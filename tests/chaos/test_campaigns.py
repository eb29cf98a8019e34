"""kill -9 of worker, background and PostgreSQL while a campaign is sent, paused and resumed twice; and servers that say
"later" to a third of it.

Path: a campaign goes to a list; people leave and are suppressed on the way; each kind of process is killed, once also
while the campaign is paused.
Expectation: one row and one outcome for each person, and `finished` only then; whom the rows call delivered is whom the
far side's ledger took mail for, once each apart from what killed workers had on the wire; nothing leaves while it is
paused, and nobody who left gets mail that left a moment after. Refused for now is not lost.
"""

import time
from collections import Counter
from uuid import UUID

import psycopg
import pytest

from cli.running import demo
from core.ids import uuid7_texts
from simulator import client as simulator
from tests.chaos.killing import BACKGROUND, Killer
from tests.chaos.proof import DOMAINS, ENDED_SECONDS, MAILS, delivered_so_far, until_delivered
from tests.stack import MARKETING, SENDER, RunningStack

PEOPLE = MAILS // 4
LEAVE = PEOPLE // 40
"""So many unsubscribe on the way, and as many are suppressed."""
MOMENT = 2.5
"""Seconds after which a worker has looked again, whatever it had under way."""

SECONDS = 14
"""So long it takes at its pace, so that something is left when the last kill comes."""

OPEN = ("waiting", "queued", "deferred")


def begin(stack: RunningStack, name: str, **facts: object) -> str:
    """A list of people, and a campaign to it that is being sent; its id."""
    application: UUID = stack.one("SELECT id FROM applications WHERE name = %s", [demo.APPLICATION])
    (segment, *ids) = uuid7_texts(PEOPLE + 1)
    with psycopg.connect(stack.database_url, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO segments (id, application_id, name) VALUES (%s, %s, 'fans')", [segment, application]
        )
        with connection.cursor().copy(
            "COPY contacts (id, application_id, address, email, first_name, status) FROM STDIN"
        ) as copy:
            for n, identifier in enumerate(ids):
                address = _address(stack, name, n)
                copy.write_row((identifier, application, address, address, f"Fan {n}", "confirmed"))
        connection.execute(
            "INSERT INTO segment_members (segment_id, contact_id, status) SELECT %s, id, 'confirmed' FROM contacts"
            " WHERE id = ANY(%s::uuid[])",
            [segment, ids],
        )
    words = {"subject": "Hello {{ first_name }}", "text": "Three for two, {{ first_name }}.\n" * 20}
    made = stack.request("POST", "/broadcasts", {"from": SENDER, "segment_id": segment, "send": True, **words, **facts})
    return str(made["id"])


def _address(stack: RunningStack, name: str, n: int) -> str:
    whom = "third" if n % 3 == 0 else "fan"
    return f"{whom}-{name}{n}.{stack.since.number}@small-{n % DOMAINS + 1:03}.sim"


def state(stack: RunningStack, campaign: str) -> str:
    return str(stack.one("SELECT state FROM campaigns WHERE id = %s", [campaign]))


def open_rows(stack: RunningStack, campaign: str) -> int:
    statement = "SELECT count(*) FROM campaign_recipients WHERE campaign_id = %s AND state = ANY(%s)"
    return int(stack.one(statement, [campaign, list(OPEN)]))


def insist(stack: RunningStack, campaign: str, act: str) -> None:
    """Ask until somebody answers: a server may be being started again."""

    def done() -> bool:
        stack.request("POST", f"/broadcasts/{campaign}/{act}")
        return True

    stack.until(done, 60, f"an answer to {act}")


def until_finished(stack: RunningStack, campaign: str) -> None:
    """Never finished while a row is open."""

    def finished() -> bool:
        found = stack.sql(
            "SELECT c.state, (SELECT count(*) FROM campaign_recipients r WHERE r.campaign_id = c.id"
            " AND r.state = ANY(%s)) FROM campaigns c WHERE c.id = %s",
            [list(OPEN), campaign],
        )
        ((word, opened),) = found
        assert word != "finished" or opened == 0, f"finished with {opened} open rows"
        return bool(word == "finished")

    stack.until(finished, ENDED_SECONDS, "the campaign to finish")


def leave(stack: RunningStack, campaign: str) -> dict[str, float]:
    """Some of those who wait unsubscribe, whose turn it is next and whose turn is last; some are suppressed. When each
    was answered."""
    suppressed = _waiting(stack, campaign, "DESC", LEAVE)
    leavers = [*_waiting(stack, campaign, "ASC", LEAVE // 2), *_waiting(stack, campaign, "DESC", 2 * LEAVE)[LEAVE:]]
    stack.request("POST", "/suppressions/batch/add", {"emails": suppressed})
    left = dict.fromkeys(suppressed, time.time())
    for address in leavers[:LEAVE]:
        stack.request("PATCH", f"/contacts/{address}", {"unsubscribed": True})
        left[address] = time.time()
    return left


def _waiting(stack: RunningStack, campaign: str, order: str, most: int) -> list[str]:
    rows = stack.sql(
        "SELECT c.address FROM campaign_recipients r JOIN contacts c ON c.id = r.contact_id"
        f" WHERE r.campaign_id = %s AND r.state IN ('waiting', 'queued') ORDER BY r.contact_id {order} LIMIT %s",
        [campaign, most],
    )
    return [str(address) for (address,) in rows]


def prove(stack: RunningStack, campaign: str, left: dict[str, float], most_repeats: int) -> Counter[str]:
    """Compare rows, tallies and the far side."""
    rows = stack.sql(
        "SELECT c.address, r.state, e.message_id FROM campaign_recipients r JOIN contacts c ON c.id = r.contact_id"
        " LEFT JOIN emails e ON e.id = r.email_id WHERE r.campaign_id = %s",
        [campaign],
    )
    assert len(rows) == len({address for address, _, _ in rows}) == PEOPLE
    states = Counter(word for _, word, _ in rows)
    assert not set(OPEN) & states.keys()
    tallies = stack.sql("SELECT state, n FROM campaign_tallies WHERE campaign_id = %s AND n <> 0", [campaign])
    assert dict(tallies) == states
    mails = stack.one("SELECT count(*) - count(DISTINCT contact_id) FROM emails WHERE campaign_id = %s", [campaign])
    assert mails == 0, "somebody had two mails made"
    entries = stack.ledger()
    taken = Counter(entry.message_id for entry in entries)
    delivered = {message_id for _, word, message_id in rows if word == "delivered"}
    assert delivered - taken.keys() == set(), "called delivered, and never arrived"
    crossed = {message_id for _, word, message_id in rows if word in ("suppressed", "unsubscribed")} & taken.keys()
    assert taken.keys() - delivered == crossed
    assert len(crossed) <= most_repeats
    assert sum(taken.values()) - len(taken) <= most_repeats
    late = [entry for entry in entries if entry.at > left.get(entry.recipient, float("inf")) + MOMENT]
    assert not late, f"{len(late)} people got mail after they had left, such as {late[0]}"
    return states


@pytest.mark.chaos
def test_everybody_has_one_outcome_whoever_is_killed_while_it_is_paused_and_resumed(stack: RunningStack) -> None:
    killer = Killer(stack)
    campaign = begin(stack, "a", plan={"per_hour": PEOPLE * 3600 // SECONDS})
    until_delivered(stack, PEOPLE // 20)
    left = leave(stack, campaign)
    killer.kill(MARKETING)
    insist(stack, campaign, "pause")
    _nothing_leaves(stack, campaign, killer)
    insist(stack, campaign, "resume")
    until_delivered(stack, PEOPLE // 4)
    killer.kill(BACKGROUND)
    killer.kill("postgres")
    insist(stack, campaign, "pause")
    insist(stack, campaign, "resume")
    assert open_rows(stack, campaign) > 0, "the kills come too late to prove anything"
    until_finished(stack, campaign)
    states = prove(stack, campaign, left, killer.on_wire)
    assert states["suppressed"] + states["unsubscribed"] + states["delivered"] == PEOPLE
    print(f"{dict(states)}; killed {dict(killer.killed)} with {killer.on_wire} sessions open")


def _nothing_leaves(stack: RunningStack, campaign: str, killer: Killer) -> None:
    """Once the workers have put aside what they had, the far side hears no more of it."""
    for victim in (MARKETING, BACKGROUND):
        killer.await_running(victim)
    held = (
        "SELECT count(*) FROM delivery_queue q WHERE campaign_id = %s"
        " AND (claimed_by IS NOT NULL OR due_at <= now() - interval '1 second')"
    )
    stack.until(lambda: stack.one(held, [campaign]) == 0, 60, "all mail of the campaign to be put aside")
    before = delivered_so_far(stack)
    killer.kill(MARKETING)
    killer.await_running(MARKETING)
    assert delivered_so_far(stack) == before, "mail of a paused campaign left"


@pytest.mark.chaos
def test_nobody_is_lost_when_servers_say_later_to_a_third(stack: RunningStack) -> None:
    assert stack.simulator is not None
    rule = simulator.set_rule(stack.simulator, "full", recipient="third-b*")
    campaign = begin(stack, "b")
    third = -(-PEOPLE // 3)
    deferred = "SELECT count(*) FROM campaign_recipients WHERE campaign_id = %s AND state = 'deferred'"
    stack.until(lambda: stack.one(deferred, [campaign]) == third, ENDED_SECONDS, "a third to be put off")
    assert state(stack, campaign) == "sending"
    said = "SELECT reason FROM campaign_recipients WHERE campaign_id = %s AND state = 'deferred'"
    assert stack.one(said, [campaign]).startswith("452 4.2.2")
    simulator.clear_rules(stack.simulator, rule)
    stack.sql("UPDATE delivery_queue SET due_at = now() WHERE campaign_id = %s AND claimed_by IS NULL", [campaign])
    until_finished(stack, campaign)

    assert prove(stack, campaign, {}, 0) == {"delivered": PEOPLE}
