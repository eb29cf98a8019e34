"""kill -9 of every kind of process that sends a campaign, at random, while it is paused and resumed twice; and servers
that say "later" to a third of it.

Path: a campaign goes to a list; people leave and are suppressed on the way; each kind of process is killed at least
once, a worker also while the campaign is paused. What happens when is drawn, as a part of those who have their mail.
Expectation: one row and one outcome for each person, and `finished` only then; whom the rows call delivered is whom the
far side's ledger took mail for, once each apart from what killed workers had on the wire; nothing leaves while it is
paused, and nobody who left gets mail that departed a second after. Refused for now is not lost.

As many as promises are made about: `POSTLANE_CHAOS_PEOPLE=100000 POSTLANE_CHAOS_LATER_SECONDS=600`. The same course
again: `POSTLANE_CHAOS_SEED`, which is printed.
"""

import os
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import NamedTuple
from uuid import UUID

import psycopg
import pytest

from cli.running import demo
from core.ids import uuid7_texts
from simulator import client as simulator
from simulator.ledger import LedgerEntry
from tests.chaos.killing import BACKGROUND, Killer
from tests.chaos.proof import DOMAINS, delivered_so_far
from tests.stack import MARKETING, SENDER, HttpError, Rows, RunningStack
from workers.claims import FRESH_SECONDS

