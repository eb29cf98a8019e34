"""The mail a chaos test has under way, and the proof afterwards that none was lost, doubled too often, or sent to whom
it must not reach.

`POSTLANE_CHAOS_MAILS=20000` sends as many as promises are made about; fewer by default, so that all tests take minutes.

The two sides that are compared are independent: the store of the product, and the ledger of the practice internet,
which takes down every mail it accepted with its Message-ID.
"""

import json
import os
import time
from collections import Counter
from dataclasses import dataclass
from uuid import UUID

from messages.states import TERMINAL, State
from tests.stack import SENDER, RunningStack

MAILS = int(os.environ.get("POSTLANE_CHAOS_MAILS", "4000"))
"""Mails under way in each test."""

MOVED, READER, LEAVER = "moved", "reader", "leaver"
"""Beginnings of addresses: of ten recipients one has moved and their server reports it, of twenty one reads, of a
hundred one wants no more of it. They do so in tests with `returning.everybody`."""

SUPPRESSED = MAILS // 100
"""Of them, to addresses on the suppression list."""

DOMAINS = 20
"""Recipient domains, each with a mail host of its own and no limits but ours; every second one takes BDAT."""

QUICK = {"POSTLANE_CONNECTIONS_PER_HOST": "4", "POSTLANE_LOG_LEVEL": "warning"}
"""Few connections to each host: a test spends its time on mail, not on TLS handshakes."""

ENDED_SECONDS = 90.0 + MAILS / 100
"""Patience until everything has ended. A quiet machine needs about 25 s for 20,000 mails."""

STILL_SECONDS = 0.3
"""What is in sockets is taken within it."""


@dataclass(frozen=True, slots=True)
class Proof:
    """What was found. `str()` of it is the line a test prints."""

    messages: int
    delivered: int
    suppressed: int
    repeats: int
    late: int = 0
    """Of the delivered, bounced by a report afterwards."""

    def __str__(self) -> str:
        late = f" ({self.late} bounced later)" if self.late else ""
        ended = f"{self.delivered} delivered{late}, {self.suppressed} suppressed, {self.repeats} repeats"
        return f"{self.messages} messages: {ended}"


def mails(stack: RunningStack, count: int = MAILS, suppressed: int = SUPPRESSED) -> list[dict[str, object]]:
    """`count` marketing mails to as many recipients, all of this test; `suppressed` of them, evenly spread, to blocked
    addresses."""
    every = count // suppressed if suppressed else count + 1
    return [
        {
            "from": SENDER,
            "to": f"{_name(number, every)}{number}.{stack.since.number}@small-{number // 10 % DOMAINS + 1:03}.sim",
            "subject": f"Offer {number}",
            "text": "Three for two on everything in the shop.\n" * 10,
            "stream": "marketing",
        }
        for number in range(count)
    ]


def _name(number: int, every: int) -> str:
    """Whom a mail goes to; what those do who do anything stands in `returning`."""
    if number % every == 0:
        return "blocked"
    if number % 10 == 1:
        return MOVED
    return READER if number % 20 == 2 else LEAVER if number % 100 == 3 else "customer"


def suppress_blocked(stack: RunningStack, batch: list[dict[str, object]]) -> set[str]:
    """Put the blocked addresses of these mails on the suppression list; the addresses."""
    addresses = {str(mail["to"]) for mail in batch if str(mail["to"]).startswith("blocked")}
    for start in range(0, len(addresses), 10_000):
        stack.request("POST", "/suppressions/batch/add", {"emails": sorted(addresses)[start : start + 10_000]})
    return addresses


def until_delivered(stack: RunningStack, goal: int) -> None:
    """Wait until the practice internet has taken this many mails."""
    stack.until(lambda: delivered_so_far(stack) >= goal, ENDED_SECONDS, f"{goal} deliveries")


def delivered_so_far(stack: RunningStack) -> int:
    """Mails the practice internet has taken until now, repeats included."""
    with stack.ledger_file.open("rb") as ledger:
        ledger.seek(stack.since.octets)
        return sum(chunk.count(b"\n") for chunk in iter(lambda: ledger.read(1 << 20), b""))


def unread_replies(stack: RunningStack, worker: str) -> int:
    """Mails that the frozen `worker` (its name in the journal) has sent to their end and whose reply it has not read.

    What is in the sockets yet is taken first. They are those the far side has taken, and of which neither store nor
    journal knows an outcome: the only ones that a kill may repeat. Nothing else may be sending.
    """
    stack.until(lambda: _stands_still(stack), 30, "the far side to take what is in its sockets")
    taken = {entry.message_id for entry in stack.ledger()}
    rows = stack.sql("SELECT q.email_id, e.message_id FROM delivery_queue q JOIN emails e ON e.id = q.email_id")
    noted = _noted(stack, worker)
    return sum(message_id in taken and email_id not in noted for email_id, message_id in rows)


def _stands_still(stack: RunningStack) -> bool:
    before = delivered_so_far(stack)
    time.sleep(STILL_SECONDS)
    return delivered_so_far(stack) == before


