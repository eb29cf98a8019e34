"""`postlane topics`: types of mail, and what one person chose."""

import pytest

from tests.integration.cli.commands import Postlane


@pytest.fixture
def filled(postlane: Postlane) -> Postlane:
    """An application with two topics."""
    postlane("keys", "create", "web", "--application", "shop")
    assert postlane("topics", "create", "News", "--description", "Every Friday").status == 0
    assert postlane("topics", "create", "Receipts", "--stream", "transactional").status == 0
    return postlane


def test_topics_from_first_to_last(filled: Postlane) -> None:
    listed = filled("topics", "list").out
    assert [(one["name"], one["stream"], one["visibility"]) for one in listed] == [
        ("Receipts", "transactional", "public"),
        ("News", "marketing", "public"),
    ]
    changed = filled("topics", "update", "News", "--name", "Weekly", "--visibility", "private").out
    assert (changed["name"], changed["description"], changed["visibility"]) == ("Weekly", "Every Friday", "private")
    assert filled("topics", "delete", "Weekly").code == "needs_yes"
    assert filled("topics", "delete", "Weekly", "--yes").out["deleted"] is True
    assert [one["name"] for one in filled("topics", "list").out] == ["Receipts"]
    assert filled("topics", "update", "Weekly", "--name", "x").code == "not_found"
    assert filled("topics", "create", "x" * 51).code == "invalid_text"


def test_choices_with_their_history(filled: Postlane) -> None:
    assert filled("topics", "choose", "Ann@Example.com", "News", "opt_out").out["id"] == "ann@example.com"
    found = filled("topics", "choices", "ann@example.com").out

    assert [(one["name"], one["subscription"], one["chosen"]) for one in found["topics"]] == [
        ("News", "opt_out", True),
        ("Receipts", "opt_in", False),
    ]
    assert [(one["what"], one["source"]) for one in found["history"]] == [("opt_out", "cli")]
    assert (found["left_all"], found["blocked"], found["paused_until"]) == (False, False, None)
    assert filled("topics", "choose", "ann@example.com", "Receipts", "opt_out").code == "always_on"
    assert filled("topics", "choices", "nobody").code == "invalid_address"
