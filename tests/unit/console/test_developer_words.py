"""What pages of webhooks, the sandbox and the request log say: pure words about what is."""

import ast
import json
import subprocess
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from accounts.capture_rules import CaptureRule
from console.logs import words as logs
from console.sandbox import words as sandbox
from console.snippets.routes import values_for
from console.snippets.snippets import Values, snippets
from console.webhooks import words as webhooks
from core.ids import uuid7
from core.settings import Settings
from messages.simulated import Behaviour
from requestlog.repository import Figures, Logged
from webhooks.endpoints import Endpoint
from webhooks.events import Attempt
from webhooks.standing import MOST, Standing, Tally

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
ENDPOINT = Endpoint(uuid7(), uuid7(), "https://shop.example/h", None, "enabled", "", NOW, None)
FINE = Standing(ENDPOINT, None, NOW - timedelta(minutes=3), 0, 0)
FAILING = replace(FINE, endpoint=replace(ENDPOINT, failing_since=NOW - timedelta(hours=2)), waiting=MOST + 1)
OFF = replace(FINE, endpoint=replace(ENDPOINT, status="disabled"), waiting=1)
GIVEN_UP = replace(FINE, endpoint=replace(ENDPOINT, status="disabled", disabled_reason="it answered 410 Gone"))
ATTEMPT = Attempt(uuid7(), NOW, "https://shop.example/h", 503, "busy", "", 1200)


@pytest.mark.parametrize(
    ("one", "last", "said"),
    [
        (FINE, None, "Yes: everything was taken, the last 3 min ago."),
        (replace(FINE, last_taken=None), None, "It was told of nothing yet: it hears what happens from now on."),
        (replace(FINE, waiting=2), None, "Yes, but for 2 events on the way. The last was taken 3 min ago."),
        (replace(FINE, failed=1), None, "Not everything: 1 event was given up and can be sent again."
         " The last was taken 3 min ago."),
        (FAILING, ATTEMPT, "No: nothing was taken for 2 h, the last answer was 503 after 1.2 s."
         " Over 10,000 events wait and are tried again."),
        (OFF, None, "No: it is switched off. Nothing that happens is kept for it. 1 event from before waits."),
        (GIVEN_UP, None, "No: it is switched off by us: it answered 410 Gone. Nothing that happens is kept for it."),
    ],
)  # fmt: skip
def test_an_endpoint_heard_everything_or_it_is_said_why_not(one: Standing, last: Attempt | None, said: str) -> None:
    assert webhooks.heard(one, last, NOW) == said


def test_the_list_of_endpoints_says_who_does_not_hear() -> None:
    assert webhooks.overall(Tally(0, 0, 0, 0)).startswith("Nobody is told yet")
    assert webhooks.overall(Tally(2, 0, 0, 0)) == "Yes: 2 endpoints take what happens, and nothing waits."
    assert webhooks.overall(Tally(2, 0, 0, 0, waiting=4)).endswith("; 4 events on the way.")
    assert webhooks.overall(Tally(1, 1, 0, 0)).startswith("1 endpoint is switched off, so nothing is told")
    told = webhooks.overall(Tally(4, 1, 1, 1, failed=3, missing=1))
    assert told == (
        "Not everything. 1 of 4 endpoints takes nothing at the moment. 1 was switched off by us, because nothing was"
        " taken for days. 3 events of one endpoint were given up, and can be sent again."
    )


@pytest.mark.parametrize(
    ("one", "state"),
    [(FINE, "takes all"), (FAILING, "takes nothing"), (OFF, "switched off"), (GIVEN_UP, "switched off by us"),
     (replace(FINE, failed=1), "missed some"), (replace(FINE, last_taken=None), "not told yet")],
)  # fmt: skip
def test_a_state_in_the_list(one: Standing, state: str) -> None:
    assert webhooks.stands(one)[1] == state


