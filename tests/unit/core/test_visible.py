"""Text from elsewhere can neither steer a terminal nor hide or turn what stands in it."""

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.visible import json_for_terminals, on_one_line, visible

_HARMFUL = {
    "\x1b[2J": r"\x1b[2J",
    "\x9b31m": r"\x9b31m",
    "a\rb": r"a\x0db",
    "\x07": r"\x07",
    "evil\u202egpj.exe": r"evil\u202egpj.exe",
    "\u2066x\u2069": r"\u2066x\u2069",
    "pay\u200bpal": r"pay\u200bpal",
    "a\u2028b": r"a\u2028b",
    "\U000e0041": r"\U000e0041",
    "\udcff": r"\xff",
}


@pytest.mark.parametrize(("text", "written"), list(_HARMFUL.items()))
def test_what_steers_or_hides_is_written_out(text: str, written: str) -> None:
    assert visible(text) == written


@pytest.mark.parametrize("text", ["Grüße 世界 שלום", "👩‍🔬 🇩🇪", "می‌خواهم", "tab\tand\nline", r"\x1b as text"])
def test_what_people_write_stays(text: str) -> None:
    assert visible(text) == text


def test_a_line_break_of_theirs_is_no_line_of_ours() -> None:
    assert on_one_line("Hi\n2026-03-01 delivered\t") == r"Hi\n2026-03-01 delivered\t"


@given(st.text())
def test_nothing_is_left_that_a_terminal_obeys(text: str) -> None:
    shown = on_one_line(text)

    assert not any(unicodedata.category(letter) in ("Cc", "Cs", "Zl", "Zp") for letter in shown)
    shown.encode()


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_json_means_the_same(text: str) -> None:
    said = json_for_terminals(json.dumps({"text": text}, ensure_ascii=False))

    assert json.loads(said) == {"text": text}
    assert "\x9b" not in said
    assert "\u202e" not in said
