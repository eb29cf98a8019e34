"""Numbers as people type them."""

import pytest

from console.typed import whole_number


@pytest.mark.parametrize(
    "text", ["10000", "10,000", "10 000", " 10\u00a0000 ", "10\u202f000", "10'000", "10\u2019000", "10.000", "10_000"]
)
def test_thousands_are_separated_as_people_do(text: str) -> None:
    assert whole_number(text) == 10_000


@pytest.mark.parametrize("text", ["", " ", "many", "-5", "1.5", "10.00", "1e4", "٣", "1" * 13, "10 k"])
def test_what_is_no_whole_number_is_none(text: str) -> None:
    assert whole_number(text) is None


def test_millions_and_nothing() -> None:
    assert whole_number("1.250.000") == 1_250_000
    assert whole_number("0") == 0
