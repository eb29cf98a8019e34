"""The mail a chaos test has under way, and the proof afterwards that none was lost, doubled too often, or sent to whom
it must not reach.

The two sides that are compared are independent: the store of the product, and the ledger of the practice internet,
which takes down every mail it accepted with its Message-ID.
"""

import json
import os
from collections import Counter
from dataclasses import dataclass
from uuid import UUID

from messages.states import TERMINAL, State
from tests.stack import SENDER, RunningStack

MAILS = int(os.environ.get("POSTLANE_CHAOS_MAILS", "20000"))
"""Mails under way in each test; fewer for a quick look."""

SUPPRESSED = 200
"""Of them, to addresses on the suppression list."""

DOMAINS = 20
"""Recipient domains, each with a mail host of its own and no limits but ours."""

QUICK = {"POSTLANE_CONNECTIONS_PER_HOST": "4", "POSTLANE_LOG_LEVEL": "warning"}
"""Few connections to each host: a test spends its time on mail, not on TLS handshakes."""

ENDED_SECONDS = 90.0
"""Patience until everything has ended. A quiet machine needs about 25 s for 20,000 mails."""


@dataclass(frozen=True, slots=True)
class Proof:
    """What was found. `str()` of it is the line a test prints."""

    messages: int
    delivered: int
    suppressed: int
    repeats: int

    def __str__(self) -> str:
        ended = f"{self.delivered} delivered, {self.suppressed} suppressed, {self.repeats} repeats"
        return f"{self.messages} messages: {ended}"


def mails(count: int = MAILS, suppressed: int = SUPPRESSED, stream: str = "marketing") -> list[dict[str, object]]:
    """`count` mails to as many recipients; `suppressed` of them, evenly spread, to blocked addresses."""
    every = count // suppressed if suppressed else count + 1
    return [
        {
            "from": SENDER,
            "to": f"{'blocked' if number % every == 0 else 'customer'}{number}@small-{number % DOMAINS + 1:03}.sim",
            "subject": f"Offer {number}",
            "text": "Three for two on everything in the shop.\n" * 10,
            "stream": stream,
        }
        for number in range(count)
    ]


def suppress_blocked(stack: RunningStack, batch: list[dict[str, object]]) -> set[str]:
    """Put the blocked addresses of these mails on the suppression list; the addresses."""
    addresses = {str(mail["to"]) for mail in batch if str(mail["to"]).startswith("blocked")}
    for start in range(0, len(addresses), 10_000):
        stack.request("POST", "/suppressions/batch/add", {"emails": sorted(addresses)[start : start + 10_000]})
    return addresses


def until_delivered(stack: RunningStack, goal: int) -> None:
    """Wait until the practice internet has taken this many mails."""
    stack.until(lambda: delivered_so_far(stack) >= goal, 60, f"{goal} deliveries")


def delivered_so_far(stack: RunningStack) -> int:
    """Mails the practice internet has taken until now, repeats included."""
    with stack.ledger_file.open("rb") as ledger:
        return sum(chunk.count(b"\n") for chunk in iter(lambda: ledger.read(1 << 20), b""))


def unread_replies(stack: RunningStack, worker: str) -> int:
    """Mails whose final dot the frozen `worker` (its name in the journal) has sent and whose reply it has not read.

    They are those the far side has taken, and of which neither store nor journal knows an outcome: the only ones that a
    kill may repeat. Nothing else may be sending.
    """
    taken = {entry.message_id for entry in stack.ledger()}
    rows = stack.sql("SELECT q.email_id, e.message_id FROM delivery_queue q JOIN emails e ON e.id = q.email_id")
    noted = _noted(stack, worker)
    return sum(message_id in taken and email_id not in noted for email_id, message_id in rows)


def _noted(stack: RunningStack, worker: str) -> set[UUID]:
    """Emails in the journal of a worker."""
    files = list((stack.data_dir / "journals").glob(f"*-{worker}.?.journal"))
    assert len(files) == 2
    lines = [line for file in files for line in file.read_bytes().splitlines()]
    return {UUID(json.loads(line)["ref"][0]) for line in lines}


