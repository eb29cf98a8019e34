"""kill -9 of the API while applications post batches.

Path: clients post marketing mails in batches, each with an Idempotency-Key; the API is killed again and again in
the middle and started again by the supervisor; the clients ask again until they have their answer.
Expectation: what was acknowledged is in the store exactly once and ends exactly once; a batch that was committed but
not answered is answered from its key, not accepted a second time; no mail leaves twice, because no worker died.
"""

import pytest

from tests.chaos.proof import ENDED_SECONDS, MAILS, mails, prove, suppress_blocked
from tests.stack import RunningStack

KILLS = 4


@pytest.mark.chaos
def test_nothing_is_lost_or_accepted_twice_when_the_api_is_killed_while_batches_are_posted(
    stack: RunningStack,
) -> None:
    batch = mails(stack)
    suppressed = suppress_blocked(stack, batch)
    submission = stack.submit(batch, batch=max(1, MAILS // 100), clients=4)
    for kill in range(1, KILLS + 1):
        submission.until_acknowledged(MAILS * kill // (KILLS + 1))
        assert not submission.done, "the kill comes too late to prove anything"
        stack.kill("api")
    acknowledged = submission.ids(90)
    assert len(acknowledged) == MAILS
    assert submission.repeated_requests > 0
    took = stack.until_all_ended(ENDED_SECONDS)
    proof = prove(stack, acknowledged, suppressed, most_repeats=0)
    assert proof.messages == MAILS, f"{proof.messages - MAILS} mails were accepted twice"
    print(f"{proof}; {submission.repeated_requests} requests made again; all ended {took:.0f} s after the last answer")
