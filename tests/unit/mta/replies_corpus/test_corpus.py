"""The corpus is what it says it is, and the shipped rules read it well enough."""

import re
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.model import Action, Phase, Response, Scope
from mta.providers import OTHER, load_providers
from mta.replies import shipped_rules
from mta.rules.measuring import Figures, Sample, measure
from tests.unit.mta.replies_corpus import ALL

TABLE = shipped_rules()
RATES = ("rate_limited", "recipient_rate", "domain_rate_limited", "too_many_connections")

OWN_SAMPLES_ONLY = frozenset(
    [
        "apple-ip-deferred",
        "barracuda-no-account",
        "comcast-domain-rate",
        "gmx-rate",
        "gmx-overload",
        "microsoft-wrong-region",
        "mimecast-sender-plain",
        "orange-rate",
        "orange-ptr-or-ehlo",
        "orange-authentication",
        "orange-domain-listed",
        "proofpoint-local-policy",
        "proofpoint-no-account",
        "qq-domain-rate",
        "qq-sender-domain",
        "qq-recipient-policy",
        "yahoo-ip-deferred-code",
        "yahoo-authentication",
        "not-wanted-by-the-recipient",
        "filing-program-failed",
        "dot-unanswered",
        "domain-not-there",
        "domain-takes-no-mail",
        "target-not-public",
        "dns-away",
        "dns-later",
        "source-not-bindable",
        "source-proxy-away",
        "needs-smtputf8",
        "tls-broken",
        "not-understood",
        "no-answer",
        "yes-too-early",
        "first-contact",
        "full-for-now-code",
        "domain-too-fast",
        "scanner-has-trouble",
        "starttls-later",
        "policy-on-arrival-later",
        "full-code",
        "ptr-missing-code",
        "domain-too-fast-permanent",
        "too-fast-permanent",
        "sender-code",
        "policy-on-arrival",
        "recipients-too-many",
        "routing-refused",
        "mailbox-refused",
    ]
)
"""Rules that no reply in the corpus reaches: only their own samples prove them. The list may only shrink."""


def meaning(sample: Sample) -> tuple[str, ...]:
    """What makes two samples the same one: addresses, numbers, links and punctuation aside."""
    text = re.sub(
        r"https?://\S+|<[^>]*>|\S+@\S+|\[[^\]]*\d[^\]]*\]|\([^)]*\d[^)]*\)|\d[\d.]*", "", sample.response.text.lower()
    )
    words = " ".join(re.findall(r"[^\W\d_]+", text))
    response = sample.response
    digit = str(response.code or response.enhanced)[:1]
    return sample.provider, digit, response.enhanced, sample.klass, words if len(words) > 11 else response.text


# --- the corpus ---


def test_there_are_enough_and_each_is_there_once() -> None:
    assert len(ALL) >= 400
    assert [key for key, count in Counter(map(meaning, ALL)).items() if count > 1] == []


def test_no_provider_and_no_class_is_most_of_it() -> None:
    classes = Counter(sample.klass for sample in ALL)
    assert len(classes) >= 25
    assert max(classes.values()) < len(ALL) / 5
    named = Counter(sample.provider for sample in ALL if sample.provider != OTHER)
    assert len(named) >= 12
    assert named.keys() <= load_providers().names


def test_each_says_where_it_was_seen() -> None:
    assert [s for s in ALL if not re.match(r"https?://[\w.-]+/", s.source)] == []


def test_labels_keep_the_promises_too() -> None:
    for sample in ALL:
        response = sample.response
        if sample.suppress:
            assert (sample.action, sample.scope) == (Action.BOUNCE, Scope.RECIPIENT)
            assert response.enhanced[1:3] != ".7"
            assert sample.klass in ("invalid_recipient", "inactive_mailbox")


# --- how well they are read ---


@pytest.fixture(scope="module")
def figures() -> Figures:
    return measure(TABLE, ALL)


def test_replies_are_read_right(figures: Figures) -> None:
    assert figures.accuracy >= 0.9
    assert figures.suppress.precision >= 0.97
    assert figures.suppress.recall >= 0.97
    poor = {name for name, share in figures.classes.items() if share.wanted >= 10 and share.recall < 0.9}
    assert poor == set()


