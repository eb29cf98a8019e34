"""What the shipped rules decide, and that they decide everything."""

import time
import tomllib
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.model import Action, Phase, Response, Scope, Trouble, Verdict
from mta.providers import SHIPPED as PROVIDER_TABLE
from mta.replies import UNREADABLE, asked_wait, classify, shipped_rules
from mta.rules import CLASSES
from mta.rules.reading import Rule

S775 = "The mail server [192.0.2.1] has been temporarily rate limited due to IP reputation. (S775)"
AMOUNT = "Our system has detected an unusual amount of unsolicited mail originating from your IP address."
TABLE = shipped_rules()
PROVIDERS = [
    "gmail",
    "microsoft",
    "microsoft365",
    "yahoo",
    "apple",
    "gmx",
    "comcast",
    "orange",
    "qq",
    "netease",
    "mimecast",
    "proofpoint",
    "barracuda",
]


def reply(code: int, enhanced: str = "", text: str = "", phase: Phase = Phase.RCPT) -> Response:
    return Response(phase, code, enhanced, text)


# --- the data proves itself ---


@pytest.mark.parametrize("rule", TABLE.rules, ids=lambda rule: rule.id)
def test_a_rule_decides_its_samples_and_leaves_its_near_misses(rule: Rule) -> None:
    assert rule.matches
    assert rule.near_misses
    for provider in rule.providers or ("", "a-provider-without-rules"):
        for sample in rule.matches:
            verdict = TABLE.classify(sample, provider)
            assert verdict.rule == rule.id
            assert replace(verdict, wait=rule.verdict.wait) == rule.verdict
        for sample in rule.near_misses:
            assert TABLE.classify(sample, provider).rule != rule.id
            assert not rule.fits(sample)


def test_every_class_is_used_and_every_provider_has_rules() -> None:
    assert {rule.verdict.klass for rule in TABLE.rules} == set(CLASSES)
    assert set(PROVIDERS) <= TABLE.providers


def test_rules_speak_only_of_providers_that_exist() -> None:
    """A rule for a name that the provider table does not know is dead, however well its samples fit."""
    assert TABLE.providers <= tomllib.loads(PROVIDER_TABLE.read_text())["provider"].keys()


def test_only_bounces_of_the_recipient_suppress() -> None:
    suppressing = [rule for rule in TABLE.rules if rule.verdict.suppress]
    assert len(suppressing) >= 5
    for rule in suppressing:
        assert (rule.verdict.action, rule.verdict.scope) == (Action.BOUNCE, Scope.RECIPIENT)
        assert rule.phases, f"{rule.id} would suppress on a reply to MAIL or a banner"
        assert set(rule.phases) <= {Phase.RCPT, Phase.DATA, Phase.DOT}
        assert 4 not in rule.codes


def test_throttles_say_how_long_to_rest() -> None:
    for rule in TABLE.rules:
        if rule.verdict.action in (Action.THROTTLE_IP, Action.THROTTLE_DOMAIN, Action.RETRY_SAME_IP):
            assert rule.verdict.wait is not None, rule.id


# --- decisions ---


def decided(response: Response, provider: str = "") -> str:
    verdict = TABLE.classify(response, provider)
    return f"{verdict.action} {verdict.klass} {verdict.scope}" + (" suppress" if verdict.suppress else "")


