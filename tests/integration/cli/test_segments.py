"""`postlane segments` and `postlane topics policy`."""

import pytest

from tests.integration.cli.commands import Postlane


@pytest.fixture
def filled(postlane: Postlane) -> Postlane:
    """An application with a list and a segment."""
    postlane("keys", "create", "web", "--application", "shop")
    assert postlane("segments", "create", "VIP").status == 0
    assert postlane("segments", "create", "Sleepers", "--filter", "never opened or in list 'vip'").status == 0
    return postlane


def test_segments_from_first_to_last(filled: Postlane) -> None:
    listed = filled("segments", "list").out
    assert [(one["name"], one["filter_text"]) for one in listed] == [
        ("Sleepers", 'never opened or in list "VIP"'),
        ("VIP", None),
    ]
    assert filled("segments", "show", "Sleepers").out["id"] == listed[0]["id"]
    assert filled("segments", "count", "Sleepers").out["count"] == 0
    assert filled("segments", "people", "Sleepers").out == []
    assert filled("segments", "people", "--filter", "opened").out == []
    assert filled("segments", "people").code == "usage"
    assert filled("segments", "update", "Sleepers", "--filter", "clicked").out["filter_text"] == "clicked"
    assert filled("segments", "delete", "VIP", "--yes").out["deleted"] is True
    assert filled("segments", "show", "VIP").code == "not_found"


def test_mistakes_are_told_with_their_place(filled: Postlane) -> None:
    wrong = filled("segments", "create", "x", "--filter", "opened in last 30")

    assert wrong.code == "invalid_filter"
    assert "at character 16" in wrong.said


def test_the_policy_of_a_topic(filled: Postlane) -> None:
    filled("topics", "create", "News")
    assert filled("topics", "policy", "News").out["is_default"] is True
    made = filled("topics", "policy", "News", "--taper", "30:2, 90:none", "--weekly", "3", "--silent", "never").out
    assert [(one["after_days"], one["send_every"]) for one in made["tapering"]] == [(30, 2), (90, None)]
    kept = filled("topics", "policy", "News", "--weekly", "any").out
    assert (kept["tapering"], kept["most_per_week"], kept["silent_after_days"]) == (made["tapering"], None, None)
    assert filled("topics", "policy", "News", "--taper", "off").out["tapering"] == []
    assert filled("topics", "policy", "News", "--taper", "30:x").code == "invalid_policy"
    assert filled("topics", "policy", "News", "--taper", "30:4,60:2").status == 1
