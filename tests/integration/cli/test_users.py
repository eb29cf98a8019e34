"""`postlane users` and `postlane console link`: who may use the console."""

import re

from cli.running.console_link import console_link
from tests.integration.cli.commands import Postlane


def test_the_first_link_makes_the_first_user_and_later_ones_name_theirs(postlane: Postlane) -> None:
    first = postlane("console", "link", "--json").out
    assert (first["purpose"], first["hours"]) == ("first", 24)
    assert re.fullmatch(r"http://127\.0\.0\.1:8027/link/[\w-]{32}", first["url"])

    assert postlane("users", "create", "ada@acme.example", "--role", "admin").out["purpose"] == "password"
    assert postlane("console", "link").out["purpose"] == "sign_in", "there is only one who may be meant"
    postlane("users", "create", "bob@acme.example", "--role", "marketer", "--name", "Bob")

    assert postlane("console", "link").code == "ambiguous"
    assert postlane("console", "link", "bob@acme.example").out["purpose"] == "sign_in"
    assert postlane("users", "create", "Bob@acme.example").code == "user_exists"


def test_users_are_listed_changed_disabled_and_let_in_again(postlane: Postlane) -> None:
    postlane("users", "create", "ada@acme.example", "--role", "admin")
    postlane("users", "create", "bob@acme.example")

    assert [(one["email"], one["role"], one["state"]) for one in postlane("users", "list").out] == [
        ("ada@acme.example", "admin", "invited"), ("bob@acme.example", "viewer", "invited"),
    ]  # fmt: skip
    assert postlane("users", "change", "BOB@acme.example", "--role", "operator").out["role"] == "operator"
    assert postlane("users", "disable", "bob@acme.example", "--yes").out["state"] == "disabled"
    assert postlane("users", "reset", "bob@acme.example").code == "disabled"
    assert postlane("console", "link", "bob@acme.example").code == "disabled"
    assert postlane("users", "enable", "bob@acme.example").out["state"] == "invited"
    assert postlane("users", "reset", "bob@acme.example", "--code").out["purpose"] == "password"
    assert postlane("users", "unlink", "bob@acme.example").code == "not_found"
    assert postlane("users", "disable", "ada@acme.example", "--yes").code == "last_admin"
    assert postlane("users", "change", "eve@acme.example", "--role", "viewer").code == "not_found"
    assert postlane("users", "create", "bad", "--role", "viewer").code == "invalid"


def test_a_change_of_the_role_keeps_the_limits(postlane: Postlane) -> None:
    postlane("users", "create", "ada@acme.example", "--role", "admin")
    postlane("keys", "create", "web", "--application", "shop")
    postlane("users", "create", "bob@acme.example", "--application", "shop")
    change = ("users", "change", "bob@acme.example", "--role", "admin")

    assert len(postlane(*change).out["applications"]) == 1
    assert postlane(*change, "--application", "shop", "--all-applications").code == "invalid"
    assert postlane(*change, "--all-applications").out["applications"] == []


def test_links_are_shown_where_somebody_looks(postlane: Postlane, database_url: str) -> None:
    def shown(*, demo: bool, seen: bool) -> str:
        return console_link(database_url, "http://127.0.0.1:8027", demo=demo, seen=seen)

    assert shown(demo=False, seen=False).endswith("(to come in: postlane console link)")
    assert re.search(r"8027/link/[\w-]{32} ", shown(demo=False, seen=True))
    assert shown(demo=True, seen=False).endswith("(to come in: postlane console link demo@postlane.example)")
    assert re.search(r"8027/link/[\w-]{32} ", shown(demo=True, seen=True))
    assert shown(demo=False, seen=True) == "http://127.0.0.1:8027", "there is somebody, who comes in by themselves"