PEOPLE = int(os.environ.get("POSTLANE_CHAOS_PEOPLE", "3000"))
LATER_SECONDS = float(os.environ.get("POSTLANE_CHAOS_LATER_SECONDS", "0"))
"""So long servers say "later"; 0: until everybody of the third has heard it once."""
SEED = int(os.environ.get("POSTLANE_CHAOS_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 32)

LEAVE, SUPPRESS = max(PEOPLE // 200, 40), max(PEOPLE // 500, 16)
"""So many unsubscribe on the way, and so many are suppressed by their application."""
PARTS = 4
"""They do so in as many groups, the course of the campaign over."""
KINDS = (MARKETING, BACKGROUND, "scheduler", "postgres", "valkey")
KILLS = max(len(KINDS), PEOPLE // 4000)
SECONDS = max(30, PEOPLE // 400)
"""So long it takes at its pace, so that something is left when the last kill comes."""
ENDED_SECONDS = 120.0 + PEOPLE / 100 + LATER_SECONDS

READ_SECONDS = 0.5
"""Until the far side has read the MAIL command that departed, with all of it on one machine."""

OPEN = ["waiting", "queued", "deferred"]

Act = Callable[[], None]


class Left(NamedTuple):
    """Who left on the way, and how late mail reached some of them all the same."""

    after: float
    """Seconds from the answer to the last MAIL command of those."""
    wire: float
    """The longest that one of these mails was on the wire."""
    mails: int


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


def insist(stack: RunningStack, method: str, path: str, body: object = None) -> None:
    """Ask until somebody answers: a server may be being started again. What was done although its answer was lost
    conflicts with itself, and is done."""

    def done() -> bool:
        try:
            stack.request(method, path, body)
        except HttpError as error:
            if error.status < 500 and error.status != 409:
                raise
            return error.status == 409
        return True

    stack.until(done, 120, f"an answer to {path}")


def until_delivered(stack: RunningStack, goal: int) -> None:
    stack.until(lambda: delivered_so_far(stack) >= goal, ENDED_SECONDS, f"{goal} deliveries")


def until_finished(stack: RunningStack, campaign: str, meanwhile: Act = lambda: None) -> None:
    """Never finished while a row is open."""

    def finished() -> bool:
        meanwhile()
        ((word, opened),) = stack.sql(
            "SELECT c.state, c.state = 'finished' AND EXISTS (SELECT FROM campaign_recipients r"
            " WHERE r.campaign_id = c.id AND r.state = ANY(%s)) FROM campaigns c WHERE c.id = %s",
            [OPEN, campaign],
        )
        assert not opened, "finished with open rows"
        return bool(word == "finished")

    stack.until(finished, ENDED_SECONDS, "the campaign to finish")


class Leavers:
    """Some who have no mail yet leave by themselves, or are suppressed; when each was answered. Half of them have their
    mail in the queue already."""

    def __init__(self, stack: RunningStack, campaign: str) -> None:
        self._stack, self._campaign = stack, campaign
        self.left: dict[str, float] = {}

    def some(self) -> None:
        """The next part of them."""
        leavers, suppressed = self._on_their_way(LEAVE // PARTS), self._on_their_way(SUPPRESS // PARTS)
        insist(self._stack, "POST", "/suppressions/batch/add", {"emails": suppressed})
        self.left |= dict.fromkeys(suppressed, time.time())
        for address in leavers:
            insist(self._stack, "PATCH", f"/contacts/{address}", {"unsubscribed": True})
            self.left[address] = time.time()

    def _on_their_way(self, most: int) -> list[str]:
        found = self._asked("queued", most // 2)
        found += self._asked("waiting", most - len(found))
        self.left |= dict.fromkeys(found, float("inf"))
        return found

    def _asked(self, word: str, most: int) -> list[str]:
        rows: Rows = []

        def asked() -> bool:
            rows[:] = self._stack.sql(
                "SELECT c.address FROM campaign_recipients r JOIN contacts c ON c.id = r.contact_id"
                " WHERE r.campaign_id = %s AND r.state = %s LIMIT %s",
                [self._campaign, word, LEAVE + SUPPRESS + most],
            )
            return True

        self._stack.until(asked, 60, "PostgreSQL")
        return [address for (address,) in rows if address not in self.left][:most]


def prove(stack: RunningStack, campaign: str, left: dict[str, float], most_repeats: int) -> tuple[Counter[str], Left]:
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
    return states, _late(entries, left)


def _late(entries: list[LedgerEntry], left: dict[str, float]) -> Left:
    """By the moment at which their mail departed; how long it was on the wire then is its server's matter."""
    after = [entry for entry in entries if entry.at > left.get(entry.recipient, float("inf"))]
    departed = max((entry.mail_at - left[entry.recipient] for entry in after), default=0.0)
    found = Left(departed, max((entry.at - entry.mail_at for entry in after), default=0.0), len(after))
    assert found.after <= FRESH_SECONDS + READ_SECONDS, f"mail departed {found.after:.2f} s after somebody had left"
    return found


@pytest.mark.chaos
@pytest.mark.timeout(300 + 2 * ENDED_SECONDS)
def test_everybody_has_one_outcome_whoever_is_killed_while_it_is_paused_and_resumed(stack: RunningStack) -> None:
    chance, killer, started = random.Random(SEED), Killer(stack), time.monotonic()
    print(f"seed {SEED}")
    campaign = begin(stack, "a", plan={"per_hour": PEOPLE * 3600 // SECONDS})
    leavers = Leavers(stack, campaign)
    halts: Iterator[Act] = iter((lambda: _nothing_leaves(stack, campaign, killer), lambda: None))

    def pause_and_resume() -> None:
        insist(stack, "POST", f"/broadcasts/{campaign}/pause")
        next(halts)()
        insist(stack, "POST", f"/broadcasts/{campaign}/resume")

    acts = [*_kills(chance, killer), pause_and_resume, pause_and_resume, *[leavers.some] * PARTS]
    chance.shuffle(acts)
    for at, act in enumerate(acts):
        until_delivered(stack, round(PEOPLE * 0.8 * (at + chance.random()) / len(acts)))
        act()
    assert state(stack, campaign) == "sending", "the kills come too late to prove anything"
    until_finished(stack, campaign)

    states, late = prove(stack, campaign, leavers.left, killer.on_wire)
    assert states["suppressed"] + states["unsubscribed"] + states["delivered"] == PEOPLE
    assert states["suppressed"] and states["unsubscribed"]
    assert killer.killed.keys() == set(KINDS)
    print(
        f"{dict(states)} in {time.monotonic() - started:.0f} s; killed {dict(killer.killed)} with {killer.on_wire}"
        f" sessions open; {len(leavers.left)} left on the way, {late.mails} of them got mail that departed at most"
        f" {late.after:.2f} s after and was {late.wire:.2f} s on the wire; seed {SEED}"
    )


def _kills(chance: random.Random, killer: Killer) -> list[Act]:
    """Every kind once, then any."""
    victims = [*KINDS, *chance.choices(KINDS, k=KILLS - len(KINDS))]
    return [lambda victim=victim: killer.kill(victim) for victim in victims]  # type: ignore[misc]


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
@pytest.mark.timeout(300 + ENDED_SECONDS)
def test_nobody_is_lost_when_servers_say_later_to_a_third(stack: RunningStack) -> None:
    assert stack.simulator is not None
    rule, started = simulator.set_rule(stack.simulator, "full", recipient="third-b*"), time.monotonic()
    campaign = begin(stack, "b")
    third = -(-PEOPLE // 3)
    deferred = "SELECT count(*) FROM campaign_recipients WHERE campaign_id = %s AND state = 'deferred'"
    stack.until(lambda: stack.one(deferred, [campaign]) == third, ENDED_SECONDS, "a third to be put off")
    stack.until(lambda: time.monotonic() - started >= LATER_SECONDS, ENDED_SECONDS, "its servers to think better of it")
    assert state(stack, campaign) == "sending"
    assert stack.one(deferred, [campaign]) == third
    said = "SELECT reason FROM campaign_recipients WHERE campaign_id = %s AND state = 'deferred'"
    assert stack.one(said, [campaign]).startswith("452 4.2.2")
    simulator.clear_rules(stack.simulator, rule)
    due = (
        "UPDATE delivery_queue SET due_at = now() WHERE campaign_id = %s AND claimed_by IS NULL"
        " AND due_at > now() + interval '10 seconds'"
    )
    until_finished(stack, campaign, lambda: stack.sql(due, [campaign]) and None)

    states, _ = prove(stack, campaign, {}, 0)
    assert states == {"delivered": PEOPLE}
    print(f"{dict(states)} in {time.monotonic() - started:.0f} s, {third} of them put off at first")
