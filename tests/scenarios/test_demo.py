"""A newcomer's first ten minutes: `postlane up --demo`, what it prints, Ctrl-C, and a second start.

Path: the command in an empty folder, as a process of its own, without any setting.
Expectation: within 60 seconds of a machine's own it has sent a receipt and a burst of 2,000; `demo.json` is right; the
printed curl line and the printed SDK line work when they are run, and from a link into the console the timeline of what
they sent is two clicks away; a terminal that somebody looks at opens with such a link, a log with how to make one; of
the people in the burst one bounces late, one complains, two unsubscribe and some click, and the application hears of
it; the campaign that waits is started by the API, nothing of it leaves while it is paused, it goes on, and API and
command line report the same of it; Ctrl-C ends everything within 10 seconds and leaves no process; a second start goes
on with the data, the key, the ports, the endpoint and the campaign it had, and sends no second burst.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import psycopg
import pytest

from cli.running.console_link import console_link
from simulator import client as simulator
from tests.scenarios.terminal import (
    PATIENCE_SECONDS,
    READY_SECONDS,
    ROOT,
    STOP_SECONDS,
    Stopwatch,
    Terminal,
    alive,
    descendants,
    up,
)
from tests.stack import reachable_folder

pytestmark = [pytest.mark.scenario, pytest.mark.timeout(900)]


def _facts(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / ".postlane" / "demo.json").read_text()))


def _ended(folder: Path, *, campaign: bool = False) -> dict[str, int]:
    """Messages of the burst by state, or those of the campaign."""
    url = json.loads((folder / ".postlane" / "servers.json").read_text())["database_url"]
    with psycopg.connect(url) as connection:
        cursor = connection.execute(
            "SELECT m.state, count(*) FROM messages m JOIN emails e ON e.id = m.email_id"
            " WHERE e.lane = 'marketing' AND (e.campaign_id IS NOT NULL) = %s GROUP BY 1",
            [campaign],
        )
        return dict(cursor.fetchall())


def _get(facts: dict[str, Any], path: str, body: bytes | None = None) -> dict[str, Any]:
    """What the API answers; to a POST where there is a body."""
    head = {"Authorization": f"Bearer {facts['api_key']}", "Content-Type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(f"{facts['api_url']}{path}", body, head), timeout=10) as answer:
        return dict(json.load(answer))


def _email(facts: dict[str, Any], email_id: str) -> dict[str, Any]:
    return _get(facts, f"/emails/{email_id}")


def _pasted(terminal: Terminal, beginning: str) -> str:
    """A printed line, run by a shell the way it was printed; what it answered."""
    (line,) = terminal.lines(beginning)
    line = line.replace(".venv/bin/python", sys.executable)
    run = subprocess.run(["sh", "-c", line], capture_output=True, text=True, timeout=30, cwd=ROOT)
    assert run.returncode == 0, run.stderr
    return run.stdout


def _show(terminal: Terminal, folder: Path) -> None:
    """Wait for the burst to have been sent."""
    terminal.until(
        lambda: sum((ended := _ended(folder)).values()) == 2000 and not ended.get("queued"), PATIENCE_SECONDS, "burst"
    )


def test_the_demo_sends_shows_stops_and_resumes() -> None:
    with reachable_folder() as folder:
        with up(folder, "--demo") as terminal:
            watch = Stopwatch(terminal.process.pid)
            terminal.until(lambda: _facts(folder), PATIENCE_SECONDS, "demo.json")
            _show(terminal, folder)
            took = watch.seconds()
            assert took <= READY_SECONDS
            ended = _ended(folder)
            assert ended["delivered"] > 1800
            assert ended["bounced"] in (20, 21), "21 with the one whose report comes later"
            assert ended["deferred"] == 40
            (console,) = terminal.lines("Console ")
            assert console.endswith("(to come in: postlane console link demo@postlane.example)"), "no secret in a log"
            facts = _facts(folder)
            _check_facts(facts)
            assert console.startswith(f"Console {facts['console_url']}  ")
            terminal.until(lambda: terminal.lines("curl"), PATIENCE_SECONDS, "curl line")
            sent = _try_lines(terminal, facts)
            _two_clicks_to_its_timeline(folder, facts["console_url"])
            terminal.until(lambda: _came_back(folder) >= _PEOPLE, PATIENCE_SECONDS, "what people do")
            _hold_and_let_go(terminal, folder, facts)
            pids = descendants(terminal.process.pid)
            assert len(pids) > 8
            status, seconds = terminal.interrupt()
            assert status == 0, terminal.printed()[-2000:]
            assert seconds <= STOP_SECONDS
            assert alive(pids) == {}
        print(f"ready and burst sent after {took:.1f} s; stopped in {seconds:.1f} s; {len(pids)} processes")
        _second_start(folder, facts, sent)


def _console_opens(terminal: Terminal, url: str) -> None:
    """Whoever looks at the terminal is shown its address with a link, which wants one press."""
    (line,) = terminal.lines("Console ")
    link = re.fullmatch(rf"Console ({re.escape(url)}/link/[\w-]{{32}})  works once\s*", line)
    assert link is not None, line
    with urllib.request.urlopen(link[1], timeout=10) as answer:
        assert "Sign in as demo@postlane.example" in answer.read().decode()


def _two_clicks_to_its_timeline(folder: Path, url: str) -> None:
    """The button of the link, and the mail that was just sent: it stands first on the overview."""
    database = json.loads((folder / ".postlane" / "servers.json").read_text())["database_url"]
    link = console_link(database, url, demo=True, seen=True).split()[0]
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
    key = re.search(r'name="form_key" value="(\w+)"', browser.open(link, timeout=10).read().decode())
    assert key is not None
    press = urllib.request.Request(link, urlencode({"form_key": key[1]}).encode(), {"Sec-Fetch-Site": "same-origin"})
    mail = re.search(r'class="whole" href="(/messages/[^"]+)">you@', browser.open(press, timeout=10).read().decode())
    assert mail is not None
    said = browser.open(url + mail[1], timeout=10).read().decode()
    assert "Where is it, and why?" in said
    assert "Delivered to gmail" in said


def _check_facts(facts: dict[str, Any]) -> None:
    assert set(facts) >= {"api_url", "api_key", "from", "simulator_domains", "smtp_url", "console_url", "inbound_port"}
    with urllib.request.urlopen(f"{facts['public_url']}/healthz", timeout=10) as answer:
        assert answer.status == 200
    assert urlsplit(facts["api_url"]).hostname == "127.0.0.1"
    assert facts["from"].endswith("@acme.sim>")
    assert {"gmail.sim", "small-200.sim"} <= set(facts["simulator_domains"])
    with urllib.request.urlopen(facts["console_url"], timeout=10) as answer:
        assert answer.status == 200


_PEOPLE = {"email.bounced", "email.complained", "email.unsubscribed", "email.opened", "email.clicked"}


def _came_back(folder: Path) -> set[str]:
    """Types of events that the demo's application took, each properly signed."""
    state = simulator.read_state(folder / ".postlane" / "simulator.json")
    return {row["type"] for row in simulator.webhooks(state) if row["signed"] and row["status"] == 200}


