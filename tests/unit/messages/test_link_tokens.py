"""Tokens of links: what is read back, and that nobody else can make one."""

from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.secrets import InstanceSecret
from messages.link_tokens import HEAD, LONGEST, Kind, LinkTokens, Token, coded, payload_of

TOKENS = LinkTokens(InstanceSecret(b"s" * 32))
OTHERS = LinkTokens(InstanceSecret(b"t" * 32))
PLACE = TOKENS.place_of("links.shop.example")
EMAIL = UUID("01920000-0000-7000-8000-000000000001")


def token(target: str = "https://a.example/x", kind: Kind = Kind.CLICK, position: int = 7) -> str:
    plain = target.encode()
    return TOKENS.head(kind, payload_of(EMAIL, position, PLACE), plain) + coded(plain)


@given(
    st.uuids(), st.integers(0, 0xFFFF), st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=300),
    st.sampled_from(Kind),
)  # fmt: skip
def test_what_was_put_in_comes_out(email: UUID, position: int, target: str, kind: Kind) -> None:
    made = TOKENS.head(kind, payload_of(email, position, PLACE), target.encode()) + coded(target.encode())
    assert TOKENS.read(kind, made) == Token(email, position, PLACE, target)


def test_a_token_is_made_of_what_stands_in_an_address_without_escapes() -> None:
    assert len(token("")) == HEAD
    assert set(token() * 50) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


def test_every_character_counts() -> None:
    made = token()
    for at, letter in enumerate(made):
        other = "A" if letter != "A" else "B"
        assert TOKENS.read(Kind.CLICK, made[:at] + other + made[at + 1 :]) is None


@pytest.mark.parametrize(
    "text", ["", "x", "x" * HEAD, "x" * 10_000, "\u00e9" * 60, "=" * 60, "../" * 20, "\x00" * 60, "%41" * 20]
)
def test_what_is_no_token_is_nothing(text: str) -> None:
    assert all(TOKENS.read(kind, text) is None for kind in Kind)


def test_another_spelling_of_a_token_is_none() -> None:
    made = token()
    for text in (made + "=", made + "\n", made[:50] + "!" + made[50:], made[:50] + " " + made[50:], made + "A"):
        assert TOKENS.read(Kind.CLICK, text) is None


def test_the_target_of_one_mail_does_not_fit_the_token_of_another() -> None:
    mine, theirs = token("https://a.example/"), token("https://evil.example/", position=8)
    assert TOKENS.read(Kind.CLICK, mine[:HEAD] + theirs[HEAD:]) is None
    assert TOKENS.read(Kind.CLICK, mine[:HEAD]) is None


def test_kinds_and_installations_are_apart() -> None:
    assert TOKENS.read(Kind.OPEN, token("", Kind.CLICK)) is None
    assert TOKENS.read(Kind.TRAP, token("", Kind.OPEN)) is None
    assert OTHERS.read(Kind.CLICK, token()) is None


def test_places_are_ours_alone() -> None:
    assert TOKENS.place_of("Links.Shop.example") == PLACE
    assert PLACE not in (OTHERS.place_of("links.shop.example"), TOKENS.place_of("links.other.example"))


def test_the_longest_link_is_read() -> None:
    target = "https://a.example/" + "x" * ((LONGEST - HEAD) * 3 // 4 - 40)
    found = TOKENS.read(Kind.CLICK, token(target))
    assert found is not None
    assert found.target == target


def test_a_token_of_an_email_that_never_was_is_none() -> None:
    forged = coded(payload_of(uuid4(), 0, PLACE) + b"\0" * 11) + coded(b"https://evil.example/")
    assert TOKENS.read(Kind.CLICK, forged) is None
