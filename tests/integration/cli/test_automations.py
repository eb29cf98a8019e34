"""`postlane automations` and `postlane events`: from a series to its runs, in a terminal's words and in JSON."""

from pathlib import Path

import psycopg
import pytest

from campaigns.automations import running
from tests.integration.cli.commands import Postlane, in_database


@pytest.fixture
def filled(postlane: Postlane, database_url: str, tmp_path: Path) -> Postlane:
    """An application with a verified domain and a published template."""
    postlane("keys", "create", "web", "--application", "shop")
    assert postlane("domains", "create", "shop.example").status == 0
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("UPDATE domains SET status = 'verified'")
    (tmp_path / "hello.html").write_text("<p>Hello</p>")
    words = ("--alias", "hello", "--from", "hello@shop.example", "--subject", "Hello", "--publish")
    assert postlane("templates", "create", "Hello", str(tmp_path / "hello.html"), *words).status == 0
    return postlane


def test_a_series_from_its_making_to_its_runs(filled: Postlane, database_url: str) -> None:
    made = filled("automations", "create", "Trial", "--event", "trial.started", "send=hello", "wait=3 days",
                  "send=hello", "--enable").out  # fmt: skip
    assert (made["name"], made["status"], [one["type"] for one in made["steps"]]) == (
        "Trial",
        "enabled",
        ["trigger", "send_email", "delay", "send_email"],
    )
    told = filled("events", "send", "trial.started", "--email", "ann@one.example", "--payload", '{"plan": "pro"}').out
    assert (told["event"], told["runs"]) == ("trial.started", 1)
    in_database(database_url, lambda database: running.do_due(database, "sandbox.example"))
    (run,) = filled("automations", "runs", "Trial").out
    steps = filled("automations", "run", "Trial", run["id"][:30]).out["steps"]
    assert [(one["status"], one["error"]) for one in steps] == [
        ("completed", None),
        ("skipped", "unconfirmed"),
        ("waiting", None),
        ("pending", None),
    ]
    assert filled("automations", "disable", "Trial").out["status"] == "disabled"
    assert filled("automations", "runs", "Trial", "--status", "running").out[0]["status"] == "running"
    assert filled("automations", "run", "Trial", run["id"], "--cancel").out["status"] == "cancelled"
    assert filled("automations", "stop", "Trial").code == "needs_yes"
    assert filled("automations", "delete", "Trial", "--yes").out["deleted"] is True
    assert filled("automations", "list").out == []


def test_a_series_is_renamed_given_other_steps_and_copied(filled: Postlane) -> None:
    words = ("--event", "trial.started", "--from", "hello@shop.example", "send=hello")
    assert filled("automations", "create", "Trial", *words).status == 0

    assert filled("automations", "update", "Trial", "--name", "Trials").out["name"] == "Trials"
    changed = filled("automations", "update", "Trials", "wait=2 days", "send=hello").out
    wrong = filled("automations", "update", "Trials", "wait=soon")
    copy = filled("automations", "duplicate", "Trials").out

    assert [one["config"] for one in changed["steps"]] == [
        {"event_name": "trial.started"},
        {"duration": "2 days"},
        {"template": {"id": "hello", "variables": {}}, "from": "hello@shop.example"},
    ]
    assert "wait=soon" in wrong.said
    assert (copy["name"], copy["status"]) == ("Trials (copy)", "disabled")


def test_steps_that_lines_cannot_say_are_not_overwritten(filled: Postlane, database_url: str) -> None:
    """Two senders: new steps would leave by one of them, or by the template's."""
    words = ("--event", "trial.started", "--from", "hello@shop.example", "send=hello", "send=hello")
    made = filled("automations", "create", "Trial", *words).out
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(
            "UPDATE automation_versions SET steps = jsonb_set(steps, '{2,config,from}', '\"other@shop.example\"')"
        )
    before = filled("automations", "show", "Trial").out

    for more in ((), ("--from", "new@shop.example")):
        refused = filled("automations", "update", "Trial", *more, "send=hello")
        assert refused.status != 0
        assert f"PATCH /automations/{made['id']}" in refused.said
    assert filled("automations", "show", "Trial").out == before
    assert filled("automations", "update", "Trial", "--name", "Trials").out["steps"] == before["steps"]


def test_wrong_steps_and_triggers_are_told(filled: Postlane) -> None:
    for words in (
        ("send=hello",),
        ("--event", "x", "--confirmed", "send=hello"),
        ("--event", "x", "mail=hello"),
        ("--event", "x", "send=nothing"),
        ("--rule", "FREQ=SECONDLY", "--start", "2027-01-01", "send=hello"),
        ("--event", "x", "wait=3 days"),
    ):
        assert filled("automations", "create", "Wrong", *words).status != 0, words
    assert filled("events", "send", "x", "--email", "a@one.example", "--payload", "{").code == "invalid_payload"
    assert filled("events", "define", "x", "--field", "a=text").status == 1
    assert filled("events", "define", "x", "--field", "a=number").out["schema"] == {"a": "number"}
    assert filled("events", "define", "x").out["schema"] is None
    assert filled("events", "delete", "x", "--yes").out["deleted"] is True
