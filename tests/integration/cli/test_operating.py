"""`postlane pools`, `ips`, `throttles`, `alarms` and operators' keys, on the test database."""

import io
import sys
from typing import Any

import pytest
from _pytest.capture import CaptureIO

from alarms import repository as alarms
from alarms.model import AlarmKind
from cli.commands import ips as ips_module
from store.database import Database
from tests.integration.cli.commands import Answer, Postlane, in_database


@pytest.fixture
def filled(postlane: Postlane) -> Postlane:
    """A pool for each lane, and two IPs in the one for marketing."""
    for name, lane in (("receipts", "transactional"), ("bulk", "marketing")):
        assert postlane("pools", "create", name, "--lane", lane).status == 0
    for n in (1, 2):
        added = postlane("ips", "add", f"127.0.1.{n}", "--ehlo", f"m{n}.example.com")
        assert added.status == 0, added.said
        assert postlane("pools", "attach", "bulk", f"127.0.1.{n}").status == 0
    return postlane


GONE = {"object": "ip", "id": "127.0.1.1", "deleted": True}


def refused(answer: Answer) -> tuple[int, str]:
    return answer.status, answer.code


def test_pools_from_first_to_last(filled: Postlane) -> None:
    made = filled("pools", "create", "offers", "--lane", "marketing", "--overflow", "bulk").out
    assert (made["default"], made["overflow"], made["members"]) == (False, "bulk", [])
    members = filled("pools", "weight", "bulk", "127.0.1.2", "3").out["members"]
    assert [(one["ip"], one["weight"], one["state"]) for one in members] == [
        ("127.0.1.1", 1, "active"),
        ("127.0.1.2", 3, "active"),
    ]
    assert refused(filled("pools", "update", "bulk", "--overflow", "offers")) == (1, "invalid")
    assert refused(filled("pools", "weight", "bulk", "127.0.1.2", "1001")) == (1, "invalid")
    assert refused(filled("pools", "delete", "bulk", "--yes")) == (1, "conflict")
    assert refused(filled("pools", "show", "nothing")) == (1, "not_found")
    assert filled("pools", "update", "offers", "--overflow", "", "--name", "summer").out["overflow"] is None
    assert [one["ip"] for one in filled("pools", "detach", "bulk", "127.0.1.2").out["members"]] == ["127.0.1.1"]
    assert filled("pools", "delete", "summer", "--yes").out["deleted"] is True
    assert [one["name"] for one in filled("pools", "list").out] == ["bulk", "receipts"]


def test_pools_are_assigned(filled: Postlane) -> None:
    filled("keys", "create", "web", "--application", "shop")
    filled("pools", "create", "offers", "--lane", "marketing")
    made = filled("pools", "assign", "offers", "--application", "shop").out
    assert (made["kind"], made["subject"], made["lane"], made["pool"]) == ("application", "shop", "marketing", "offers")
    assert filled("pools", "show", "offers").out["assigned"] == ["application shop"]
    assert refused(filled("pools", "assign", "offers", "--domain", "nobody.example")) == (1, "not_found")
    assert filled("pools", "assign", "offers").status == 2
    assert filled("pools", "unassign", "--lane", "marketing", "--application", "shop").out["deleted"] is True
    assert filled("pools", "assignments").out == []


def test_advice(filled: Postlane) -> None:
    found = {one["pool"]: one for one in filled("pools", "advice").out}
    assert found["receipts"]["rule"] == "no_ip"
    assert (found["bulk"]["rule"], found["bulk"]["ips"]) == ("little_volume", 2)


def test_ips_from_first_to_last(filled: Postlane) -> None:
    listed = filled("ips", "list").out
    assert [(one["address"], one["state"], one["pools"][0]["name"]) for one in listed] == [
        ("127.0.1.1", "active", "bulk"),
        ("127.0.1.2", "active", "bulk"),
    ]
    assert refused(filled("ips", "add", "127.0.1.1", "--ehlo", "m1.example.com")) == (1, "conflict")
    away = filled("ips", "add", "192.0.2.7", "--ehlo", "m7.example.com")
    assert refused(away) == (1, "invalid")
    assert "elsewhere" in away.said
    via = "socks5://ops:secret@10.0.0.9:1080"
    made = filled("ips", "add", "192.0.2.7", "--ehlo", "m7.example.com", "--via", via, "--elsewhere")
    assert made.out["via"] == "socks5://ops:***@10.0.0.9:1080"
    assert filled("ips", "update", "127.0.1.1", "--ehlo", "m9.example.com").out["ehlo_name"] == "m9.example.com"
    assert refused(filled("ips", "remove", "127.0.1.1", "--yes")) == (1, "conflict")
    assert filled("ips", "remove", "127.0.1.1", "--yes", "--force").out == GONE
    assert refused(filled("ips", "show", "127.0.1.1")) == (1, "not_found")


def test_the_password_of_a_relay_may_come_by_a_pipe(filled: Postlane, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("smtps://shop:hunter2@smtp.example.com\n"))
    made = filled("ips", "add", "vendor", "--via", "-", "--per-hour", "100", "--elsewhere")

    assert made.status == 0, made.said
    assert made.out["via"] == "smtps://shop:***@smtp.example.com:465"
    assert made.out["limits"] == {"connections": 5, "messages_per_second": 0.0, "messages_per_hour": 100}


