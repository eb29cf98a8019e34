"""kill -9 of Valkey, once with its data and once without.

Path: marketing mails are on their way; Valkey is killed in the middle, and started again by the supervisor with
what its append-only file holds, or with nothing at all. Mail is accepted all the time.
Expectation: PostgreSQL is the truth, so every mail ends exactly once, and none leaves twice; the due scan gives lost
hints again.
"""

import shutil

import pytest

from tests.chaos.proof import ENDED_SECONDS, MAILS, mails, prove, suppress_blocked, until_delivered
from tests.stack import RunningStack


@pytest.mark.chaos
@pytest.mark.parametrize("wiped", [False, True], ids=["data kept", "data wiped"])
def test_every_mail_ends_once_when_valkey_is_killed(stack: RunningStack, wiped: bool) -> None:
    restarts = stack.states()["valkey"].restarts
    batch = mails(stack)
    suppressed = suppress_blocked(stack, batch)
    first, second = batch[: MAILS * 3 // 4], batch[MAILS * 3 // 4 :]
    acknowledged = stack.enqueue(first)
    until_delivered(stack, MAILS // 5)
    stack.kill("valkey")
    if wiped:
        _wipe(stack)
    acknowledged += stack.enqueue(second)  # the API does not need Valkey
    assert stack.waiting() > 0, "the kill comes too late to prove anything"
    took = stack.until_all_ended(ENDED_SECONDS)
    assert stack.states()["valkey"].restarts == restarts + 1
    proof = prove(stack, acknowledged, suppressed, most_repeats=0)
    assert proof.messages == MAILS
    print(f"{proof}; all ended {took:.0f} s after the last answer")


def _wipe(stack: RunningStack) -> None:
    """Remove everything Valkey has stored. The supervisor starts it again at the next wait, not before."""
    folder = stack.data_dir / "valkey"
    stored = list(folder.iterdir())
    assert stored
    for entry in stored:
        if entry.is_dir():
            shutil.rmtree(entry)
        else:
            entry.unlink()
