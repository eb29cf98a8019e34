"""SIGSTOP for longer than the lease: a worker that wakes up in a world that has gone on without it.

Path: marketing mails; a worker is stopped while it sends, until its leases have run out. Meanwhile addresses
whose mail it has claimed are suppressed. Then it goes on. Once it is the only worker, so that it meets its own expired
claims again; once a second one has taken them over.
Expectation: everything ends exactly once, nothing is lost; mail that had not reached MAIL FROM is checked again and
does not go to the addresses suppressed meanwhile, but for what was in the middle of a session. A lonely worker repeats
nothing; with two, at most what the sleeper had sent and not committed leaves again.
"""

import random
import signal
import time
from uuid import UUID

import pytest

from simulator.ledger import read_ledger
from tests.chaos.conftest import LEASE_SECONDS
from tests.chaos.proof import ENDED_SECONDS, MAILS, STILL_SECONDS, mails, prove, suppress_blocked, until_delivered
from tests.stack import MARKETING, RunningStack

UNSENT = 20
"""Of so many, half are suppressed: some of them for sure."""


@pytest.mark.chaos
def test_a_lonely_worker_that_slept_longer_than_its_lease_harms_nothing(stack: RunningStack) -> None:
    _sleep_longer_than_the_lease(stack, shared=False)


@pytest.mark.chaos
def test_a_worker_that_slept_while_another_took_its_mail_harms_nothing(two_workers: RunningStack) -> None:
    _sleep_longer_than_the_lease(two_workers, shared=True)


def _sleep_longer_than_the_lease(stack: RunningStack, shared: bool) -> None:
    restarts = stack.states()[MARKETING].restarts
    batch = mails(stack)
    suppressed = suppress_blocked(stack, batch)
    acknowledged = stack.enqueue(batch)
    until_delivered(stack, MAILS // 4)
    try:
        claims, on_wire = _stop_with_claims(stack)
        stopped = time.time()
        late = set(random.sample(sorted(claims), len(claims) // 2))
        stack.request("POST", "/suppressions/batch/add", {"emails": sorted(late)})
        stack.until(lambda: not _leased(stack), LEASE_SECONDS * 4, "the end of the leases")
    finally:
        stack.send_signal(MARKETING, signal.SIGCONT)
    continued = time.time()
    took = stack.until_all_ended(ENDED_SECONDS)
    ledger = stack.ledger()
    # Claims also hold mail that had left before the stop and whose outcome had not been committed.
    reached = {entry.recipient for entry in ledger if entry.at > continued} & late
    assert len(reached) <= on_wire, f"{len(reached)} suppressed addresses reached, {on_wire} mails were under way"
    left_before = {entry.recipient for entry in ledger if entry.at < stopped + LEASE_SECONDS / 2} & claims
    spared = late - {entry.recipient for entry in ledger}
    assert spared, "every sampled mail had left before: nothing was proven"
    # What had left before somebody suppressed its address may be ended as suppressed by whoever took it over.
    crossed = reached | (left_before & late)
    proof = prove(
        stack, acknowledged, suppressed | spared, len(left_before) if shared else 0, len(crossed) if shared else 0
    )
    assert stack.states()[MARKETING].restarts == restarts
    print(
        f"{proof}; {on_wire} mails at most under way at the stop; {len(late)} addresses suppressed meanwhile, "
        f"{len(reached)} of them reached; all ended {took:.0f} s later"
    )


def _stop_with_claims(stack: RunningStack) -> tuple[set[str], int]:
    """Stop the worker while it holds mail that has not left; the recipients of all it holds, and how many mails it can
    have on the wire. Another worker stands still while we look: it would have nothing left to take over."""
    workers = [name for name in stack.states() if name.startswith(MARKETING)]
    while True:
        for name in workers:
            stack.send_signal(name, signal.SIGSTOP)
        time.sleep(STILL_SECONDS)
        claims = _claimed_by(stack, _identity(stack))
        left = {entry.recipient for entry in read_ledger(stack.ledger_file)}
        found = len(claims - left) >= UNSENT
        for name in workers:
            if not found or name != MARKETING:
                stack.send_signal(name, signal.SIGCONT)
        if found:
            return claims, stack.on_wire(MARKETING)
        assert stack.waiting() > 0, "the stop comes too late to prove anything"
        stack.tick()


def _identity(stack: RunningStack) -> UUID:
    """Under which id the stopped worker claims."""
    (file,) = (stack.data_dir / "journals").glob("*-marketing-0.worker")
    return UUID(file.read_text())


def _claimed_by(stack: RunningStack, worker: UUID) -> set[str]:
    """Recipients of mail that this worker holds."""
    return {row[0] for row in stack.sql("SELECT recipient FROM delivery_queue WHERE claimed_by = %s", [worker])}


def _leased(stack: RunningStack) -> bool:
    """Whether any claim of the stopped worker still holds."""
    return bool(
        stack.one(
            "SELECT EXISTS (SELECT FROM delivery_queue WHERE claimed_by = %s AND due_at > now())", [_identity(stack)]
        )
    )