def test_a_story_for_people(filled: Postlane, monkeypatch: pytest.MonkeyPatch) -> None:
    rested = filled("throttles", "rest", "127.0.1.2", "gmail", "--minutes", "90", "--reason", "ticket 7")
    assert (rested.status, rested.out["state"]) == (0, "throttled"), rested.said
    filled("ips", "pause", "127.0.1.2", "--reason", "new PTR")
    assert filled("ips", "list").out[1]["state"] == "paused"
    filled("ips", "resume", "127.0.1.2")
    assert filled("ips", "list").out[1]["state"] == "throttled"
    told = filled("throttles", "override", "127.0.1.2", "gmail", "--reason", "all is well")
    assert told.out["state"] == "probing"
    story = filled("ips", "why", "127.0.1.2", "gmail").out
    assert [one["became"] for one in story["changes"]] == ["probing", "active", "paused", "throttled"]
    assert filled("ips", "why", "127.0.1.2", "yahoo").out["changes"][0]["became"] == "active"

    monkeypatch.setattr(ips_module, "wants_json", lambda _as_json: False)
    shown = filled("ips", "why", "127.0.1.2", "gmail").out
    assert "127.0.1.2 at gmail\n  now: probes at gmail" in shown
    assert "paused by an operator: new PTR" in shown
    assert "“ticket 7”  rule operator" in shown
    assert "on the command line" in shown


def test_throttles_are_listed_and_filtered(filled: Postlane, monkeypatch: pytest.MonkeyPatch) -> None:
    assert filled("throttles", "list").out == []
    for site in ("gmail", "mx:mx.small.example"):
        filled("throttles", "rest", "127.0.1.1", site, "--reason", "ticket 7")
    filled("throttles", "rest", "shop.example", "gmail", "--kind", "domain", "--reason", "ticket 8")

    def seen(*words: str) -> list[tuple[Any, Any]]:
        return [(row["subject"], row["site"]) for row in filled("throttles", "list", *words).out]

    assert seen("--provider", "gmail") == [("shop.example", "gmail"), ("127.0.1.1", "gmail")]
    assert seen("--provider", "other") == [("127.0.1.1", "mx:mx.small.example")]
    assert seen("--kind", "domain") == [("shop.example", "gmail")]
    assert len(seen("--ip", "127.0.1.1")) == 2
    assert refused(filled("throttles", "rest", "127.0.1.1", "gmial", "--reason", "x")) == (1, "unknown_provider")
    assert refused(filled("throttles", "rest", "127.0.1.9", "gmail", "--reason", "x")) == (1, "not_found")
    assert refused(filled("throttles", "rest", "127.0.1.1", "gmail", "--reason", "")) == (1, "invalid")
    assert refused(filled("throttles", "override", "127.0.1.2", "gmail", "--reason", "x")) == (1, "conflict")
    monkeypatch.setattr(CaptureIO, "isatty", lambda _self: True)
    assert filled("throttles", "list").out.count("60 min") == 3


def test_alarms_are_cleared_by_the_end_of_their_id(postlane: Postlane, database_url: str) -> None:
    assert postlane("alarms", "list").out == []

    async def ring(database: Database) -> None:
        async with database.transaction() as connection:
            await alarms.raise_alarm(connection, AlarmKind.BLOCKLISTED, "127.0.1.1 at gmail", "spamhaus: listed")

    in_database(database_url, ring)
    (alarm,) = postlane("alarms", "list").out
    assert refused(postlane("alarms", "clear", "zzzz")) == (1, "not_found")
    cleared = {"object": "alarm", "id": alarm["id"], "cleared": True}
    assert postlane("alarms", "clear", alarm["id"][-12:]).out == cleared
    assert postlane("alarms", "list").out == []


def test_reputation_and_figures_of_others(filled: Postlane) -> None:
    assert filled("ips", "rate", "127.0.1.1", "postmaster", "High", "--provider", "gmail").out["figure"] == 100
    assert refused(filled("ips", "rate", "127.0.1.1", "postmaster", "grey")) == (1, "invalid")
    assert refused(filled("ips", "rate", "127.0.1.1", "snds", "nan")) == (1, "invalid")
    found = filled("ips", "reputation", "127.0.1.1").out
    assert found["providers"] == []
    assert [(one["source"], one["note"]) for one in found["imported"]] == [("postmaster", "High")]


def test_operators_keys_belong_to_no_application(postlane: Postlane) -> None:
    made = postlane("keys", "create", "ops", "--permission", "operator").out
    assert set(made) == {"id", "token", "test"}
    assert refused(postlane("keys", "list")) == (1, "no_application")
    assert refused(postlane("keys", "create", "x", "--permission", "operator", "-a", "shop")) == (
        1,
        "invalid_permission",
    )
    listed = postlane("keys", "list", "--operators").out
    assert [(key["id"], key["permission"]) for key in listed] == [(made["id"], "operator")]
    assert refused(postlane("keys", "delete", made["id"], "--yes")) == (1, "no_application")
    assert postlane("keys", "delete", made["id"], "--operators", "--yes").out["deleted"] is True
    assert postlane("keys", "create", "web").status == 0
    assert [one["name"] for one in postlane("applications", "list").out] == ["default"]