@pytest.mark.parametrize(
    ("provider", "response", "expected"),
    [
        ("", reply(550, "5.1.1", "User unknown"), "bounce invalid_recipient recipient suppress"),
        ("", reply(550, "5.1.10", "no"), "bounce invalid_recipient recipient suppress"),
        ("", reply(550, "5.2.1", "no"), "bounce inactive_mailbox recipient suppress"),
        ("", reply(552, "5.2.2", "Over quota"), "bounce mailbox_full recipient"),
        ("", reply(452, "4.2.2", "Over quota"), "retry_later mailbox_full recipient"),
        ("", reply(550, "5.7.1", "User unknown"), "bounce invalid_recipient recipient"),
        ("", reply(554, "5.7.1", "blocked using bl.spamcop.net"), "throttle_ip blocklisted ip"),
        ("", reply(550, "5.1.1", "spam detected", Phase.DOT), "block spam_content message"),
        ("", reply(550, "5.1.1", "refused", Phase.DOT), "bounce mailbox_trouble recipient"),
        ("", reply(421, "4.7.0", "come back"), "throttle_ip rate_limited ip"),
        ("", reply(450, "4.7.1", "Greylisted"), "retry_same_ip greylisted recipient"),
        ("", reply(450, "", "mailbox unavailable"), "retry_later mailbox_trouble recipient"),
        ("", reply(450, "", "hm"), "retry_later unclassified_temporary host"),
        ("", reply(550, "", "hm"), "bounce unclassified_permanent recipient"),
        ("", reply(554, "", "no SMTP service here", Phase.BANNER), "retry_later server_trouble host"),
        ("", reply(250, "2.0.0", "queued", Phase.DOT), "delivered accepted message"),
        ("gmail", reply(450, "4.2.1", "The user is receiving mail too fast"), "retry_later recipient_rate recipient"),
        ("gmail", reply(550, "5.2.1", "The user is receiving mail at a rate"), "retry_later recipient_rate recipient"),
        (
            "gmail",
            reply(421, "4.7.28", "unusual rate of mail originating from your SPF domain [x]"),
            "throttle_domain domain_rate_limited sender_domain",
        ),
        ("gmail", reply(421, "4.7.28", "unusual rate of mail from your IP address"), "throttle_ip rate_limited ip"),
        *(
            (
                name,
                reply(550, "5.4.1", "Recipient address rejected: Access denied."),
                "bounce invalid_recipient recipient",
            )
            for name in ("microsoft", "microsoft365", "")
        ),
        *(
            (name, reply(451, "4.7.650", S775, phase), "throttle_ip ip_reputation ip")
            for name in ("microsoft", "microsoft365", "")
            for phase in (Phase.MAIL, Phase.RCPT, Phase.DOT)
        ),
        *(
            (
                name,
                reply(421, "4.7.0", "[TSS04] Messages from 192.0.2.1 temporarily deferred"),
                "throttle_ip ip_reputation ip",
            )
            for name in ("yahoo", "")
        ),
        ("", reply(421, "4.16.55", "Messages from 192.0.2.1 temporarily deferred"), "throttle_ip ip_reputation ip"),
        *(
            (name, given, "throttle_ip ip_reputation ip")
            for name in ("yahoo", "yahoo_japan", "")
            for given in (
                reply(421, "", "Message temporarily deferred - 4.16.50"),
                reply(421, "4.16.51", "Message temporarily deferred - 4.16.51"),
            )
        ),
        *(
            (name, reply(421, code, AMOUNT, Phase.DOT), "throttle_ip rate_limited ip")
            for name in ("gmail", "")
            for code in ("4.7.0", "4.7.28")
        ),
        ("", reply(421, "", AMOUNT, Phase.DOT), "throttle_ip rate_limited ip"),
        ("", reply(553, "5.7.1", "Invalid recipient"), "bounce invalid_recipient recipient"),
        ("", reply(553, "", "sorry, invalid recipient (#5.7.1)"), "bounce invalid_recipient recipient"),
        ("", reply(550, "", "sorry, no (#5.1.1)"), "bounce invalid_recipient recipient suppress"),
        ("", reply(554, "", "b@example.net is no longer valid"), "bounce inactive_mailbox recipient suppress"),
        ("", reply(554, "", "sender a@example.com is no longer valid"), "block sender_rejected sender_domain"),
        (
            "",
            reply(550, "5.1.1", "<b@example.net> sent to too many recipients this hour"),
            "throttle_ip rate_limited ip",
        ),
        ("yahoo", reply(421, "4.7.0", "[TSS04] Messages deferred"), "throttle_ip ip_reputation ip"),
        (
            "apple",
            reply(550, "5.1.1", "<b@icloud.com>: inactive email address"),
            "bounce inactive_mailbox recipient suppress",
        ),
        (
            "gmx",
            reply(550, "", "<b@gmx.de>: Requested action not taken: mailbox unavailable"),
            "bounce invalid_recipient recipient suppress",
        ),
        (
            "comcast",
            reply(421, "4.1.0", "Throttled. RL000010"),
            "throttle_domain domain_rate_limited sender_domain",
        ),
    ],
)
def test_decisions(provider: str, response: Response, expected: str) -> None:
    assert decided(response, provider) == expected


@pytest.mark.parametrize("trouble", [Trouble.TIMEOUT, Trouble.CLOSED, Trouble.PROTOCOL, Trouble.TLS])
def test_silence_after_the_dot_is_uncertain_and_only_there(trouble: Trouble) -> None:
    after = TABLE.classify(Response(Phase.DOT, trouble=trouble), "gmail")
    assert (after.action, after.klass, after.uncertain) == (Action.RETRY_LATER, "unknown_after_dot", True)
    before = TABLE.classify(Response(Phase.DATA, trouble=trouble), "gmail")
    assert (before.action, before.uncertain) == (Action.RETRY_LATER, False)


def test_a_refusal_decides_even_when_the_connection_broke_with_it() -> None:
    closed = Response(Phase.DOT, 421, "4.7.28", "unusual rate from your IP address", Trouble.CLOSED)
    assert TABLE.classify(closed, "gmail").action is Action.THROTTLE_IP


def test_half_a_yes_with_a_broken_connection_is_uncertain() -> None:
    assert TABLE.classify(Response(Phase.DOT, 250, trouble=Trouble.CLOSED), "").uncertain


@pytest.mark.parametrize("trouble", [Trouble.NO_DOMAIN, Trouble.NULL_MX])
def test_a_domain_without_mail_bounces_and_is_not_suppressed(trouble: Trouble) -> None:
    verdict = TABLE.classify(Response(Phase.RESOLVE, trouble=trouble), "")
    assert (verdict.action, verdict.scope, verdict.suppress) == (Action.BOUNCE, Scope.RECIPIENT, False)


