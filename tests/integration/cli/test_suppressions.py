"""`postlane suppressions`: what is refused, in words of the command line."""

from tests.integration.cli.commands import Postlane


def test_a_list_that_is_not_there_is_said_in_words(postlane: Postlane) -> None:
    refused = postlane("suppressions", "import", "/nowhere/list.csv")
    assert (refused.code, "Errno" in refused.said, "No such file" in refused.said) == ("cannot_read", False, True)


def test_a_suppression_for_a_topic_names_options(postlane: Postlane) -> None:
    refused = postlane("suppressions", "add", "x@y.example", "--scope", "topic")
    assert (refused.code, "--topic" in refused.said, "only_for" in refused.said) == ("needs_topic", True, False)
