"""One mail is seen through all processes that have a hand in it, and a collector that hangs holds up none.

Path: an application sends with a `traceparent`; API, worker and background worker send their spans to a collector of
ours; an endpoint of the application is told.
Expectation: the request is of the application's trace, linked with the mail's, whose id is the mail's own; in it every
span hangs on the right one, in whichever process that was. What the application does not trace is not traced. With the
collector hanging mail goes out as ever, and what is lost of traces is counted.
"""

import urllib.request
from collections.abc import Iterable
from uuid import UUID

import pytest

from tests.collector import SERVER, Collector, Got
from tests.scenarios.hearing import SECONDS, ear
from tests.stack import SENDER, RunningStack

pytest.importorskip("opentelemetry.exporter", reason="needs the extra `traces`: make setup")
pytestmark = pytest.mark.scenario

TRACE, OTHER_TRACE = "4bf92f3577b34da6a3ce929d0e0e4736", "0af7651916cd43dd8448eb211c80319c"
SPAN = "00f067aa0ba902b7"
STEPS = ("claim", "route", "choose", "wait", "compose", "sign", "send", "record")
STORY = {
    "accept": ("api", ""),
    "deliver": ("worker-transactional", "accept"),
    **dict.fromkeys(STEPS, ("worker-transactional", "deliver")),
    "webhook": ("worker-background", "record"),
}
"""Spans of a mail that is delivered at once, with their process and the span above."""


def _send(stack: RunningStack, number: int, flags: str | None, trace: str = OTHER_TRACE) -> str:
    body = {"from": SENDER, "to": [f"traced{number}@small-021.sim"], "subject": "Traced", "text": "Hello"}
    headers = {} if flags is None else {"traceparent": f"00-{trace}-{SPAN}-{flags}"}
    made: str = stack.request("POST", "/emails", body, headers)["id"]
    return made


def _mail(collector: Collector, email_id: str) -> list[Got]:
    return collector.of(UUID(email_id).hex)


def _told(spans: Iterable[Got]) -> dict[str, tuple[str, str]]:
    names = {one.span: one.name for one in spans}
    return {one.name: (one.service.removeprefix("postlane-"), names.get(one.parent, "")) for one in spans}


def test_one_mail_through_all_processes(stack: RunningStack, collector: Collector) -> None:
    with ear(stack, "/ok/traced", ["email.delivered"]) as heard:
        untraced = [_send(stack, 1, "00"), _send(stack, 2, None)]
        email_id = _send(stack, 3, "01", TRACE)
        for one in (*untraced, email_id):
            heard.until("email.delivered", one)
        stack.until(lambda: len(_mail(collector, email_id)) >= len(STORY), SECONDS, "all spans to come")
    spans = _mail(collector, email_id)
    assert _told(spans) == STORY
    send = next(one for one in spans if one.name == "send")
    assert send.about["postlane.code"] == 250
    assert send.about["postlane.provider"]
    assert [one for one in untraced if _mail(collector, one)] == []

    (request,) = collector.of(TRACE)
    accept = next(one for one in spans if one.name == "accept")
    assert (request.name, request.kind, request.parent) == ("POST /emails", SERVER, SPAN)
    assert (request.links, accept.links) == ([(accept.trace, accept.span)], [(TRACE, request.span)])
    assert request.about["http.response.status_code"] == 200


def test_a_collector_that_hangs_holds_up_no_mail(stack: RunningStack, collector: Collector) -> None:
    before = collector.requests
    collector.hang()
    try:
        ids = [_send(stack, number, "01") for number in range(10, 20)]
        stack.until(lambda: collector.requests - before >= 2, SECONDS, "API and worker to hang at it")
        ids += [_send(stack, number, "01") for number in range(20, 30)]
        assert stack.until_ended(ids, SECONDS) < SECONDS
        assert {stack.last_event(one) for one in ids} == {"delivered"}
        stack.until(lambda: _failed(stack) > 0, SECONDS, "what was lost to be counted")
    finally:
        collector.go_on()
    email_id = _send(stack, 30, "01")
    stack.until(lambda: "record" in _told(_mail(collector, email_id)), SECONDS, "spans to come again")


def _failed(stack: RunningStack) -> float:
    with urllib.request.urlopen(stack.metrics["worker-transactional"], timeout=10) as answer:
        text = answer.read().decode()
    lines = [line for line in text.splitlines() if line.startswith("postlane_trace_spans_total")]
    return sum(float(line.split()[-1]) for line in lines if 'result="failed"' in line)
