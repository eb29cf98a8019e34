"""The primary PostgreSQL server is killed for good, again and again, and its synchronous standby promoted.

Path: marketing mails are under way; the primary dies while batches are posted, while mail leaves, and once more, with
mail posted anew; each time the standby is promoted, and a node with an empty disk becomes the new standby. Every
process is given both addresses (`target_session_attrs=read-write`) and told of nothing. Then mail of both lanes, while
processes are drawn and killed, and the primary among them.
Expectation: what was acknowledged was on both nodes, so it is there and ends exactly once. Outcomes that could not be
committed stay in the worker until they can: the loss of a primary repeats nothing, and that of a worker no more than it
had sessions open.

`POSTLANE_CHAOS_MAILS=20000` has so many under way at each loss; `POSTLANE_CHAOS_KILLS` and `POSTLANE_CHAOS_SEED` are
those of `test_random_kills`.
"""

import os
import random
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import pytest

import tests.stack
from cli.running.stack import Shape
from tests.chaos.conftest import quick_env
from tests.chaos.killing import Killer
from tests.chaos.proof import ENDED_SECONDS, MAILS, SUPPRESSED, mails, prove, suppress_blocked
from tests.chaos.test_random_kills import ENDED_SECONDS as PATIENCE_SECONDS
from tests.chaos.test_random_kills import PAUSE, SEED, pause, waiting
from tests.stack import MARKETING, TRANSACTIONAL, Options, RunningStack, Submission, running_stack
from tests.standby import Pair, start_pair

LOSSES = 3
_LEAST = 0.25
"""Of the `MAILS` that are posted for each loss: how many leave until all are accepted is up to the machine."""
PRIMARY = "primary"
KINDS = ("api", "scheduler", TRANSACTIONAL, MARKETING, f"{MARKETING}-1", "valkey", PRIMARY)
KILLS = int(os.environ.get("POSTLANE_CHAOS_KILLS", "8"))
PORTION = 150


@pytest.fixture(scope="module")
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
    stack.begin()
    every = mails(stack, MAILS * LOSSES, SUPPRESSED)
    suppressed = suppress_blocked(stack, every)
    submissions: list[Submission] = []
    under_way, away = list[int](), list[float]()
    for loss in range(LOSSES):
        submission = stack.submit(every[loss * MAILS : (loss + 1) * MAILS], batch=MAILS // 20, clients=4)
        submission.until_acknowledged(MAILS * 5 // 8)
        assert not submission.done, "the loss comes too late to prove anything"
        if loss:
            stack.until(lambda: submission.done, 90, "the answers to all batches")  # noqa: B023  # asked right here
        submissions.append(submission)
        under_way.append(stack.waiting())
        away.append(_fail_over(pair, stack))
    assert min(under_way) >= MAILS * _LEAST, f"{under_way} were under way: the loss comes too late to prove anything"
    acknowledged = list(chain.from_iterable(one.ids(90) for one in submissions))
    took = stack.until_all_ended(ENDED_SECONDS)
    proof = prove(stack, acknowledged, suppressed, most_repeats=0)
    assert proof.messages == len(every), f"{proof.messages - len(every)} mails were accepted twice"
    seconds, again = ", ".join(f"{one:.1f}" for one in away), sum(one.repeated_requests for one in submissions)
    print(
        f"{proof}; {under_way} under way at the losses; {again} requests made again;"
        f" {seconds} s from each loss to the next mail; all ended {took:.0f} s after the last"
    )


@pytest.mark.chaos
@pytest.mark.timeout(600 + 10 * KILLS)
def test_every_mail_ends_once_whoever_is_killed_and_standbys_promoted_in_between(
    pair_and_stack: tuple[Pair, RunningStack], monkeypatch: pytest.MonkeyPatch
) -> None:
    pair, stack = pair_and_stack
    stack.begin()
    monkeypatch.setattr(tests.stack, "_PATIENCE_SECONDS", PATIENCE_SECONDS)
    chance, killer = random.Random(SEED), Killer(stack)
    every = mails(stack, KILLS * PORTION, KILLS * PORTION // 100)
    suppressed = suppress_blocked(stack, every)
    submissions: list[Submission] = []
    under_way = 0
    for number, victim in enumerate(_victims(chance)):
        portion = every[number * PORTION : (number + 1) * PORTION]
        both = [mail | {"stream": "marketing" if at % 4 else "transactional"} for at, mail in enumerate(portion)]
        submissions.append(stack.submit(both, batch=50))
        pause(stack, chance.uniform(*PAUSE))
        under_way += not submissions[-1].done or waiting(stack) > 0
        _kill(victim, pair, killer, stack)
    acknowledged = list(chain.from_iterable(one.ids(PATIENCE_SECONDS) for one in submissions))
    took = stack.until_all_ended(PATIENCE_SECONDS)
    proof = prove(stack, acknowledged, suppressed, killer.on_wire)
    assert proof.messages == len(acknowledged), f"{proof.messages - len(acknowledged)} mails were accepted twice"
    assert killer.killed.keys() == set(KINDS)
    assert under_way >= KILLS * 0.7, "the kills come too late to prove anything"
    print(
        f"{killer.killed.total()} random kills, {killer.killed[PRIMARY]} of them of the primary: {proof}"
        f" ({killer.on_wire} were on the wire of killed workers); all ended {took:.0f} s after the last; seed {SEED}"
    )


def _victims(chance: random.Random) -> list[str]:
    """Every kind once, in random order; again."""
    rounds = (chance.sample(KINDS, len(KINDS)) for _ in range(0, KILLS, len(KINDS)))
    return list(chain.from_iterable(rounds))[:KILLS]


def _kill(victim: str, pair: Pair, killer: Killer, stack: RunningStack) -> None:
    """A process; or the primary, whose standby takes over and gets one of its own."""
    if victim != PRIMARY:
        killer.await_running(victim)
        killer.kill(victim)
        return
    killer.killed[PRIMARY] += 1
    pair.lose()
    pair.promote()
    stack.until(lambda: stack.one("SELECT 1") == 1, 60, "the new primary")
    pair.rejoin()


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
