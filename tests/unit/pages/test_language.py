"""Catalogues say the same in every language, and a reader gets the one that suits."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pages.language import CATALOGUES, FALLBACK, preferred

ENGLISH = CATALOGUES[FALLBACK]


def _names(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}


def test_the_four_languages_are_there() -> None:
    assert set(CATALOGUES) == {"en", "de", "fr", "es"}
    assert next(iter(CATALOGUES)) == FALLBACK


@pytest.mark.parametrize("code", CATALOGUES)
def test_every_catalogue_has_every_text_with_the_same_names(code: str) -> None:
    found = CATALOGUES[code]

    assert set(found.texts) == set(ENGLISH.texts)
    assert {key: _names(text) for key, text in found.texts.items()} == {
        key: _names(text) for key, text in ENGLISH.texts.items()
    }
    assert all(text.strip() for text in found.texts.values())
    assert len(found.months) == len(set(found.months)) == 12


@pytest.mark.parametrize(
    ("header", "code"),
    [
        ("", "en"),
        ("de", "de"),
        ("de-AT, en;q=0.5", "de"),
        ("en;q=0.5, fr;q=0.9", "fr"),
        ("nl, pl;q=0.8, es-419;q=0.3", "es"),
        ("nl", "en"),
        ("de;q=0, fr;q=0.1", "fr"),
        ("*", "en"),
        ("de;q=lots", "en"),
        ("DE", "de"),
        (", ,;", "en"),
    ],
)
def test_the_best_language_is_found(header: str, code: str) -> None:
    assert preferred(header) == code


@given(st.text(max_size=200))
def test_any_header_gives_a_language(header: str) -> None:
    assert preferred(header) in CATALOGUES
