"""The primary PostgreSQL server is killed for good, three times, and its synchronous standby promoted.

Path: marketing mails are under way; the primary dies while batches are posted, while mail leaves, and once more; each
time the standby is promoted, and a node with an empty disk becomes the new standby. Every process is given both
addresses (`target_session_attrs=read-write`) and told of nothing.
Expectation: what was acknowledged was on both nodes, so it is there and ends exactly once. Outcomes that could not be
committed stay in the worker until they can: nothing is repeated.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.running.stack import Shape
from tests.chaos.conftest import quick_env
from tests.chaos.proof import ENDED_SECONDS, MAILS, SUPPRESSED, mails, prove, suppress_blocked, until_delivered
from tests.stack import Options, RunningStack, running_stack
from tests.standby import Pair, start_pair

LOSSES = 3
_MAILS = MAILS * 2
"""So that the last loss finds some on their way."""


@pytest.fixture
def pair_and_stack(_quick_restarts: None) -> Iterator[tuple[Pair, RunningStack]]:
    """Two workers for marketing mail on two PostgreSQL nodes."""
    made: list[Pair] = []

    def start(folder: Path) -> Pair:
        made.append(start_pair(folder))
        return made[0]

    with running_stack(Options(Shape(marketing=2, background=0, inbound=False), quick_env()), start) as stack:
        yield made[0], stack


@pytest.mark.chaos
def test_every_mail_ends_once_when_the_primary_is_lost(pair_and_stack: tuple[Pair, RunningStack]) -> None:
    pair, stack = pair_and_stack
    batch = mails(stack, _MAILS, SUPPRESSED)
    suppressed = suppress_blocked(stack, batch)
    submission = stack.submit(batch, batch=_MAILS // 40, clients=4)
    submission.until_acknowledged(_MAILS // 4)
    assert not submission.done, "the loss comes too late to prove anything"
    away = [_fail_over(pair, stack)]
    for loss in range(2, LOSSES + 1):
        until_delivered(stack, _MAILS * (loss - 1) // (LOSSES + 2))
        assert stack.waiting() > 0, "the loss comes too late to prove anything"
        away.append(_fail_over(pair, stack))
    acknowledged = submission.ids(90)
    took = stack.until_all_ended(ENDED_SECONDS)
    proof = prove(stack, acknowledged, suppressed, most_repeats=0)
    assert proof.messages == _MAILS, f"{proof.messages - _MAILS} mails were accepted twice"
    seconds = ", ".join(f"{one:.1f}" for one in away)
    print(f"{proof}; {submission.repeated_requests} requests made again; {seconds} s from each loss to the next mail;"
          f" all ended {took:.0f} s after the last")  # fmt: skip


def _fail_over(pair: Pair, stack: RunningStack) -> float:
    """Lose the primary and promote the standby, at once; seconds until outcomes are recorded again. Then a new standby
    joins."""
    ended = stack.one("SELECT count(*) FROM events WHERE kind = 'delivered'")
    pair.lose()
    pair.promote()
    seconds = stack.until(
        lambda: stack.one("SELECT count(*) FROM events WHERE kind = 'delivered'") > ended, 60, "mail to be delivered"
    )
    pair.rejoin()
    return seconds
