"""Which failures count against a mailbox, and how often is too often."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from mta.model import Phase, Response
from mta.rule_book import RuleBook
from mta.rules import CLASSES
from suppression.rules import SoftBounceRule, Strike, Tally, strike_of, too_often

MONDAY = datetime(2026, 11, 23, 12, tzinfo=UTC)
RULE = SoftBounceRule()


def failing(*days: float, tally: Tally | None = None) -> Tally:
    """Emails that failed so many days after Monday, one after the other."""
    found = tally or Tally()
    for n, day in enumerate(days):
        found = found.failed(UUID(int=1000 + n), MONDAY + timedelta(days=day))
    return found


@pytest.mark.parametrize(
    ("days", "suppressed"),
    [
        ((0, 0, 1, 1, 2), True),
        ((0, 0, 0, 0, 0, 0, 0, 1, 1), False),
        ((0, 1, 2, 3), False),
        ((0, 0.1, 0.2, 0.3, 0.4), False),
        ((0, 10, 20, 30, 40), True),
    ],
)
def test_five_in_a_row_on_three_days(days: tuple[float, ...], suppressed: bool) -> None:
    entry = too_often(Strike.SOFT, failing(*days), "552 5.2.2 full", RULE)

    assert (entry is not None) is suppressed
    if entry is not None:
        assert (entry.reason, entry.scope) == ("soft_bounces", "all")
        assert "552 5.2.2 full" in entry.detail
        assert entry.expires_at is not None
        assert entry.expires_at > MONDAY + timedelta(days=90)


def test_a_delivery_begins_anew() -> None:
    tally = failing(0, 0, 1, 1).delivered(UUID(int=1))
    assert too_often(Strike.SOFT, tally, "", RULE) is None
    after = failing(2, tally=tally)
    assert (after.count, len(after.days)) == (1, 1)


def test_a_delivery_that_comes_back_later_was_none() -> None:
    """Servers that take everything and send reports would else never be found out."""
    tally = failing(0, 0, 1, 1).delivered(UUID(int=7)).failed(UUID(int=7), MONDAY + timedelta(days=2))

    assert (tally.count, len(tally.days)) == (5, 3)
    assert too_often(Strike.SOFT, tally, "", RULE) is not None


def test_settings_of_the_rule() -> None:
    assert too_often(Strike.SOFT, failing(0, 1, 2, 3, 4, 5), "", SoftBounceRule(count=0)) is None
    entry = too_often(Strike.SOFT, failing(0, 1), "", SoftBounceRule(count=2, days=2, rest=None))
    assert entry is not None
    assert entry.expires_at is None


@pytest.mark.parametrize(("days", "suppressed"), [((0,), False), ((0, 0.2), False), ((0, 1), True)])
def test_twice_not_in_the_directory_on_two_days_is_a_dead_mailbox(days: tuple[float, ...], suppressed: bool) -> None:
    entry = too_often(Strike.ABSENT, failing(*days), "", RULE)

    assert (entry is not None) is suppressed
    if entry is not None:
        assert (entry.reason, entry.expires_at) == ("hard_bounce", None)


@pytest.mark.parametrize(
    ("reply", "strike"),
    [
        ("552 5.2.2 mailbox full", Strike.SOFT),
        ("452 4.2.2 The email account that you tried to reach is over quota", Strike.SOFT),
        ("450 4.2.1 mailbox disabled for now", Strike.SOFT),
        ("550 5.4.1 Recipient address rejected: Access denied. AS(201806281)", Strike.ABSENT),
        ("552 5.3.4 message too large", None),
        ("554 5.7.1 spam content rejected", None),
        ("421 4.7.0 too many connections from your IP", None),
        ("550 5.7.1 client host [192.0.2.1] blocked using Spamhaus", None),
        ("550 5.2.121 Recipient's per hour message receive limit from specific sender exceeded", None),
        ("550 5.7.133 RESOLVER.RST.SenderNotAuthenticatedForGroup", None),
        ("451 4.3.0 temporary failure", None),
    ],
)
def test_what_counts_against_a_mailbox(reply: str, strike: Strike | None) -> None:
    verdict = RuleBook(None, ()).classify(_response(reply), "microsoft365" if "5.4.1" in reply else "")

    assert strike_of(verdict.klass, verdict.scope, verdict.rule) is strike, verdict


def _response(reply: str) -> Response:
    code, enhanced, text = reply.split(" ", 2)
    return Response(Phase.RCPT, int(code), enhanced, text)


def test_no_class_about_us_or_the_message_counts() -> None:
    counted = {klass for klass in CLASSES if strike_of(klass, "recipient", "x")}

    assert counted == {"invalid_recipient", "inactive_mailbox", "mailbox_full", "mailbox_trouble"}
    assert not any(strike_of(klass, scope, "x") for klass in counted for scope in ("ip", "message", "host", "provider"))
