"""The puzzle: once, for one form, for a while; the script of the pages finds what the server takes."""

import hashlib
from datetime import UTC, datetime, timedelta
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

from core.secrets import InstanceSecret
from pages.work import VALID, Work, solve, zero_bits

FORM, OTHER = UUID(int=1), UUID(int=2)
NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)


def work() -> Work:
    return Work(InstanceSecret(b"k" * 32), bits=6)


def test_an_answer_counts_once_for_its_form_and_in_time() -> None:
    one = work()
    challenge = one.challenge(FORM, NOW)
    answer = solve(challenge, 6)
    assert not one.done(OTHER, challenge, answer, NOW)
    assert not one.done(FORM, challenge, answer, NOW + VALID + timedelta(seconds=1))
    assert one.done(FORM, challenge, answer, NOW)

    assert not one.done(FORM, challenge, answer, NOW)


def test_no_other_instance_gives_challenges() -> None:
    challenge = Work(InstanceSecret(b"x" * 32), bits=6).challenge(FORM, NOW)

    assert not work().done(FORM, challenge, solve(challenge, 6), NOW)


def test_it_fits_into_one_block_of_the_hash() -> None:
    challenge = work().challenge(FORM, NOW)

    assert len(f"{challenge}:{10**8}") <= 55


@settings(max_examples=50)
@given(st.text(max_size=300), st.text(max_size=30))
def test_anything_may_be_sent(challenge: str, answer: str) -> None:
    assert not work().done(FORM, challenge, answer, NOW)


@settings(max_examples=50)
@given(st.binary())
def test_bits_are_counted_from_the_front(data: bytes) -> None:
    digest = hashlib.sha256(data).digest()
    text = "".join(f"{byte:08b}" for byte in digest)

    assert zero_bits(digest) == len(text) - len(text.lstrip("0"))
