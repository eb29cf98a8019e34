"""The disk of the outcome journal is full.

Path: the marketing worker may not write files any longer than a few bytes (RLIMIT_FSIZE, which works as root and as
anybody else, and which gives half-written lines as a full disk does). Then the limit is zero from its start on.
Expectation: mail is still delivered, once, and every lost line of the journal is an error in the log: only a kill at
that moment would repeat this mail. While PostgreSQL is away too, outcomes can be kept nowhere: then nothing more is
sent, and a kill repeats what was on the wire at that time and the few outcomes that were not committed, not more.
"""

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from cli.running.processes import Service
from outcomes.recorder import EXPOSED_AT
from tests.chaos.proof import MAILS, QUICK, delivered_so_far, mails, prove, suppress_blocked, until_delivered
from tests.stack import MARKETING, Options, RunningStack, running_stack

COUNT = min(MAILS, 1000)

# Its output goes through a pipe: the limit is for files, and the log is one.
_LIMITED = """
import os, resource, sys
reader, writer = os.pipe()
if os.fork() == 0:
    os.close(writer)
    while data := os.read(reader, 65536):
        os.write(1, data)
    os._exit(0)
os.dup2(writer, 1)
os.dup2(writer, 2)
os.close(reader)
os.close(writer)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]),) * 2)
os.execv(sys.argv[2], sys.argv[2:])
"""


def _limited(octets: int) -> Callable[[Service], Service]:
    """The marketing worker with files of at most so many bytes; every other service as it is."""

    def rework(service: Service) -> Service:
        if service.name != MARKETING:
            return service
        return replace(service, command=(sys.executable, "-c", _LIMITED, str(octets), *service.command))

    return rework


@pytest.fixture(scope="module")
def whole_stack() -> Iterator[RunningStack]:
    """Its marketing worker can keep no journal at all."""
    with running_stack(Options(env=QUICK | {"POSTLANE_LEASE_SECONDS": "8"}, rework=_limited(0))) as stack:
        yield stack


@pytest.mark.chaos
def test_mail_is_delivered_although_the_journal_cannot_be_written() -> None:
    with running_stack(Options(env=QUICK, rework=_limited(5000))) as stack:
        stack.begin()
        _is_delivered(stack, "journal_write_failed")


@pytest.mark.chaos
def test_mail_is_delivered_although_the_journal_cannot_be_begun(stack: RunningStack) -> None:
    _is_delivered(stack, "journal_not_begun")


def _is_delivered(stack: RunningStack, event: str) -> None:
    batch = mails(stack, COUNT, suppressed=min(COUNT, 20))
    suppressed = suppress_blocked(stack, batch)
    acknowledged = stack.enqueue(batch)
    stack.until_all_ended(60)
    proof = prove(stack, acknowledged, suppressed, most_repeats=0)
    assert stack.states()[MARKETING].restarts == 0
    errors = [line for line in _log(stack) if line.get("event") == event]
    assert errors, f"the log has no line {event}"
    assert all(line["level"] == "error" and line["error"] for line in errors)
    print(f"{proof}; {len(errors)} times {event}")


@pytest.mark.chaos
def test_a_kill_repeats_little_when_the_disk_is_full_and_postgresql_is_away(stack: RunningStack) -> None:
    batch = mails(stack, COUNT, suppressed=min(COUNT, 20))
    suppressed = suppress_blocked(stack, batch)
    acknowledged = stack.enqueue(batch)
    until_delivered(stack, COUNT // 4)
    on_wire = stack.on_wire(MARKETING)
    os.kill(stack.pid("postgres"), signal.SIGKILL)
    time.sleep(3)  # the supervisor does nothing meanwhile, so PostgreSQL stays away
    sent = delivered_so_far(stack)
    time.sleep(1)
    assert delivered_so_far(stack) == sent, "mail leaves whose outcome can be kept nowhere"
    stack.kill(MARKETING)
    stack.until(lambda: stack.waiting() > 0, 60, "mail that is left to send")
    stack.until_all_ended(120)
    proof = prove(stack, acknowledged, suppressed, most_repeats=on_wire + EXPOSED_AT)
    print(f"{proof}; {on_wire} mails at most were under way when PostgreSQL went")


def _log(stack: RunningStack) -> list[dict[str, object]]:
    """The structured lines of the worker's log."""
    lines = (stack.data_dir / "logs" / f"{MARKETING}.log").read_text().splitlines()
    return [json.loads(line) for line in lines if line.startswith("{")]