def test_they_are_read_right_at_servers_of_nobody_known_too() -> None:
    """A company's own name for its hosted mail hides the provider; the words do not."""
    named = [sample for sample in ALL if sample.provider != OTHER]
    figures = measure(TABLE, [replace(sample, provider="") for sample in named])
    assert figures.accuracy >= 0.94
    assert figures.right_action / figures.samples >= 0.96
    assert (figures.suppress.precision, figures.suppress.recall) == (1, 1)


def test_every_rule_is_reached(figures: Figures) -> None:
    assert {rule.id for rule in TABLE.rules} - figures.rules.keys() == OWN_SAMPLES_ONLY


# --- a rate is never a dead mailbox ---


@pytest.mark.parametrize("sample", [s for s in ALL if s.klass in RATES], ids=lambda s: s.response.text[:60])
@given(
    code=st.sampled_from([0, 421, 450, 451, 452, 550, 551, 552, 553, 554]),
    enhanced=st.sampled_from(["keep", "", "4.2.1", "5.2.1", "5.7.1", "4.7.28", "5.2.0"]),
    phase=st.sampled_from([Phase.CONNECT, Phase.MAIL, Phase.RCPT, Phase.DATA, Phase.DOT]),
    provider=st.sampled_from(["keep", "", "gmail", "microsoft", "yahoo", "proofpoint"]),
    upper=st.booleans(),
    tail=st.sampled_from(["", " [192.0.2.7]", " - gsmtp", " See https://example.net/errors/4500", " b@example.net"]),
)
def test_too_fast_is_never_suppressed(
    sample: Sample, code: int, enhanced: str, phase: Phase, provider: str, upper: bool, tail: str
) -> None:
    """A provider may give the same words with another code, at another step or with a link after them. The codes that
    mean a dead mailbox all by themselves (5.1.1 and its like) are left out: with one it is another reply."""
    text = (sample.response.text.upper() if upper else sample.response.text) + tail
    codes = sample.response.enhanced if enhanced == "keep" else enhanced
    response = Response(phase, code or sample.response.code, codes, text)
    if codes == "5.2.1" and sample.klass != "recipient_rate":
        response = replace(response, enhanced="")
    by = sample.provider if provider == "keep" else provider
    assert not TABLE.classify(response, by).suppress


@pytest.mark.parametrize("enhanced", ["5.1.1", "5.1.3", "5.1.6", "5.1.10", "5.2.1"])
@pytest.mark.parametrize("provider", ["", "gmail", "microsoft", "yahoo", "apple", "proofpoint", "mimecast", "orange"])
@pytest.mark.parametrize(
    "text",
    [
        "<b@example.net> sent to too many recipients this hour",
        "User unknown: too many unknown users from your host",
        "mailbox unavailable, try again later",
        "no such user (temporarily)",
        "Recipient rejected, rate limit exceeded",
        "user unknown in our reputation system",
        "you have reached your hourly limit",
        "Greylisted",
        "your IP is blocked, recipient rejected",
        "This IP was rejected by blocklist",
        "slow down",
    ],
)
def test_a_mailbox_code_over_words_about_us_proves_no_dead_mailbox(text: str, provider: str, enhanced: str) -> None:
    for code in (550, 552, 554):
        for phase in (Phase.RCPT, Phase.DOT):
            assert not TABLE.classify(Response(phase, code, enhanced, text), provider).suppress


@pytest.mark.parametrize("code", [421, 450, 451, 452, 550, 552, 554])
@pytest.mark.parametrize("enhanced", ["", "4.2.1", "5.2.1", "4.7.28"])
@pytest.mark.parametrize(
    "speed", ["too fast", "at a rate that prevents additional messages from being delivered", "too quickly"]
)
@pytest.mark.parametrize("provider", ["gmail", "", "microsoft365", "proofpoint"])
def test_the_receiver_that_gets_mail_too_fast(code: int, enhanced: str, speed: str, provider: str) -> None:
    for text in (f"The user you are trying to contact is receiving mail {speed}.", f"... receiving mail {speed}"):
        for phase in (Phase.RCPT, Phase.DATA, Phase.DOT):
            verdict = TABLE.classify(Response(phase, code, enhanced, text), provider)
            assert (verdict.suppress, verdict.klass) == (False, "recipient_rate")
