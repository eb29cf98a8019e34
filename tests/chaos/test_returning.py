"""kill -9 of everybody in turn, while mail leaves, bounces come in, links are followed and an application is told.

Path: marketing mails leave; of each ten recipients one has moved, and their
server reports it by SMTP; of each twenty one reads and follows a link, of each hundred one unsubscribes; an application
hears of every event. Meanwhile each kind of process, and PostgreSQL, is killed once.
Expectation: what was answered (250 to a report, the picture, the redirect, the page's 200) is in the store, and each
fact once: event, suppression, figure, webhook. The application hears of each at least once, and of one email in order.
"""

import pytest

from tests.chaos.killing import BACKGROUND, Killer
from tests.chaos.proof import ENDED_SECONDS, MAILS, mails, prove, suppress_blocked, until_delivered
from tests.chaos.proof_returned import prove_returned, until_settled
from tests.chaos.returning import everybody
from tests.stack import MARKETING, RunningStack

KINDS = ("public", "inbound", BACKGROUND, "postgres", MARKETING)
"""After the API, which is killed while mail is posted."""


@pytest.mark.chaos
@pytest.mark.timeout(300 + MAILS // 20)
def test_what_comes_back_is_written_and_told_once_whoever_is_killed(stack: RunningStack) -> None:
    batch, killer = mails(stack), Killer(stack)
    suppressed = suppress_blocked(stack, batch)
    with everybody(stack) as people:
        submission = stack.submit(batch, batch=max(1, MAILS // 100))
        submission.until_acknowledged(MAILS // 4)
        assert not submission.done, "the kill comes too late to prove anything"
        killer.kill("api")
        for number, victim in enumerate(KINDS, 1):
            until_delivered(stack, MAILS * number // (len(KINDS) + 2))
            assert stack.waiting() > 0, "the kill comes too late to prove anything"
            killer.kill(victim)
        acknowledged = submission.ids(90)
        took = stack.until_all_ended(ENDED_SECONDS)
        took += until_settled(stack, people)
        proof = prove(stack, acknowledged, suppressed, killer.on_wire, late=len(people.moved.answered))
        returned = prove_returned(stack, people)
    assert proof.messages == MAILS, f"{proof.messages - MAILS} mails were accepted twice"
    print(f"{proof}; {returned}; all told {took:.0f} s after the last kill")