def prove(
    stack: RunningStack, acknowledged: list[str], suppressed: set[str], most_repeats: int, most_crossed: int = 0
) -> Proof:
    """Compare store and ledger for everything the API has acknowledged. Raises AssertionError naming what is wrong.

    `suppressed` are the addresses that must not have been reached. `most_crossed` mails may have arrived although the
    store calls them suppressed: in the middle of a session when their lease ended, and ended by another worker.
    """
    ids = [UUID(email_id) for email_id in acknowledged]
    assert len(set(ids)) == len(ids), "two mails were given the same id"
    states = _states(stack)
    missing = [str(email_id) for email_id in ids if email_id not in states]
    assert not missing, f"{len(missing)} acknowledged mails are not in the store, such as {missing[0]}"
    _prove_store(stack, states)
    _prove_figures(stack, states)
    delivered, crossed, repeats = _prove_ledger(stack, states, suppressed)
    assert crossed <= most_crossed, f"{crossed} mails arrived that are called suppressed"
    assert repeats <= most_repeats, f"{repeats} repeats, {most_repeats} can be explained"
    ended = Counter(state for state, _ in states.values())
    assert ended[State.SUPPRESSED] == len(suppressed) + crossed
    return Proof(len(states), delivered, ended[State.SUPPRESSED], repeats)


def _states(stack: RunningStack) -> dict[UUID, tuple[str, str]]:
    """Email id → state and Message-ID. Every mail of a chaos test has one recipient."""
    rows = stack.sql("SELECT e.id, m.state, e.message_id FROM emails e JOIN messages m ON m.email_id = e.id")
    states = {email_id: (state, message_id) for email_id, state, message_id in rows}
    assert len(states) == len(rows)
    return states


def _prove_store(stack: RunningStack, states: dict[UUID, tuple[str, str]]) -> None:
    """Every message is in one terminal state, with one event that says so, and none is left in the queue."""
    assert stack.waiting() == 0
    terminal = {state.value for state in TERMINAL}
    assert {state for state, _ in states.values()} <= terminal
    events = stack.sql(
        "SELECT email_id, kind, count(*) FROM events WHERE kind = ANY(%s) GROUP BY 1, 2", [list(terminal)]
    )
    ends = Counter[UUID]()
    for email_id, kind, count in events:
        assert kind == states[email_id][0], f"{email_id} is {states[email_id][0]} and has an event {kind}"
        ends[email_id] += count
    wrong = {str(email_id): ends[email_id] for email_id in states if ends[email_id] != 1}
    assert not wrong, f"{len(wrong)} messages do not have exactly one terminal event: {json.dumps(wrong)[:300]}"


def _prove_figures(stack: RunningStack, states: dict[UUID, tuple[str, str]]) -> None:
    """What was counted is what is in the store: added up or still to be, by one reading of both."""
    rows = stack.sql(
        "SELECT outcome, sum(n)::int FROM (SELECT outcome, n FROM count_deltas UNION ALL SELECT s.outcome, h.n"
        " FROM report_series s JOIN report_hours h ON h.series_id = s.id WHERE s.by = 'application') counted GROUP BY 1"
    )
    counted, ended = dict(rows), Counter(state for state, _ in states.values())
    assert counted["accepted"] == len(states)
    assert {state: counted.get(state, 0) for state in ended} == ended


def _prove_ledger(
    stack: RunningStack, states: dict[UUID, tuple[str, str]], suppressed: set[str]
) -> tuple[int, int, int]:
    """Delivered means taken; taken means delivered, or suppressed meanwhile. The numbers of both, and of repeats."""
    entries = stack.ledger()
    taken = Counter(entry.message_id for entry in entries)
    delivered = {message_id for state, message_id in states.values() if state == State.DELIVERED}
    lost = delivered - taken.keys()
    assert not lost, f"{len(lost)} mails are called delivered and never arrived"
    crossed = {message_id for state, message_id in states.values() if state == State.SUPPRESSED} & taken.keys()
    stray = taken.keys() - delivered - crossed
    assert not stray, f"{len(stray)} mails arrived that are called neither delivered nor suppressed"
    reached = suppressed & {entry.recipient for entry in entries}
    assert not reached, f"{len(reached)} suppressed addresses got mail"
    return len(delivered), len(crossed), sum(taken.values()) - len(taken)
