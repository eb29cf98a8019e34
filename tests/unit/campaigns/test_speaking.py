"""What a campaign says when it leaves: each variant and language with its text part."""

import pytest

from campaigns.speaking import languages_from_json, spoken
from campaigns.words import Words
from core.refusal import Refused

HTML = '<p>Hello {{ first_name | default("there") }}, <a href="https://shop.example/x">have a look</a>.</p>'
TEXT = 'Hello {{ first_name | default("there") }}, have a look (https://shop.example/x).\n'


def test_a_text_that_is_not_given_is_made_from_the_html_of_its_language() -> None:
    own = Words("Shop <news@shop.example>", subject="News", html=HTML)

    made = spoken(own, {"de": {"html": "<p>Guten Tag</p>"}, "fr": {"subject": "Nouvelles"}})

    assert {tag: words.text for tag, words in made.items()} == {"": TEXT, "de": "Guten Tag\n", "fr": TEXT}


def test_a_text_that_is_given_stays_and_an_empty_one_is_none() -> None:
    own = Words("Shop <news@shop.example>", html=HTML, text="Mine")

    made = spoken(own, {"de": {"html": "<p>Guten Tag</p>", "text": ""}})

    assert {tag: words.text for tag, words in made.items()} == {"": "Mine", "de": None}


def test_html_that_cannot_be_read_is_left_to_whoever_says_so() -> None:
    (made,) = spoken(Words("news@shop.example", html="<p>{{ first_name</p>"), {}).values()

    assert made.text is None


def test_what_a_language_says_as_nothing_is_as_in_the_main_one() -> None:
    own = Words("Shop <news@shop.example>", "News", "Soon", html=HTML, text="Mine")

    made = spoken(own, {"de": {"subject": "Neues", "preview_text": "", "html": "", "text": ""}, "fr": {"subject": ""}})

    assert made["de"] == Words("Shop <news@shop.example>", "Neues", "Soon", html=HTML, text="Mine")
    assert made["fr"] == own


def test_what_a_language_says_as_nothing_is_not_kept() -> None:
    given = {"de": {"subject": "Neues", "html": "", "text": ""}, "fr": {"html": "<p>x</p>", "text": "", "subject": ""}}

    assert languages_from_json(given) == {"de": {"subject": "Neues"}, "fr": {"html": "<p>x</p>", "text": ""}}
    with pytest.raises(Refused, match="each says subject"):
        languages_from_json({"de": {"subject": ""}})
