"""Lists for people and for programs."""

import io

from cli.commands.suppression_lists import _harmless

STEERING = "\u202e\x9b2J,a\n"


class Terminal(io.StringIO):
    """A terminal."""

    def isatty(self) -> bool:
        return True


def test_a_list_cannot_steer_the_terminal_it_is_written_to() -> None:
    assert _harmless(Terminal(), False)(STEERING) == "\\u202e\\x9b2J,a\n"
    assert "\x9b" not in _harmless(Terminal(), True)(STEERING)


def test_a_file_gets_what_is_stored() -> None:
    assert _harmless(io.StringIO(), False)(STEERING) == STEERING
