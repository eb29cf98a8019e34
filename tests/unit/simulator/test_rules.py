"""Rules match by pattern, end by themselves, and speak when they can."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.model import Behaviour, Stage
from simulator.rules import Rule, RuleBook, RuleError, Who, rule_from, stage_of

GMAIL = Who("gmail", "gmail", "127.0.1.2", "mta-2.pool.sim", "127.0.1.2", "joe@gmail.sim")
ALL = tuple(Stage)


def test_a_rule_answers_only_whom_it_names() -> None:
    book = RuleBook()
    book.add(Rule(Behaviour.THROTTLE, provider="gmail", client="127.0.1.2"))
    assert book.plan(ALL, GMAIL, 0) is not None
    assert book.plan(ALL, Who("gmail", "gmail", "127.0.1.3", "x", "127.0.1.3", "joe@gmail.sim"), 0) is None
    assert book.plan(ALL, Who("yahoo", "yahoo", "127.0.1.2", "x", "127.0.1.2", "joe@yahoo.sim"), 0) is None


@pytest.mark.parametrize("client", ["mta-2.pool.sim", "MTA-2.*", "127.0.1.?"])
def test_a_client_is_named_by_pattern_of_ip_or_ehlo_name(client: str) -> None:
    book = RuleBook()
    book.add(Rule(Behaviour.BLOCK, client=client))
    plan = book.plan(ALL, GMAIL, 0)
    assert plan is not None
    assert plan.behaviour is Behaviour.BLOCK


def test_a_rule_ends_after_its_mails_and_after_its_time() -> None:
    book = RuleBook()
    book.add(Rule(Behaviour.THROTTLE, mails=2))
    book.add(Rule(Behaviour.BLOCK, until=100.0))
    behaviours = [plan.behaviour if (plan := book.plan(ALL, GMAIL, at)) else None for at in (1, 2, 3, 99, 100, 101)]
    assert behaviours == ["throttle", "throttle", "block", "block", None, None]
    assert not book


def test_a_rate_limit_answers_what_is_above_it_for_each_client() -> None:
    book = RuleBook()
    book.add(Rule(Behaviour.THROTTLE, above=3, per=10))
    other = Who("gmail", "gmail", "127.0.1.3", "x", "127.0.1.3", "joe@gmail.sim")
    refused = [book.plan(ALL, GMAIL, 1.0) is not None for _ in range(5)]
    assert refused == [False, False, False, True, True]
    assert book.plan(ALL, other, 1.0) is None
    assert book.plan(ALL, GMAIL, 11.0) is None


def test_the_first_rule_wins_and_a_name_replaces_its_rule() -> None:
    book = RuleBook()
    book.add(Rule(Behaviour.ACCEPT, recipient="vip@*", name="vip"))
    book.add(Rule(Behaviour.UNKNOWN))
    vip = Who("gmail", "gmail", "127.0.1.2", "x", "127.0.1.2", "vip@gmail.sim")
    assert [p.behaviour for who in (vip, GMAIL) if (p := book.plan(ALL, who, 0))] == ["accept", "unknown"]
    book.add(Rule(Behaviour.SPAM, recipient="vip@*", name="vip"))
    assert len(book.in_force(0)) == 2


def test_when_a_rule_speaks() -> None:
    yahoo = Who("yahoo", "yahoo", "127.0.1.2", "", "127.0.1.2")
    shared = Who("yahoo", "yahoo", "127.0.0.1", "a", "a", "x@yahoo.sim", shared_door=True)
    assert stage_of(Rule(Behaviour.THROTTLE), yahoo) is Stage.MAIL
    assert stage_of(Rule(Behaviour.THROTTLE), shared) is Stage.RCPT
    assert stage_of(Rule(Behaviour.THROTTLE, stage=Stage.BANNER), yahoo) is Stage.BANNER
    assert stage_of(Rule(Behaviour.THROTTLE, stage=Stage.BANNER, client="some.name"), yahoo) is Stage.MAIL
    assert stage_of(Rule(Behaviour.THROTTLE, recipient="joe@*"), yahoo) is Stage.RCPT
    assert stage_of(Rule(Behaviour.BADTLS), yahoo) is Stage.STARTTLS


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"behaviour": "explode"}, "behaviour"),
        ({"behaviour": "block", "colour": "red"}, "colour"),
        ({"behaviour": "block", "stage": "noon"}, "stage"),
        ({"behaviour": "block", "mails": 1.5}, "mails"),
        ({"behaviour": "block", "mails": True}, "mails"),
        ({"behaviour": "block", "until": -1}, "until"),
        ({"behaviour": "block", "client": 7}, "client"),
        ({"behaviour": "block", "text": "250 fine"}, "text"),
        ({"behaviour": "block", "text": "550 5.7.1 a\r\n250 ok"}, "text"),
    ],
)
def test_a_bad_rule_is_refused_by_the_name_of_its_field(fields: dict[str, object], named: str) -> None:
    with pytest.raises(RuleError, match=named):
        rule_from(fields)


@given(st.dictionaries(st.sampled_from(Rule.__slots__), st.none() | st.text() | st.integers() | st.floats()))
def test_any_fields_make_a_rule_or_a_rule_error(fields: dict[str, object]) -> None:
    try:
        rule = rule_from(fields)
    except RuleError:
        return
    assert rule.behaviour in Behaviour
