"""A backup taken while mail leaves, the installation lost, and the backup restored into an empty place.

Path: marketing mails are under way, their worker frozen in the middle, and one is scheduled for the evening when
`postlane backup` copies the database; the rest leaves, and then everything is gone. `postlane restore` makes a new
installation, and its processes are started.
Expectation: the copy is consistent; nothing that may have left leaves again by itself; what is scheduled for later is
free to go; what is held leaves when a person says so.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cli.running.embedded import Servers, start_servers
from tests.stack import MARKETING, SENDER, Options, reachable_folder, running_stack

_MAILS = 600
_SECRET = "5a" * 32


@pytest.fixture
def place() -> Iterator[Path]:
    """Where the copy lies, and the new data folder."""
    with reachable_folder() as folder:
        yield folder


@pytest.fixture
def new_place(place: Path) -> Iterator[Servers]:
    """Servers that hold nothing yet."""
    servers = start_servers(place / "new", lambda _: None)
    try:
        yield servers
    finally:
        servers.stop()


def test_what_may_have_left_is_held_after_a_restore(place: Path, new_place: Servers) -> None:
    copy, url = str(place / "copy"), new_place.database_url
    with running_stack(Options(secret=_SECRET)) as stack:
        evening = datetime.now(UTC) + timedelta(hours=6)
        scheduled = stack.send("later@small-001.sim", scheduled_at=evening.isoformat())
        ids = stack.enqueue([_mail(number) for number in range(_MAILS)])
        stack.until(lambda: _MAILS - 1 > stack.waiting() > 1, 30, "some mail to be under way")
        stack.send_signal(MARKETING, signal.SIGSTOP)
        _run(stack.database_url, "backup", copy)
        stack.send_signal(MARKETING, signal.SIGCONT)
        stack.until(lambda: stack.waiting() == 1, 60, "all but the scheduled mail to end")
        assert len(stack.ledger()) == _MAILS
    assert not (place / "copy" / "secret").exists()

    assert "not the instance secret" in _refused(url, "restore", copy, secret="00" * 32)
    held = _run(url, "restore", copy)["held_messages"]
    assert 0 < held < _MAILS
    assert "not empty" in _refused(url, "restore", copy)

    with running_stack(Options(secret=_SECRET), lambda _: new_place) as stack:
        stack.request("PATCH", f"/emails/{scheduled}", {"scheduled_at": "in 1 second"})
        stack.until_ended([scheduled], 30)
        assert [entry.recipient for entry in stack.ledger()] == ["later@small-001.sim"]
        assert sum(row["messages"] for row in _run(url, "restored", "list")) == held
        waiting = [one for one in ids if stack.last_event(one) == "queued"]
        assert len(waiting) == held
        assert "may have left" in json.dumps(stack.email(waiting[0]))
        assert _run(url, "restored", "release", "--all", "--yes") == {"released": held}
        stack.until_all_ended(60)
        assert len(stack.ledger()) == held + 1
        assert _run(url, "restored", "list") == []


def _mail(number: int) -> dict[str, object]:
    to = f"customer{number}@small-{number % 20 + 1:03}.sim"
    return {"from": SENDER, "to": to, "subject": f"Offer {number}", "text": "Three for two.", "stream": "marketing"}


def _run(database_url: str, *words: str) -> Any:
    """What a command answers."""
    done = _command(database_url, _SECRET, *words)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def _refused(database_url: str, *words: str, secret: str = _SECRET) -> str:
    """What a command says that does nothing."""
    done = _command(database_url, secret, *words)
    assert done.returncode == 1, done.stdout
    return done.stderr


def _command(database_url: str, secret: str, *words: str) -> "subprocess.CompletedProcess[str]":
    env = os.environ | {"POSTLANE_DATABASE_URL": database_url, "POSTLANE_SECRET": secret}
    return subprocess.run(
        [sys.executable, "-m", "cli", *words], env=env, capture_output=True, text=True, timeout=120, check=False
    )
