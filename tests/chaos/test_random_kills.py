"""kill -9 of every kind of process, at random moments, while mail of both lanes comes in by HTTP and by SMTP, and
reports, clicks and unsubscribing come back.

Path: with every kill a further portion of mail is posted; a process is drawn, and killed a random moment later. The
supervisor starts it again, and the clients ask again until they have their answers. A worker is frozen right before its
end, so that what it has on the wire can be counted.
Expectation: everything acknowledged ends exactly once, nothing is accepted twice, no suppressed address is reached, and
no more mails arrive twice than killed workers had sessions open. What came back is stored once, and told
(`proof_returned`).

More kills: POSTLANE_CHAOS_KILLS=1000. The same ones again: POSTLANE_CHAOS_SEED, which is printed.
"""

import os
import random
import smtplib
import threading
import time
from collections.abc import Iterator
from itertools import chain

import pytest

import tests.stack
from tests.chaos.killing import BACKGROUND, Killer
from tests.chaos.proof import mails, prove, suppress_blocked
from tests.chaos.proof_returned import prove_returned, until_settled
from tests.chaos.returning import everybody
from tests.stack import MARKETING, SENDER, TRANSACTIONAL, RunningStack, Submission

KILLS = int(os.environ.get("POSTLANE_CHAOS_KILLS", "18"))
SEED = int(os.environ.get("POSTLANE_CHAOS_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 32)
KINDS = ("api", "inbound", "public", "scheduler", BACKGROUND, TRANSACTIONAL, MARKETING, "postgres", "valkey")
PORTION = 200
"""Mails posted with each kill: more than leave until the next one."""
PAUSE = (0.1, 1.2)
"""Seconds between a post and its kill."""
ENDED_SECONDS = 300.0


class SmtpClient(threading.Thread):
    """An application that submits by SMTP: one mail after the other, each until it has its 250."""

    def __init__(self, port: int, key: str, test: int) -> None:
        super().__init__(name="smtp client", daemon=True)
        self._test = test
        self.acknowledged: list[str] = []
        self._port = port
        self._key = key
        self._stopping = threading.Event()

    def run(self) -> None:
        number = 0
        while not self._stopping.wait(0.1):
            number += 1
            while (email_id := self._submit(number)) is None:
                time.sleep(0.2)  # what a client does between two tries; nothing waits for it
            self.acknowledged.append(email_id)

    def stop(self) -> None:
        """Once its mail has been accepted."""
        self._stopping.set()

    def _submit(self, number: int) -> str | None:
        to = f"by-smtp{number}.{self._test}@small-001.sim"
        head = (f"From: {SENDER}", f"To: {to}", "Subject: Hi", f"X-Postlane-Idempotency-Key: {SEED}-{number}", "")
        try:
            with smtplib.SMTP("127.0.0.1", self._port, timeout=20) as client:
                client.login("apikey", self._key)
                client.mail(SENDER.rpartition("<")[2].rstrip(">"))
                client.rcpt(to)
                code, text = client.data("\r\n".join((*head, "It works.", "")))
        except (OSError, smtplib.SMTPException):
            return None
        return text.decode().rsplit(maxsplit=1)[-1] if code == 250 else None


@pytest.mark.chaos
@pytest.mark.timeout(600 + 10 * KILLS)
def test_every_mail_ends_once_whoever_is_killed_whenever(stack: RunningStack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tests.stack, "_PATIENCE_SECONDS", ENDED_SECONDS)  # API and database are away half of the time
    chance, killer = random.Random(SEED), Killer(stack)
    print(f"seed {SEED}")
    portions = list(_portions(stack))
    suppressed = suppress_blocked(stack, list(chain.from_iterable(portions)))
    client = SmtpClient(stack.submission_port, stack.key, stack.since.number)
    with everybody(stack) as people:
        client.start()
        submissions: list[Submission] = []
        under_way = 0
        for victim, portion in zip(_victims(chance), portions, strict=False):
            submissions.append(stack.submit(portion, batch=100))
            pause(stack, chance.uniform(*PAUSE))
            killer.await_running(victim)
            under_way += not submissions[-1].done or waiting(stack) > 0
            killer.kill(victim)
        client.stop()
        stack.until(lambda: not client.is_alive(), 120, "the last mail by SMTP")
        acknowledged = list(chain.from_iterable(one.ids(120) for one in submissions)) + client.acknowledged
        took = stack.until_all_ended(ENDED_SECONDS)
        took += until_settled(stack, people)
        proof = prove(stack, acknowledged, suppressed, killer.on_wire, late=len(people.moved.answered))
        returned = prove_returned(stack, people)
    assert proof.messages == len(acknowledged), f"{proof.messages - len(acknowledged)} mails were accepted twice"
    assert killer.killed.keys() == set(KINDS)
    assert under_way >= KILLS * 0.8, "the kills come too late to prove anything"
    print(
        f"{killer.killed.total()} random kills of {len(killer.killed)} kinds of process under load: {proof}"
        f" ({killer.on_wire} were on the wire of killed workers), none lost, no suppressed address reached;"
        f" {len(client.acknowledged)} by SMTP; {returned}; all told {took:.0f} s after the last kill; seed {SEED}"
    )


def _portions(stack: RunningStack) -> Iterator[list[dict[str, object]]]:
    """A portion for each kill: three quarters marketing mail, no address twice."""
    every = mails(stack, KILLS * PORTION, suppressed=KILLS * PORTION // 100)
    for start in range(0, len(every), PORTION):
        portion = every[start : start + PORTION]
        yield [mail | {"stream": "marketing" if at % 4 else "transactional"} for at, mail in enumerate(portion)]


def _victims(chance: random.Random) -> Iterator[str]:
    """Every kind once, in random order; again."""
    left = KILLS
    while left > 0:
        yield from chance.sample(KINDS, len(KINDS))[:left]
        left -= len(KINDS)


def pause(stack: RunningStack, seconds: float) -> None:
    """Let that time pass, the supervisor working meanwhile."""
    end = time.monotonic() + seconds
    stack.until(lambda: time.monotonic() >= end, seconds + 60, "a moment")


def waiting(stack: RunningStack) -> int:
    """Messages on their way; one, when PostgreSQL is just being started again."""
    found = 1

    def asked() -> bool:
        nonlocal found
        found = stack.waiting()
        return True

    stack.until(asked, 60, "PostgreSQL")
    return found
