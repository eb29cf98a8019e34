"""Sealed links: what went in comes out, and nothing else is one."""

from datetime import UTC, datetime
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from audience.links import LONGEST, LinkSeal, MailLink, MoveLink
from core.secrets import InstanceSecret

SEAL = LinkSeal(InstanceSecret(b"s" * 32))
OTHER = LinkSeal(InstanceSecret(b"t" * 32))
LINK = MailLink(UUID(int=7), UUID(int=8), UUID(int=9), 3, "ann@example.com")

ADDRESSES = st.text(
    min_size=1, max_size=254, alphabet=st.characters(exclude_characters="\0", exclude_categories=["Cs"])
)
IDS = st.uuids(allow_nil=False)


@given(IDS, st.none() | IDS, IDS, st.integers(0, 65535), ADDRESSES)
def test_a_link_is_read_as_it_was_made(
    application: UUID, topic: UUID | None, email: UUID, position: int, address: str
) -> None:
    link = MailLink(application, topic, email, position, address)

    assert SEAL.read(SEAL.seal(link)) == link
    assert SEAL.seal(link) == SEAL.seal(link)


def test_links_of_earlier_versions_hold() -> None:
    text = "onVzeceaoKKKexMuj6t-8z51A7xwj9Nm74Pm9XJe0WZ3Mp_L2KkVSkf1FySyYMGJ"
    text += "WnyyvAm7SwrwbIoV9mHtJzPy4kmA4yg1fDCQpIA3EUgj"

    assert SEAL.seal(LINK) == text
    assert SEAL.read(text) == LINK


@given(IDS, IDS, ADDRESSES, ADDRESSES)
def test_a_wish_to_move_is_read_as_it_was_made(application: UUID, email: UUID, address: str, to: str) -> None:
    wish = MoveLink(application, email, 1, datetime(2026, 11, 28, 9, 0, tzinfo=UTC), address, to)

    assert SEAL.read_move(SEAL.seal_move(wish)) == wish


@given(st.text(max_size=400))
def test_no_other_text_is_a_link(text: str) -> None:
    assert SEAL.read(text) is None
    assert SEAL.read_move(text) is None


@given(st.data())
def test_one_changed_character_is_no_link(data: st.DataObject) -> None:
    text = SEAL.seal(LINK)
    at = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.sampled_from("ABCxyz019-_=+/ .").filter(lambda c: c != text[at]))

    assert SEAL.read(text[:at] + other + text[at + 1 :]) is None


def test_a_link_says_nothing_readable_and_fits_a_header() -> None:
    longest = MailLink(UUID(int=7), UUID(int=8), UUID(int=9), 0, "l" * 64 + "@" + "d" * 185 + ".example")

    assert "ann" not in SEAL.seal(LINK)
    assert len(SEAL.seal(LINK)) < 160
    assert len(SEAL.seal(longest)) < 500 < LONGEST


def test_another_instance_reads_nothing() -> None:
    assert OTHER.read(SEAL.seal(LINK)) is None
    assert SEAL.read_move(SEAL.seal(LINK)) is None
