"""Steps of an automation: what is taken, in which order, and what is refused by name."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from campaigns.automations.model import Delay, SendBroadcast, SendEmail
from campaigns.automations.workflow import event_name, from_json, next_mail, resolved, to_json
from core.refusal import Refused

ID = "00000000-0000-7000-8000-000000000001"
START = {"key": "start", "type": "trigger", "config": {"event_name": "user.created"}}
MAIL = {"key": "mail", "type": "send_email", "config": {"template": {"id": "hello"}}}


def step(kind: str, key: str = "x", **config: Any) -> dict[str, Any]:
    return {"key": key, "type": kind, "config": config}


def test_steps_in_their_order_and_back() -> None:
    mail = step(
        "send_email", "mail", template={"id": "hello", "variables": {"PLAN": {"var": "event.plan"}}}, subject="Hi",
        reply_to="help@acme.example", topic_id=ID, **{"from": "Acme <a@acme.example>"},
    )  # fmt: skip
    found = from_json([mail, step("delay", "wait", duration="3  Days"), START], [
        {"from": "start", "to": "wait"}, {"from": "wait", "to": "mail", "type": "default"},
    ])  # fmt: skip
    steps, connections = to_json(found)

    wait, sends = found.steps
    assert isinstance(wait, Delay) and wait.wait == timedelta(days=3)
    assert isinstance(sends, SendEmail) and (sends.template, sends.sender) == ("hello", "Acme <a@acme.example>")
    assert [one["key"] for one in steps] == ["start", "wait", "mail"]
    assert connections == [
        {"from": "start", "to": "wait", "type": "default"},
        {"from": "wait", "to": "mail", "type": "default"},
    ]
    assert from_json(steps, connections) == found == from_json(steps, None)


def test_the_next_mail_is_due_after_all_delays_before_it() -> None:
    found = from_json([START, step("delay", "a", duration="1 day"), step("delay", "b", duration="2 hours"), MAIL], None)

    assert next_mail(found.steps, 0) == (2, timedelta(days=1, hours=2))
    assert next_mail(found.steps, 3) is None


def test_a_rule_sends_a_broadcast_and_nothing_else_does() -> None:
    rule = step("trigger", "start", event_name="postlane:schedule", rrule="FREQ=DAILY", start="2026-12-01T09:00")
    sends = step("send_broadcast", "send", broadcast_id=ID)
    found = from_json([rule, sends], None)

    assert isinstance(found.steps[0], SendBroadcast)
    assert from_json(to_json(found)[0], None) == found
    for steps in ([rule, MAIL], [rule, sends, step("delay", duration="1 day")], [START, sends]):
        with pytest.raises(Refused):
            from_json(steps, None)


@pytest.mark.parametrize(
    ("steps", "field"),
    [
        (None, "steps"), ([], "steps"), ([START], "steps"), ([MAIL], "steps"), ("x", "steps"), ([START, 7], "steps"),
        ([START, MAIL, MAIL], "steps"), ([START, START], "steps"),
        ([START, {**MAIL, "key": ""}], "steps[1].key"),
        ([START, {"key": "m", "type": "send_email"}], "steps[1].config"),
        ([START, step("wait_for_event", event_name="x")], "steps[1].type"),
        ([START, step("condition")], "steps[1].type"), ([START, step("contact_delete")], "steps[1].type"),
        ([START, step("delay", duration="1 day")], "steps"),
        ([START, MAIL, step("delay", duration="tomorrow")], "steps[2].config.duration"),
        ([START, MAIL, step("delay", duration="0 days")], "steps[2].config.duration"),
        ([START, MAIL, step("delay", duration="99999999 weeks")], "steps[2].config.duration"),
        ([START, MAIL, step("delay", duration="-1 day")], "steps[2].config.duration"),
        ([START, step("send_email")], "steps[1].config.template"),
        ([START, step("send_email", template={"id": 7})], "steps[1].config.template"),
        ([START, step("send_email", template={"id": "x"}, cc="a@b.example")], "steps[1].config.cc"),
        ([START, step("send_email", template={"id": "x", "variables": {"A": {"val": 1}}})],
         "steps[1].config.template.variables.A"),
        ([START, step("send_email", template={"id": "x", "variables": {"A": "\0"}})],
         "steps[1].config.template.variables"),
        ([START, step("send_email", template={"id": "x"}, subject="{{ broken")], "steps[1].config.subject"),
        ([START, step("send_email", template={"id": "x"}, **{"from": "nobody"})], "steps[1].config.from"),
        ([START, step("send_email", template={"id": "x"}, topic_id="news")], "steps[1].config.topic_id"),
        ([step("trigger", event_name="resend:contact.created"), MAIL], "steps[0].config.event_name"),
        ([step("trigger", event_name="postlane:other"), MAIL], "steps[0].config.event_name"),
        ([step("trigger", event_name="x", segment_id=ID), MAIL], "steps[0].config.segment_id"),
        ([step("trigger", event_name="postlane:schedule", rrule="FREQ=SECONDLY", start="2026-12-01"), MAIL],
         "steps[0].config.rrule"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_by_name(steps: Any, field: str) -> None:
    with pytest.raises(Refused) as refused:
        from_json(steps, None)

    assert refused.value.field == field


@pytest.mark.parametrize(
    "connections",
    [
        [], "x", [7], [{"from": "start", "to": "mail"}], [{"from": "start", "to": "nowhere"}],
        [{"from": "start", "to": "mail"}, {"from": "start", "to": "wait"}],
        [{"from": "start", "to": "mail"}, {"from": "mail", "to": "mail"}],
        [{"from": "start", "to": "mail"}, {"from": "mail", "to": "start"}, {"from": "wait", "to": "mail"}],
        [{"from": "start", "to": "mail", "type": "timeout"}, {"from": "mail", "to": "wait"}],
    ],
)  # fmt: skip
def test_connections_are_one_chain(connections: Any) -> None:
    with pytest.raises(Refused, match="connections"):
        from_json([START, MAIL, step("delay", "wait", duration="1 day")], connections)


def test_variables_refer_to_what_is_seen() -> None:
    seen = {"event": {"plan": "pro", "user": {"age": 7}}, "contact": {"first_name": None}}
    wanted = {
        "A": {"var": "event.plan"}, "B": {"var": "event.user.age"}, "C": {"var": "contact.first_name"},
        "D": {"var": "event.plan.x"}, "E": "as it is", "F": 3,
    }  # fmt: skip

    assert resolved(wanted, seen) == {"A": "pro", "B": 7, "E": "as it is", "F": 3}


@pytest.mark.parametrize("name", ["", " ", "a\nb", "x" * 201, "resend:x", "Postlane:Schedule", "postlane:schedule", 7])
def test_names_of_events(name: object) -> None:
    with pytest.raises(Refused):
        event_name(name)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=20,
)


@settings(max_examples=50, deadline=None)
@given(
    kind=st.sampled_from(["trigger", "delay", "send_email", "send_broadcast", "x"]),
    config=st.dictionaries(
        st.sampled_from(["event_name", "template", "duration", "seconds", "from", "subject", "reply_to", "rrule"]),
        _JSON,
    ),
    connections=_JSON,
)
def test_whatever_is_given_is_taken_or_refused(kind: str, config: Any, connections: Any) -> None:
    for steps in ([START, step(kind, **config)], [step("trigger", **config), MAIL]):
        for order in (None, connections):
            try:
                found = from_json(steps, order)
            except Refused:
                continue
            assert from_json(*to_json(found)) == found
