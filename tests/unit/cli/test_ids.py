"""Ids typed by people: the beginning will do while it is the only one, names go first, several are listed."""

from uuid import UUID

import pytest

from cli.ids import LISTED, Candidate, ambiguous, beginning, the_one
from cli.output import CliError

_A, _B = UUID("01a20446-b6a1-7000-8a97-c8c4fb13728d"), UUID("01a20446-b6a2-7000-8a97-c8c4fb130000")
_KNOWN = [Candidate(_A, "web"), Candidate(_B, "batch")]


@pytest.mark.parametrize("text", [str(_A), "01a20446-b6a1", "01A20446B6A1", "web", "3728d", "c8c4fb13728d"])
def test_beginning_end_and_name(text: str) -> None:
    assert the_one(text, "key", _KNOWN, "postlane keys list") == _A


def test_several_are_listed_with_what_tells_them_apart() -> None:
    with pytest.raises(CliError) as refused:
        the_one("01a20446", "key", _KNOWN, "postlane keys list")

    assert refused.value.code == "ambiguous"
    assert f"{_A}  web" in str(refused.value)
    assert f"{_B}  batch" in str(refused.value)


@pytest.mark.parametrize(("read", "more"), [(LISTED, False), (LISTED + 1, True)])
def test_of_many_that_there_are_more_is_said_without_a_figure(read: int, more: bool) -> None:
    """Who reads from a table stops at one more than are listed, so a figure would be made up."""
    error = ambiguous("01a2", "email", [Candidate(UUID(int=n), about=f"mail {n}") for n in range(read)])

    assert str(error).endswith("\n  and more") == more
    assert str(error).count("  mail ") == LISTED


@pytest.mark.parametrize("text", ["01a", "ffff", "nobody", "", "%", "01a20446-b6a1-7000-8a97-c8c4fb13728d0"])
def test_what_names_nothing(text: str) -> None:
    with pytest.raises(CliError, match="no key"):
        the_one(text, "key", _KNOWN, "postlane keys list")


def test_a_name_goes_before_the_beginning_of_an_id() -> None:
    known = [*_KNOWN, Candidate(UUID(int=7), "01a20446b6a1")]

    assert the_one("01a20446b6a1", "key", known, "x") == UUID(int=7)


def test_the_range_of_a_beginning_holds_the_id() -> None:
    least, largest = beginning("01a20446-b") or (_B, _A)

    assert least <= _A <= largest
    assert least <= _B <= largest
