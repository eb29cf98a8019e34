"""How much an application may bring in, as values."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from accounts.quotas import MOST_PER_DAY, OverQuota, Quota, Use, quota_of, taken
from core.refusal import Refused

NOON = datetime(2026, 11, 28, 12, tzinfo=UTC)
FRESH = Use(NOON.date(), 0, 0.0, None)


def used(found: Use | OverQuota) -> Use:
    assert isinstance(found, Use), found
    return found


def refused(found: Use | OverQuota) -> OverQuota:
    assert isinstance(found, OverQuota), found
    return found


def test_the_last_message_of_the_day_passes_and_the_next_waits_for_midnight() -> None:
    quota = Quota(per_day=10)
    full = used(taken(used(taken(FRESH, quota, 7, NOON)), quota, 3, NOON))
    assert full.accepted == 10
    over = refused(taken(full, quota, 1, NOON))
    assert (over.code, over.retry_after) == ("daily_quota_exceeded", 12 * 3600)
    assert "0 are left today, and this would be 1" in over.reason


def test_what_does_not_fit_takes_nothing_and_less_still_passes() -> None:
    quota = Quota(per_day=10)
    seven = used(taken(FRESH, quota, 7, NOON))
    assert "3 are left today, and this would be 4" in refused(taken(seven, quota, 4, NOON)).reason
    assert used(taken(seven, quota, 3, NOON)).accepted == 10


def test_a_new_day_of_utc_begins_at_nothing() -> None:
    quota = Quota(per_day=10)
    full = used(taken(FRESH, quota, 10, NOON))
    early = datetime(2026, 11, 29, 0, 0, 1, tzinfo=UTC)
    assert used(taken(full, quota, 4, early)).accepted == 4
    assert isinstance(taken(full, quota, 1, early - timedelta(seconds=2)), OverQuota)


def test_a_second_s_worth_passes_at_once_and_then_as_the_rate_allows() -> None:
    quota = Quota(per_second=4)
    empty = used(taken(FRESH, quota, 4, NOON))
    over = refused(taken(empty, quota, 1, NOON))
    assert (over.code, over.retry_after) == ("rate_limit_exceeded", 1)
    half = NOON + timedelta(milliseconds=500)
    assert used(taken(empty, quota, 2, half)).tokens == 0
    assert isinstance(taken(empty, quota, 3, half), OverQuota)


def test_a_request_larger_than_a_second_s_worth_passes_and_those_behind_it_wait() -> None:
    quota = Quota(per_second=4)
    large = used(taken(FRESH, quota, 12, NOON))
    assert large.tokens == -8
    assert refused(taken(large, quota, 1, NOON)).retry_after == 3
    assert isinstance(taken(large, quota, 1, NOON + timedelta(seconds=2)), OverQuota)
    assert used(taken(large, quota, 1, NOON + timedelta(seconds=3))).tokens == 3


def test_the_bucket_never_holds_more_than_a_second() -> None:
    later = replace(FRESH, at=NOON - timedelta(days=1))
    assert used(taken(later, Quota(per_second=4), 1, NOON)).tokens == 3


def test_a_clock_that_went_back_gives_nothing() -> None:
    empty = used(taken(FRESH, Quota(per_second=4), 4, NOON))
    assert isinstance(taken(empty, Quota(per_second=4), 1, NOON - timedelta(minutes=1)), OverQuota)


def test_nothing_and_none_are_no_quota() -> None:
    assert not quota_of(None, None)
    assert quota_of(0, 0) == Quota()
    assert quota_of(5, 0) == Quota(5, None)
    for day, second in ((-1, None), (MOST_PER_DAY + 1, None), (None, -1)):
        with pytest.raises(Refused, match="or 0 for no quota"):
            quota_of(day, second)
