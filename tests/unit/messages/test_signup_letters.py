"""The mails of a sign-up say the same in every language, and nothing that somebody wrote becomes markup."""

import string

import pytest

from messages.signup_letters import TEXTS, Kind, Told, letter

HOSTILE = '<b onclick="x">{sender}</b>\r\nBcc: victim@example.com'


def _names(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


def test_every_language_has_every_text_with_the_same_names() -> None:
    assert set(TEXTS) == {"en", "de", "fr", "es"}
    for words in TEXTS.values():
        assert {key: _names(text) for key, text in words.items()} == {
            key: _names(text) for key, text in TEXTS["en"].items()
        }
        assert all(text.strip() for text in words.values())


@pytest.mark.parametrize("kind", Kind)
def test_what_people_wrote_is_text(kind: Kind) -> None:
    told = Told(HOSTILE, "a@example.com", "https://x.example/y/1", 7, "", [(HOSTILE, HOSTILE)], HOSTILE, HOSTILE)
    for language in (*TEXTS, "xx"):
        found = letter(kind, language, told)

        assert "<b " not in found.html
        assert "\n" not in found.subject
        assert "\r" not in found.subject
        assert "https://x.example/y/1" in found.text
        assert "data-no-track" in found.html