def test_types_of_events_are_those_that_an_owner_may_choose() -> None:
    def names(operators: bool | None) -> set[str]:
        return {kind.partition(".")[0] for _, kinds in webhooks.groups(operators=operators) for kind, _ in kinds}

    assert names(True) == {"ip", "warmup", "alarm", "suppression"}
    assert names(False) == {"email", "contact", "topic", "domain", "suppression"}
    assert names(None) == names(True) | names(False)


def test_the_sandbox_says_what_a_rule_means() -> None:
    assert sandbox.meaning("*@qa.example") == "everybody at qa.example"
    assert sandbox.meaning("*@*.example") == "every domain below example"
    assert sandbox.meaning("ann@qa.example") == "this address"
    rules = [CaptureRule(uuid7(), "*", NOW)]
    assert "A rule catches everything" in sandbox.overall("shop", 0, None, rules, NOW)
    assert sandbox.PLAYED.keys() == set(Behaviour)


def test_the_log_says_what_was_refused() -> None:
    last = Logged(
        uuid7(), NOW - timedelta(minutes=3), uuid7(), uuid7(), False, "POST", "/emails", 422, 1.0, "", "invalid_x", 1
    )
    assert logs.overall(Figures(0, 0), None, NOW) == "Nothing was asked for in the last hour."
    assert logs.overall(Figures(1, 0), None, NOW) == "1 request in the last hour, all of them done."
    assert logs.overall(Figures(400, 2), last, NOW) == (
        "400 requests in the last hour, 2 of them refused or failed (0.50 %). The last of those: 422 invalid_x at POST"
        " /emails, 3 min ago."
    )
    assert logs.overall(Figures(3, 0), last, NOW) == (
        "3 requests in the last hour, all of them done. The last that was refused or failed: 422 invalid_x at POST"
        " /emails, 3 min ago."
    )
    assert "hour. The last that was refused" in logs.overall(Figures(0, 0), last, NOW)
    busy = Figures(90_000, 0, NOW - timedelta(minutes=23))
    assert logs.overall(busy, None, NOW) == "90,000 requests in the last 23 min, all of them done."
    assert [logs.tone(status) for status in (200, 422, 503)] == ["delivered", "deferred", "failed"]


@pytest.mark.parametrize("who", ["ada@shop.example", "o'brien@shop.example", '"o\'b\\\\rien$(id)"@shop.example'])
def test_snippets_say_the_same_in_every_language(who: str) -> None:
    found = {
        one.name: one.text for one in snippets(Values("http://127.0.0.1:9", "127.0.0.1", 25, who, "me'@x.example"))
    }

    told = 'curl() { printf "%s\\0" "$@"; }\n'
    out = subprocess.run(["bash", "-c", told + found["curl"]], check=True, capture_output=True, text=True).stdout
    url, *_, body, _ = out.split("\0")
    assert (url, json.loads(body)["from"], json.loads(body)["to"]) == (
        "http://127.0.0.1:9/emails",
        who,
        "me'@x.example",
    )
    for name in ("python", "smtp"):
        texts = [one.value for one in ast.walk(ast.parse(found[name])) if isinstance(one, ast.Constant)]
        assert who in texts
        assert "me'@x.example" in texts
    assert f"  from: {json.dumps(who)},\n" in found["node"]


def test_a_practice_internet_is_reached_on_this_machine_and_has_people_of_its_own(tmp_path: Path) -> None:
    """Its host name leads nowhere, and its certificate is signed by nobody."""
    own = {"hostname": "mail.postlane.sim", "submission_port": 44333, "api_port": 8025, "data_dir": tmp_path}
    demo = values_for(Settings(simulator=True, **own), "acme.sim", "you@gmail.sim")
    real = values_for(Settings(**own), "acme.sim", "ada@acme.example")

    assert (demo.smtp_host, demo.smtp_port, demo.local) == ("127.0.0.1", 44333, True)
    assert "starttls" not in {one.name: one.text for one in snippets(demo)}["smtp"]
    assert (real.smtp_host, real.smtp_port, real.local) == ("mail.postlane.sim", 587, False)
    assert "starttls" in {one.name: one.text for one in snippets(real)}["smtp"]
