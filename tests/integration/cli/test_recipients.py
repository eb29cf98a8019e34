"""`postlane recipients`: one person."""

from datetime import UTC, datetime

import pytest

from cli.commands import recipients as module
from tests.integration.cli.commands import Postlane


def test_one_person_of_all_and_of_one_application(postlane: Postlane) -> None:
    postlane("keys", "create", "web", "--application", "shop")
    postlane("topics", "create", "News")
    postlane("topics", "choose", "ann@example.com", "News", "opt_out")
    postlane("suppressions", "add", "ann@example.com", "--reason", "complaint", "--scope", "marketing")
    every = postlane("recipients", "show", "Ann@Example.com").out
    assert [(one["stream"], one["reason"]) for one in every["streams"]] == [
        ("transactional", None),
        ("marketing", "complaint"),
    ]
    (shop,) = every["applications"]
    assert (shop["name"], [one["reason"] for one in shop["topics"]]) == ("shop", ["complaint"])
    alone = postlane("recipients", "show", "ann@example.com", "-a", "shop").out
    assert ("applications" in alone, alone["topics"][0]["subscription"]) == (False, "opt_out")
    assert postlane("recipients", "show", "nobody@example.com").out["known"] is False
    assert postlane("recipients", "show", "nobody").code == "invalid_address"


def test_activity(postlane: Postlane) -> None:
    assert postlane("recipients", "activity", "ann@example.com").code == "no_application"
    postlane("keys", "create", "web", "--application", "shop")
    early = "2026-11-27T08:00:00Z"
    done = postlane("recipients", "activity", "ann@example.com", "--at", early).out
    assert datetime.fromisoformat(done["last_activity"]) == datetime(2026, 11, 27, 8, tzinfo=UTC)
    now = postlane("recipients", "activity", "ann@example.com").out["last_activity"]
    assert postlane("recipients", "activity", "ann@example.com", "--at", early).out["last_activity"] == now
    for wrong in ("soon", "2026-11-27T08:00:00", "2999-01-01T00:00:00Z"):
        assert postlane("recipients", "activity", "ann@example.com", "--at", wrong).code.startswith("invalid"), wrong


def test_the_no_that_counts_stands_before_everybodys_yes(postlane: Postlane, monkeypatch: pytest.MonkeyPatch) -> None:
    postlane("keys", "create", "web", "--application", "shop")
    postlane("topics", "create", "News")
    postlane("topics", "choose", "ann@example.com", "News", "opt_out")
    monkeypatch.setattr(module, "wants_json", lambda _as_json: False)
    shown = postlane("recipients", "show", "ann@example.com").out

    assert 0 < shown.index("topic_opt_out") < shown.index("everybody")