def _noted(stack: RunningStack, worker: str) -> set[UUID]:
    """Emails in the journal of a worker."""
    files = list((stack.data_dir / "journals").glob(f"*-{worker}.?.journal"))
    assert len(files) == 2
    lines = [line for file in files for line in file.read_bytes().splitlines()]
    return {UUID(json.loads(line)["ref"][0]) for line in lines}


def prove(
    stack: RunningStack,
    acknowledged: list[str],
    suppressed: set[str],
    most_repeats: int,
    most_crossed: int = 0,
    late: int = 0,
) -> Proof:
    """Compare store and ledger for everything the API has acknowledged. Raises AssertionError naming what is wrong.

    `suppressed` are the addresses that must not have been reached. `most_crossed` mails may have arrived although the
    store calls them suppressed: in the middle of a session when their lease ended, and ended by another worker. `late`
    of those delivered have bounced afterwards.
    """
    ids = [UUID(email_id) for email_id in acknowledged]
    assert len(set(ids)) == len(ids), "two mails were given the same id"
    found = _stored(stack)
    missing = [str(email_id) for email_id in ids if email_id not in found]
    assert not missing, f"{len(missing)} acknowledged mails are not in the store, such as {missing[0]}"
    _prove_store(stack, found)
    _prove_figures(stack, found)
    assert sum(one.late for one in found.values()) == late
    delivered, crossed, repeats = _prove_ledger(stack, found, suppressed)
    assert crossed <= most_crossed, f"{crossed} mails arrived that are called suppressed"
    assert repeats <= most_repeats, f"{repeats} repeats, {most_repeats} can be explained"
    ended = Counter(one.sent for one in found.values())
    assert ended[State.SUPPRESSED] == len(suppressed) + crossed
    return Proof(len(found), delivered, ended[State.SUPPRESSED], repeats, late)


@dataclass(frozen=True, slots=True)
class _Stored:
    """What the store says of a mail."""

    state: str
    message_id: str
    late: bool
    """It bounced after it was delivered."""

    @property
    def sent(self) -> str:
        """How sending it ended."""
        return State.DELIVERED.value if self.late else self.state


def _stored(stack: RunningStack) -> dict[UUID, _Stored]:
    """By email id. Every mail of a chaos test has one recipient."""
    rows = stack.sql(
        "SELECT e.id, m.state, e.message_id, m.state = 'bounced' AND EXISTS (SELECT FROM events v"
        " WHERE v.email_id = e.id AND v.kind = 'delivered') FROM emails e JOIN messages m ON m.email_id = e.id"
        " WHERE e.id > %s",
        [stack.since.id],
    )
    found = {email_id: _Stored(*facts) for email_id, *facts in rows}
    assert len(found) == len(rows)
    return found


def _prove_store(stack: RunningStack, found: dict[UUID, _Stored]) -> None:
    """Every message is in one terminal state, with one event that says so, and none is left in the queue."""
    assert stack.waiting() == 0
    terminal = {state.value for state in TERMINAL}
    endless = {str(email_id): one.state for email_id, one in found.items() if one.state not in terminal}
    assert not endless, f"{len(endless)} messages have no end and are not on their way: {json.dumps(endless)[:300]}"
    events = Counter(
        stack.sql(
            "SELECT email_id, kind FROM events WHERE kind = ANY(%s) AND email_id > %s",
            [list(terminal), stack.since.id],
        )
    )
    wanted = {(email_id, kind) for email_id, one in found.items() for kind in (one.sent, one.state)}
    wrong = {f"{email_id} {kind}": n for (email_id, kind), n in events.items() if n > 1}
    assert not wrong, f"{len(wrong)} ends are told twice: {json.dumps(wrong)[:300]}"
    assert events.keys() == wanted, f"{len(events.keys() ^ wanted)} messages have other ends than their state"


def _prove_figures(stack: RunningStack, found: dict[UUID, _Stored]) -> None:
    """What was counted is what is in the store."""
    counted, ended = stack.figures(), Counter(one.sent for one in found.values())
    assert counted["accepted"] == len(found)
    assert {state: counted.get(state, 0) for state in ended} == ended
    assert counted.get("late_bounced", 0) == sum(one.late for one in found.values())


def _prove_ledger(stack: RunningStack, found: dict[UUID, _Stored], suppressed: set[str]) -> tuple[int, int, int]:
    """Delivered means taken; taken means delivered, or suppressed meanwhile. The numbers of both, and of repeats."""
    entries = stack.ledger()
    taken = Counter(entry.message_id for entry in entries)
    delivered = {one.message_id for one in found.values() if one.sent == State.DELIVERED}
    lost = delivered - taken.keys()
    assert not lost, f"{len(lost)} mails are called delivered and never arrived"
    crossed = {one.message_id for one in found.values() if one.state == State.SUPPRESSED} & taken.keys()
    stray = taken.keys() - delivered - crossed
    assert not stray, f"{len(stray)} mails arrived that are called neither delivered nor suppressed"
    reached = suppressed & {entry.recipient for entry in entries}
    assert not reached, f"{len(reached)} suppressed addresses got mail"
    return len(delivered), len(crossed), sum(taken.values()) - len(taken)