def test_a_bounce_report_without_smtp_code_is_read_by_its_enhanced_code() -> None:
    assert decided(Response(Phase.RCPT, enhanced="5.1.1")) == "bounce invalid_recipient recipient suppress"
    assert TABLE.classify(Response(Phase.RCPT, enhanced="4.2.2"), "").action is Action.RETRY_LATER


def test_an_unknown_provider_gets_the_rules_for_everybody() -> None:
    response = reply(550, "5.4.1", "Recipient address rejected: Access denied.")
    assert TABLE.classify(response, "nobody") == TABLE.classify(response, "")


@pytest.mark.parametrize("code", [-1, 0, 1, 199, 354, 600, 10**9])
def test_codes_that_are_no_outcome(code: int) -> None:
    assert TABLE.classify(Response(Phase.DATA, code), "gmail") == UNREADABLE


# --- waits ---


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("Please try again in 5 minutes", 300),
        ("Greylisted for 300 seconds", 300),
        ("greylisting in action, please come back in 00:05:00", 300),
        ("retry after 2 hours", 7200),
        ("wait 90s", 90),
        ("Try again in 1 second", 30),
        ("temporarily blocked for 3 days and 90 hours", None),
        ("try again in 90 hours", 14400),
        ("too many messages: 100 messages in 60 seconds", None),
        ("Try again later. Limit is 10 mails per 5 minutes", None),
        ("try again in 5 parsecs", None),
        ("", None),
    ],
)
def test_asked_wait(text: str, seconds: int | None) -> None:
    assert asked_wait(text) == (None if seconds is None else timedelta(seconds=seconds))


def test_the_replys_own_time_goes_before_the_rules() -> None:
    with_time = TABLE.classify(reply(450, "4.7.1", "Greylisted, try again in 12 minutes"), "")
    without = TABLE.classify(reply(450, "4.7.1", "Greylisted"), "")
    assert (with_time.wait, without.wait) == (timedelta(minutes=12), timedelta(minutes=5))


def test_a_final_no_has_no_use_for_a_time() -> None:
    assert TABLE.classify(reply(550, "5.1.1", "User unknown, try again in 5 minutes"), "").wait is None


# --- any response ---

TEXTS = st.one_of(
    st.text(max_size=1200),
    st.lists(st.sampled_from([s.text for r in TABLE.rules for s in r.matches]), max_size=5).map(" ".join),
)
RESPONSES = st.builds(
    Response,
    phase=st.sampled_from(Phase),
    code=st.one_of(st.integers(), st.integers(200, 599)),
    enhanced=st.one_of(st.text(max_size=12), st.from_regex(r"[245]\.\d{1,3}\.\d{1,3}", fullmatch=True)),
    text=TEXTS,
    trouble=st.none() | st.sampled_from(Trouble),
)


@given(RESPONSES, st.sampled_from([*PROVIDERS, "", "other"]))
def test_classify_never_raises_and_keeps_its_promises(response: Response, provider: str) -> None:
    verdict = classify(response, provider)
    assert isinstance(verdict, Verdict)
    assert verdict.klass in CLASSES
    assert verdict.wait is None or timedelta(seconds=30) <= verdict.wait <= timedelta(hours=4)
    if verdict.action is Action.DELIVERED:
        assert response.phase is Phase.DOT
        assert response.trouble is None
    if verdict.suppress:
        assert verdict.action is Action.BOUNCE
        assert response.enhanced[1:3] != ".7"
        assert response.code == 0 or 500 <= response.code < 600
    assert not verdict.uncertain or response.phase is Phase.DOT


@given(st.sampled_from(Phase), st.integers(400, 499), TEXTS)
def test_a_4xx_never_ends_a_message(phase: Phase, code: int, text: str) -> None:
    assert classify(Response(phase, code, "", text), "gmail").action not in (
        Action.BOUNCE,
        Action.BLOCK,
        Action.DELIVERED,
    )


@given(st.sampled_from(Phase), st.integers(500, 599), st.integers(0, 999), TEXTS, st.sampled_from(PROVIDERS))
def test_policy_codes_never_suppress(phase: Phase, code: int, detail: int, text: str, provider: str) -> None:
    assert not classify(Response(phase, code, f"5.7.{detail}", text), provider).suppress


def test_long_hostile_texts_stay_cheap() -> None:
    """Each sample's own words repeated are the worst its pattern can meet. A catastrophic pattern takes minutes; the
    bound of a quarter of a second leaves room for a busy machine (measured: 2 ms at most)."""
    for rule in TABLE.rules:
        for sample in rule.matches:
            for text in (sample.text * 100, " ".join(sample.text.split()[:2]) * 200, sample.text[:3] * 500):
                for provider in ("", *rule.providers):
                    start = time.process_time()
                    TABLE.classify(replace(sample, text=text), provider)
                    assert time.process_time() - start < 0.25, rule.id
