"""`postlane send`: one mail through a real API, the way an application sends it."""

import json
from pathlib import Path

import pytest

from cli.commands import send
from core import settings as core_settings
from store.database import Database
from tests.integration.api.account import Account
from tests.integration.api.conftest import Server, account, server, settings
from tests.integration.cli.commands import Postlane, in_database
from tests.integration.messages.emails import rows

__all__ = ["account", "server", "settings"]

FROM = ("--from", "Acme <hello@acme.example>")
TO = ("--to", "bob@one.example")


@pytest.fixture
def sends(postlane: Postlane, server: Server, account: Account, monkeypatch: pytest.MonkeyPatch) -> Postlane:
    """`postlane` with an API and a key."""
    monkeypatch.setenv("POSTLANE_API_URL", server.url)
    monkeypatch.setenv("POSTLANE_API_KEY", account.full)
    core_settings.load.cache_clear()
    return postlane


def stored(database_url: str) -> list[tuple[object, ...]]:
    async def read(database: Database) -> list[tuple[object, ...]]:
        return await rows(
            database, "SELECT e.subject, c.body, c.html, e.lane FROM emails e, contents c WHERE c.id = e.id"
        )

    return in_database(database_url, read)


def test_mail_is_accepted_and_its_outcome_told(sends: Postlane, database_url: str) -> None:
    answer = sends("send", *FROM, *TO, "--to", "eve@two.example", "--subject", "Hi", "--text", "there", "--wait", "0.3")

    assert answer.status == 0, answer.said
    assert answer.out["last_event"] == "queued"
    states = {one["recipient"]: one["state"] for one in answer.out["recipients"]}
    assert states == {"bob@one.example": "queued", "eve@two.example": "queued"}
    assert stored(database_url) == [("Hi", "there", None, "transactional")]


def test_html_stream_and_schedule(sends: Postlane, database_url: str, tmp_path: Path) -> None:
    file = tmp_path / "mail.html"
    file.write_text("<p>Grüße</p>", encoding="utf-8")
    answer = sends("send", *FROM, *TO, "--html", str(file), "--stream", "marketing", "--at", "in 10 min")

    assert answer.out["last_event"] == "scheduled"
    assert stored(database_url)[0][2:] == ("<p>Grüße</p>", "marketing")


def test_a_topic_by_its_name_and_tags(sends: Postlane, database_url: str) -> None:
    sends("topics", "create", "Weekly offers", "--application", "acme")
    answer = sends("send", *FROM, *TO, "--topic", "Weekly offers", "--tag", "order:7", "--wait", "0")

    assert (answer.out["stream"], answer.out["tags"]) == ("marketing", [{"name": "order", "value": "7"}])
    assert sends("send", *FROM, *TO, "--topic", "Monthly").code == "not_found"


def test_loopback_is_reached_past_a_proxy(sends: Postlane, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")

    assert sends("send", *FROM, *TO, "--wait", "0").status == 0


def test_refusal_of_the_api_is_told_in_its_words(sends: Postlane, database_url: str) -> None:
    answer = sends("send", "--from", "x@not-ours.example", *TO)

    assert answer.status == 1
    assert "not-ours.example" in answer.said
    assert stored(database_url) == []


def test_what_is_missing_is_said(postlane: Postlane, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("POSTLANE_API_URL", "POSTLANE_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    assert postlane("send", *FROM, *TO).code == "no_key"
    monkeypatch.setenv("POSTLANE_API_KEY", "pl_x")
    assert postlane("send", *FROM).code == "no_recipient"
    nobody = postlane("send", *TO)
    assert (nobody.code, "--from" in nobody.said) == ("no_sender", True)
    monkeypatch.setenv("POSTLANE_API_URL", "http://127.0.0.1:1")
    answer = postlane("send", *FROM, *TO)
    assert answer.code == "no_api"
    assert "postlane up" in answer.said


def test_facts_of_a_running_demo_are_used(
    postlane: Postlane, server: Server, account: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("POSTLANE_API_URL", "POSTLANE_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    facts = {"api_url": server.url, "api_key": account.full, "from": "Acme <hello@acme.example>"}
    (tmp_path / "data" / "demo.json").write_text(json.dumps(facts))

    assert postlane("send", *TO, "--wait", "0").status == 0
    monkeypatch.setenv("POSTLANE_API_KEY", account.full)
    assert postlane("send", *TO, "--wait", "0").status == 0, "the demo's key has the demo's sender, however it came"
    monkeypatch.setenv("POSTLANE_API_KEY", account.sending)
    sent = postlane("send", *FROM, *TO, "--wait", "0")
    assert (sent.status, set(sent.out)) == (0, {"id"}), "such a key may not look at mail"
    assert f"messages why {sent.out['id']}" in sent.said


class Clock:
    """Time passes by sleeping only."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return sum(self.slept)

    def sleep(self, seconds: float) -> None:
        self.slept.append(round(seconds, 3))


@pytest.mark.parametrize(
    ("states", "slept"),
    [(["queued"], [0.1, 0.2, 0.4, 0.8, 1.0, 1.0, 0.5]), (["queued", "deferred"], [0.1]), (["delivered"], [])],
)
def test_it_asks_ever_more_slowly_and_not_on_after_a_later(
    states: list[str], slept: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, answers = Clock(), iter(states + states[-1:] * 9)

    def answer(*_: object) -> dict[str, object]:
        return {"last_event": "queued", "recipients": [{"state": next(answers)}]}

    monkeypatch.setattr(send, "time", clock)
    monkeypatch.setattr(send, "_call", answer)
    send._outcome("http://127.0.0.1:1", "pl_x", "id", 4.0)
    assert clock.slept == slept
