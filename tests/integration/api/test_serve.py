"""The server as a process: it says where it listens, serves, and ends in order and in time."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from api.serve import run
from core.errors import ConfigurationError
from core.settings import Settings
from tests.integration.api.account import Account, email

PROGRAM = """
from core.settings import load
from api.serve import run
run(load(), lambda host, port: print(port, flush=True))
print("end")
"""


def environment(settings: Settings, **more: str) -> dict[str, str]:
    return {
        **os.environ,
        "POSTLANE_DATABASE_URL": settings.database_url,
        "POSTLANE_REDIS_URL": settings.redis_url,
        "POSTLANE_SECRET": settings.secret.get_secret_value(),
        "POSTLANE_API_PORT": "0",
        **more,
    }


@pytest.fixture
def process(settings: Settings, request: pytest.FixtureRequest) -> Iterator[tuple[subprocess.Popen[str], str]]:
    workers = str(getattr(request, "param", 1))
    running = subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        stdout=subprocess.PIPE, text=True, env=environment(settings, POSTLANE_API_WORKERS=workers),
    )  # fmt: skip
    assert running.stdout
    line = next(line for line in running.stdout if line.strip().isdigit())
    yield running, f"http://127.0.0.1:{line.strip()}"
    if running.poll() is None:
        running.terminate()  # not killed: processes that it has started would stay
    running.wait(timeout=20)
    running.stdout.close()


def until_ready(url: str) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            if httpx.get(f"{url}/healthz", timeout=5).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.05)
    raise AssertionError("the server did not answer")


@pytest.mark.parametrize("process", [1, 2], indirect=True)
def test_it_serves_and_ends_on_sigterm(process: tuple[subprocess.Popen[str], str], account: Account) -> None:
    running, url = process
    until_ready(url)
    with httpx.Client(base_url=url, headers={"authorization": f"Bearer {account.full}"}) as client:
        sent = client.post("/emails", json=email())
        assert sent.status_code == 200
        assert "server" not in sent.headers
        started = time.monotonic()
        running.send_signal(signal.SIGTERM)  # with a connection that is kept open
        assert running.wait(timeout=10) == 0
        assert time.monotonic() - started < 5
    assert running.stdout
    rest = running.stdout.read()
    assert rest.rstrip().endswith("end"), "run() returns, so that its caller can tidy up"
    assert not any("/emails" in json.loads(line).get("event", "") for line in rest.splitlines() if line.startswith("{"))


@pytest.mark.parametrize("process", [2], indirect=True)
def test_processes_behind_one_port_count_together(process: tuple[subprocess.Popen[str], str], account: Account) -> None:
    running, url = process
    until_ready(url)
    serving = _serving(running.pid)
    told = {_asked(url, account) for _ in range(60)}
    assert len(serving) == 2
    assert told == set(map(float, range(1, 61))), "whichever answers tells of all"
    os.kill(serving[0], signal.SIGKILL)
    deadline = time.monotonic() + 20
    while serving[0] in _serving(running.pid) or len(_serving(running.pid)) < 2:
        assert time.monotonic() < deadline, "the one that was killed is replaced"
        time.sleep(0.05)
    until_ready(url)
    assert {_asked(url, account) for _ in range(20)} == set(map(float, range(61, 81))), "a counter never falls"
    text = httpx.get(f"{url}/metrics").text
    assert "pid=" not in text
    assert text.count("\npostlane_flags_read_timestamp_seconds ") == 1
    asked = re.findall(r'^postlane_statement_seconds_count\{family="api_keys"\} (\S+)$', text, re.M)
    assert len(asked) == 1
    assert float(asked[0]) >= 1, "own collectors tell of all as well"


def _serving(parent: int) -> list[int]:
    """The server processes of the one that watches over them; Python's own helper of theirs listens to no request."""
    found = []
    for pid in Path(f"/proc/{parent}/task/{parent}/children").read_text().split():
        with contextlib.suppress(OSError):
            if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes():
                found.append(int(pid))
    return found


def _asked(url: str, account: Account) -> float:
    """Ask once on a connection of its own, and then how often anybody was asked."""
    with httpx.Client(base_url=url, headers={"authorization": f"Bearer {account.full}"}) as client:
        assert client.get("/domains").status_code == 200
    text = httpx.get(f"{url}/metrics").text
    (line,) = (one for one in text.splitlines() if one.startswith('postlane_api_answers_total{route="/domains"'))
    return float(line.rpartition(" ")[2])


def test_an_address_that_is_taken_is_said_clearly(settings: Settings) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ConfigurationError, match=str(port)):
            run(settings.model_copy(update={"api_port": port}))
