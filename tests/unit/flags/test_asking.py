"""Asking a flag: default, switch, application, share."""

from dataclasses import replace
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from flags.asking import OFF, ON, Switch, place_of
from flags.declared import TRACKING
from tests.switches import switched

PLACES = [56, 61, 48, 19, 50]
SHOP, OTHER, MAIL = UUID(int=1), UUID(int=2), UUID("019ac0de-0000-7000-8000-0000000000aa")


def test_without_a_switch_it_is_as_declared() -> None:
    assert TRACKING.on(SHOP, MAIL)
    assert not replace(TRACKING, default=False).on(SHOP, MAIL)
    with switched(TRACKING, Switch(None, {OTHER: ON})):
        assert not replace(TRACKING, default=False).on(SHOP, MAIL)


def test_a_switch_holds_for_all_but_applications_with_their_own() -> None:
    with switched(TRACKING, Switch(OFF, {SHOP: ON})):
        assert TRACKING.on(SHOP, MAIL)
        assert not TRACKING.on(OTHER, MAIL)
        assert not TRACKING.on(None, MAIL)
    with switched(TRACKING, Switch(None, {SHOP: OFF})):
        assert not TRACKING.on(SHOP, MAIL)
        assert TRACKING.on(OTHER, MAIL)
    assert TRACKING.on(SHOP, MAIL)


def test_a_share_is_the_same_in_every_process_and_version() -> None:
    """Numbers that were written down: were they made otherwise, half of the mail would change sides at an upgrade."""
    assert [place_of("tracking", UUID(int=n)) for n in range(5)] == PLACES
    assert [place_of("engagement", UUID(int=n)) for n in range(5)] != PLACES


@given(st.uuids(), st.integers(1, 99), st.integers(1, 99))
def test_who_is_in_stays_in_when_the_share_grows(key: UUID, one: int, two: int) -> None:
    less, more = sorted((one, two))
    with switched(TRACKING, Switch(less)):
        before = TRACKING.on(SHOP, key)
    with switched(TRACKING, Switch(more)):
        after = TRACKING.on(SHOP, key)
    assert after or not before
    assert before == (place_of("tracking", key) < less)


def test_a_share_is_about_as_large_as_it_says() -> None:
    keys = [UUID(int=n << 64 | n) for n in range(10_000)]
    for percent in (1, 10, 50):
        with switched(TRACKING, Switch(percent)):
            found = sum(TRACKING.on(SHOP, key) for key in keys)
        assert abs(found - percent * 100) < 150
    with switched(TRACKING, Switch(50)):  # without a key of its own the application is one
        assert TRACKING.on(SHOP) == TRACKING.on(OTHER, SHOP)
