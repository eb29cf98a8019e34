"""Signed return paths: they come back in any case, and nothing else does."""

import base64
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.secrets import InstanceSecret
from mta import return_path

_SECRET = InstanceSecret(b"s" * 32)
_ID = UUID("0190aaaa-bbbb-7ccc-8ddd-eeeeffff0000")


@given(st.uuids(), st.integers(0, 0xFFFF), st.randoms())
def test_round_trip_in_any_case(email_id: UUID, position: int, random: object) -> None:
    address = return_path.make(_SECRET, email_id, position, "rp.example.com")
    local = address.partition("@")[0]
    assert local == local.lower()
    assert len(local) <= 64
    mixed = "".join(char.upper() if random.random() < 0.5 else char for char in address)  # type: ignore[attr-defined]
    for text in (address, address.upper(), mixed):
        assert return_path.parse(_SECRET, text) == (email_id, position)


@given(st.binary(min_size=30, max_size=30))
def test_tokens_are_written_in_base32(token: bytes) -> None:
    assert return_path._base32(token) == base64.b32encode(token).decode().lower()


def test_tokens_of_earlier_versions_hold() -> None:
    secret = InstanceSecret.from_text("5" * 64)
    email_id = UUID("01a228f3-a022-7005-a8f5-2e13341f071d")
    token = "agrcr45aejyalkhvfyjtihyhdubacalpz5cnuxswwqwaxmyg"
    assert return_path.make_token(secret, email_id, 513) == token
    assert return_path.read_token(secret, token) == (email_id, 513)


@given(st.text() | st.text(alphabet="bB+abcdefghijklmnopqrstuvwxyz234567=@.", max_size=80))
def test_foreign_addresses_are_none(text: str) -> None:
    assert return_path.parse(_SECRET, text) is None


@given(st.text(alphabet="abcdefghijklmnopqrstuvwxyz234567", min_size=48, max_size=48))
def test_invented_tokens_are_none(token: str) -> None:
    assert return_path.parse(_SECRET, f"b+{token}@rp.example.com") is None


def test_each_altered_character_is_noticed() -> None:
    address = return_path.make(_SECRET, _ID, 3, "rp.example.com")
    for index in range(50):
        altered = address[:index] + ("a" if address[index] != "a" else "b") + address[index + 1 :]
        assert return_path.parse(_SECRET, altered) is None


def test_letters_that_only_upper_case_turns_into_base32_are_refused() -> None:
    for position in range(200):
        address = return_path.make(_SECRET, _ID, position, "rp.example.com")
        if "s" in address[2:50]:
            assert return_path.parse(_SECRET, address[:2] + address[2:].replace("s", "\u017f", 1)) is None
            return
    pytest.fail("no token with the letter s")


def test_another_instance_does_not_accept_it() -> None:
    address = return_path.make(_SECRET, _ID, 3, "rp.example.com")
    assert return_path.parse(InstanceSecret(b"t" * 32), address) is None


def test_a_new_return_path_domain_still_understands_old_mail() -> None:
    local = return_path.make(_SECRET, _ID, 3, "old.example.com").partition("@")[0]
    assert return_path.parse(_SECRET, f"{local}@new.example.com") == (_ID, 3)


@pytest.mark.parametrize("position", [-1, 0x10000])
def test_positions_outside_16_bits_are_a_fault_of_the_caller(position: int) -> None:
    with pytest.raises(ValueError, match="position"):
        return_path.make(_SECRET, _ID, position, "rp.example.com")


def test_a_token_is_found_in_whatever_quotes_it() -> None:
    token = return_path.make_token(_SECRET, _ID, 3)
    other = return_path.make_token(InstanceSecret(b"t" * 32), _ID, 4)
    for quoted in (f"Postlane-Ref: {token}", f"<B+{token.upper()}@RP.EXAMPLE.COM>", f"x={other} y={token}."):
        assert return_path.find_token(_SECRET, quoted) == (_ID, 3)
    for longer in (f"a{token}", f"{token}b", token[:-1], other):
        assert return_path.find_token(_SECRET, longer) is None


def test_looking_for_a_token_ends() -> None:
    """A report of nothing but words of a token's shape: so many are looked at, and no more."""
    flood = ("a" * 48 + " ") * 5_000
    assert return_path.find_token(_SECRET, flood + return_path.make_token(_SECRET, _ID, 3)) is None
