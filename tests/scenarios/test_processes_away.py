"""Doors and pages are gone, each of them: what was accepted leaves, and what is open still accepts.

Path: inbound, public pages, console and the background worker are killed and stay away; POST /emails; then the API is
killed as well, right after its answer.
Expectation: all of it is delivered by the worker alone; who comes to a closed door hears so at once, and finds it open
when its process is back.
"""

import signal
import socket
import time
from collections.abc import Callable
from urllib.parse import urlsplit

import pytest

from tests.stack import RunningStack

ASIDE = ("inbound", "public", "console", "worker-background")


def _without_help(condition: Callable[[], object], seconds: float, what: str) -> None:
    """Wait, while the supervisor starts nothing again."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def _closed(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) != 0


def _delivered(stack: RunningStack, ids: list[str]) -> int:
    """Asked of the store: the API is away."""
    statement = "SELECT count(*) FROM messages WHERE email_id = ANY(%s::uuid[]) AND state = 'delivered'"
    return int(stack.one(statement, [ids]))


@pytest.mark.scenario
def test_what_was_accepted_leaves_while_every_door_is_closed(stack: RunningStack) -> None:
    before = {name: stack.states()[name].restarts for name in (*ASIDE, "api")}
    doors = [urlsplit(url).port or 0 for url in (stack.public_url, stack.console_url)] + [stack.submission_port]
    for name in ASIDE:
        stack.send_signal(name, signal.SIGKILL)
    _without_help(lambda: all(map(_closed, doors)), 10, "the doors to close")

    ids = [stack.send(f"aside{n}@small-021.sim") for n in range(5)]
    _without_help(lambda: _delivered(stack, ids) == 5, 30, "mail to leave while others are away")
    ids += [stack.send(f"last{n}@small-021.sim") for n in range(5)]
    stack.send_signal("api", signal.SIGKILL)
    _without_help(lambda: _delivered(stack, ids) == 10, 30, "mail to leave while the API is away")

    stack.until(lambda: all(stack.states()[name].restarts > n for name, n in before.items()), 30, "all to be started")
    stack.until(stack.all_running, 60, "all to run")
    stack.until(lambda: not any(map(_closed, doors)), 60, "the doors to open")
    stack.until(lambda: {stack.last_event(email_id) for email_id in ids} == {"delivered"}, 60, "the API to tell")
