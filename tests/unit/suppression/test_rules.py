"""What suppresses an address, and above all what does not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.queues import Lane
from mta.model import Action, Phase, Response, Scope, Trouble, Verdict
from mta.replies import classify
from mta.rules import CLASSES
from suppression.reasons import Reason, Source, SuppressionScope
from suppression.rules import DETAIL_LENGTH, suppression_for

DEAD = Verdict(Action.BOUNCE, "invalid_recipient", Scope.RECIPIENT, "no-such-mailbox", suppress=True)


@pytest.mark.parametrize("lane", Lane)
def test_a_hard_bounce_at_rcpt_suppresses_everywhere_and_says_why(lane: Lane) -> None:
    entry = suppression_for(DEAD, Phase.RCPT, lane, "550 5.1.1 User unknown")
    assert entry is not None
    assert (entry.scope, entry.reason, entry.source) == (SuppressionScope.ALL, Reason.HARD_BOUNCE, Source.SMTP)
    assert entry.detail == f"no-such-mailbox at rcpt ({lane}): 550 5.1.1 User unknown"
    assert entry.expires_at is None


def test_a_bounce_report_suppresses() -> None:
    entry = suppression_for(DEAD, None, Lane.MARKETING)
    assert entry is not None
    assert (entry.source, entry.detail) == (Source.BOUNCE_REPORT, "no-such-mailbox at bounce report (marketing)")


def test_the_detail_is_bounded() -> None:
    entry = suppression_for(DEAD, Phase.RCPT, Lane.MARKETING, "x" * 5000)
    assert entry is not None
    assert len(entry.detail) == DETAIL_LENGTH


@pytest.mark.parametrize("phase", sorted(set(Phase) - {Phase.RCPT, Phase.DATA, Phase.DOT}))
def test_no_other_phase_speaks_about_the_mailbox(phase: Phase) -> None:
    assert suppression_for(DEAD, phase, Lane.TRANSACTIONAL) is None


@given(
    st.builds(
        Verdict,
        st.sampled_from(Action),
        st.sampled_from(sorted(CLASSES)),
        st.sampled_from(Scope),
        st.just("r"),
        st.booleans(),
    )
)
def test_only_a_suppressing_bounce_of_the_recipient(verdict: Verdict) -> None:
    entry = suppression_for(verdict, Phase.RCPT, Lane.MARKETING)
    dead = verdict.suppress and verdict.action is Action.BOUNCE and verdict.scope is Scope.RECIPIENT
    dead = dead and verdict.klass in ("invalid_recipient", "inactive_mailbox")
    assert (entry is not None) == dead


@pytest.mark.parametrize("klass", ["recipient_rate", "rate_limited", "domain_rate_limited", "mailbox_full", "policy"])
def test_a_rule_that_is_wrong_about_a_mailbox_suppresses_nobody(klass: str) -> None:
    """`550 5.1.1 ... sent to too many recipients this hour`: the mailbox lives, whatever the code says."""
    wrong = Verdict(Action.BOUNCE, klass, Scope.RECIPIENT, "own-rule", suppress=True)
    assert suppression_for(wrong, Phase.RCPT, Lane.TRANSACTIONAL, "550 5.1.1 too many this hour") is None


@pytest.mark.parametrize(
    ("provider", "response"),
    [
        ("gmail", Response(Phase.DOT, 550, "5.7.26", "Unauthenticated email is not accepted")),
        ("gmail", Response(Phase.DOT, 550, "5.7.1", "likely unsolicited mail")),
        ("gmail", Response(Phase.RCPT, 450, "4.2.1", "The user is receiving mail too fast")),
        ("gmail", Response(Phase.RCPT, 552, "5.2.2", "over quota")),
        ("microsoft", Response(Phase.RCPT, 550, "5.7.1", "messages weren't sent, on our block list (S3150)")),
        ("yahoo", Response(Phase.DOT, 554, "5.7.9", "Message not accepted for policy reasons")),
        ("other", Response(Phase.RCPT, 554, "5.7.1", "Recipient address rejected: User unknown")),
        ("other", Response(Phase.RESOLVE, trouble=Trouble.NO_DOMAIN)),
        ("other", Response(Phase.RESOLVE, trouble=Trouble.NULL_MX)),
    ],
)
def test_replies_that_must_not_suppress(provider: str, response: Response) -> None:
    assert suppression_for(classify(response, provider), response.phase, Lane.MARKETING) is None


@pytest.mark.parametrize(
    ("provider", "response"),
    [
        ("gmail", Response(Phase.RCPT, 550, "5.1.1", "The email account that you tried to reach does not exist")),
        ("microsoft", Response(Phase.RCPT, 550, "5.1.10", "RESOLVER.ADR.RecipientNotFound")),
        ("yahoo", Response(Phase.DOT, 554, "", "delivery error: dd This user doesn't have a yahoo.com account")),
    ],
)
def test_replies_that_must_suppress(provider: str, response: Response) -> None:
    assert suppression_for(classify(response, provider), response.phase, Lane.TRANSACTIONAL) is not None