def _try_lines(terminal: Terminal, facts: dict[str, Any]) -> list[str]:
    """Run both printed lines; the emails they sent, delivered."""
    answers = [_pasted(terminal, "RESEND_API_URL=").replace("'", '"')]
    if shutil.which("curl"):
        answers.append(_pasted(terminal, "curl "))
    sent = [str(json.loads(answer)["id"]) for answer in answers]
    for email_id in sent:
        terminal.until(lambda: _email(facts, email_id)["last_event"] == "delivered", PATIENCE_SECONDS, "delivery")  # noqa: B023
    return sent


def _left(folder: Path) -> int:
    """Mails of the campaign that are not in the queue any more."""
    return sum(n for state, n in _ended(folder, campaign=True).items() if state not in ("queued", "scheduled"))


def _hold_and_let_go(terminal: Terminal, folder: Path, facts: dict[str, Any]) -> None:
    """Some hundreds of the campaign leave, then none, then more; and what is reported of it."""
    (campaign,) = _get(facts, "/broadcasts")["data"]
    at = f"/broadcasts/{campaign['id']}"
    assert campaign["state"] == "draft"
    _get(facts, f"{at}/send", b"{}")
    terminal.until(lambda: _left(folder) > 300, PATIENCE_SECONDS, "mail of the campaign")
    _get(facts, f"{at}/pause", b"")
    time.sleep(1.0)  # what was on the wire
    held = _left(folder)
    time.sleep(2.0)  # at its pace 50 would leave
    assert held == _left(folder) < 5000
    assert _get(facts, at)["state"] == "paused"
    _get(facts, f"{at}/resume", b"")
    terminal.until(lambda: _left(folder) > held + 50, PATIENCE_SECONDS, "more of it")
    _check_reports(terminal, folder, facts, at)


def _check_reports(terminal: Terminal, folder: Path, facts: dict[str, Any], at: str) -> None:
    """While it is paused, so that the figures stand still once they have caught up with the mail."""
    _get(facts, f"{at}/pause", b"")
    time.sleep(1.0)
    delivered = _ended(folder, campaign=True)["delivered"]
    terminal.until(
        lambda: _get(facts, f"{at}/report")["people"]["delivered"] == delivered, PATIENCE_SECONDS, "all of its figures"
    )
    told, printed = _get(facts, f"{at}/report"), _command(folder, "campaigns", "report", "Spring news", "--json")
    for name in ("total", "delivered", "bounced"):  # somebody may click that very moment
        assert told["people"][name] == printed["people"][name]
    assert told["people"]["total"] == 5000
    assert 200 < told["people"]["delivered"] == told["whole"]["delivered"] == printed["whole"]["delivered"]
    assert told["people"]["delivered"] == sum(one["delivered"] for one in told["by_provider"])
    _get(facts, f"{at}/resume", b"")


def _command(folder: Path, *words: str) -> dict[str, Any]:
    """What `postlane` prints in the demo's folder."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("POSTLANE_")}
    run = subprocess.run(
        [sys.executable, "-m", "cli", *words], capture_output=True, text=True, timeout=60, cwd=folder,
        env=clean | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    return dict(json.loads(run.stdout))


def _second_start(folder: Path, facts: dict[str, Any], sent: list[str]) -> None:
    ports = {f"POSTLANE_{name}_PORT": str(urlsplit(facts[f"{name.lower()}_url"]).port) for name in ("API", "PUBLIC")}
    with up(folder, "--demo", env=ports, looked_at=True) as terminal:
        terminal.until(lambda: "curl -s" in terminal.printed(), PATIENCE_SECONDS, "second start")
        again = _facts(folder)
        _console_opens(terminal, again["console_url"])
        assert (again["api_key"], again["api_url"]) == (facts["api_key"], facts["api_url"])
        assert [_email(again, email_id)["last_event"] for email_id in sent] == ["delivered"] * len(sent)
        assert sum(_ended(folder).values()) == 2000, "a second burst was sent"
        assert len(_get(again, "/webhooks")["data"]) == 1
        before = _left(folder)
        terminal.until(lambda: _left(folder) > before, PATIENCE_SECONDS, "the campaign to go on")
        status, seconds = terminal.interrupt()
    assert (status, seconds <= STOP_SECONDS) == (0, True)
