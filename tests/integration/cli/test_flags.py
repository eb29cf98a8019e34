"""`postlane flags`: list, show, set, clear."""

from tests.integration.cli.commands import Postlane


def test_flags_are_switched_and_taken_back(postlane: Postlane) -> None:
    assert postlane("keys", "create", "web", "--application", "shop").status == 0
    assert {one["percent"] for one in postlane("flags", "list").out} == {100}

    done = postlane("flags", "set", "tracking", "20%", "--reason", "ticket 7")
    assert (done.status, done.out["percent"], done.out["reason"]) == (0, 20, "ticket 7")
    assert "on the command line" in done.out["changed_by"]
    own = postlane("flags", "set", "tracking", "off", "--application", "shop").out
    assert (own["percent"], [(one["application"], one["percent"]) for one in own["applications"]]) == (
        20,
        [("shop", 0)],
    )
    assert postlane("flags", "show", "tracking").out == own
    assert postlane("flags", "clear", "tracking", "--application", "shop").out["applications"] == []
    assert postlane("flags", "clear", "tracking").out["percent"] == 100


def test_what_cannot_be_is_one_line(postlane: Postlane) -> None:
    assert postlane("flags", "set", "trakcing", "off").code == "not_found"
    assert postlane("flags", "set", "tracking", "maybe").code == "invalid"
    assert postlane("flags", "clear", "tracking").code == "conflict"
    assert postlane("flags", "set", "tracking", "off", "--application", "nobody").code == "no_application"
