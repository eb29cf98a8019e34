"""Receivers of webhooks that fail, hang, send us elsewhere, are gone, and come back.

Path: five endpoints of one application, each told of the same mail. One answers; one answers 503 and later 200; one
takes the connection and says nothing; one redirects; one says that it is gone.
Expectation: the good one hears everything in order while the others cannot; nobody follows a redirect; what failed is
tried again under the same id and told once it is taken; what is gone is switched off; every try is listed with its
answer.
"""

from contextlib import ExitStack

import pytest

from simulator import client as simulator
from tests.scenarios.hearing import SECONDS, Ear, ear
from tests.stack import RunningStack

pytestmark = pytest.mark.scenario
STORY = ["email.sent", "email.delivered"]


def _asked(heard: Ear) -> list[str]:
    """Ids of the requests that came to an endpoint, whatever was answered."""
    assert heard.stack.simulator is not None
    return [row["id"] for row in simulator.webhooks(heard.stack.simulator, heard.path)]


def _tries(heard: Ear) -> list[tuple[str, int | None]]:
    """Of each event that was tried: how it stands, and the last answer."""
    stack, found = heard.stack, []
    for event in stack.request("GET", f"/webhooks/{heard.id}/events")["data"]:
        tries = stack.request("GET", f"/webhooks/{heard.id}/events/{event['id']}/attempts")["data"]
        found += [(event["status"], tries[0]["http_status_code"])] if tries else []
    return found


def test_endpoints_that_cannot_slow_nobody_and_lose_nothing(stack: RunningStack) -> None:
    with ExitStack() as ears:
        paths = ("/ok/good", "/fail+1/for-a-while", "/hang/for-ever", "/redirect/elsewhere", "/gone/for-good")
        good, failing, hanging, redirecting, gone = (ears.enter_context(ear(stack, path, STORY)) for path in paths)
        ids = [stack.send(f"reader{n}@small-035.sim") for n in range(5)]
        for email_id in ids:
            good.until("email.delivered", email_id)
            assert [event["type"] for event in good.told(email_id)] == STORY
        stack.until(lambda: _asked(hanging), SECONDS, "the one that hangs")
        assert hanging.told() == []

        stack.until(lambda: 302 in [code for _, code in _tries(redirecting)], SECONDS, "the redirect to be noted")
        assert stack.simulator is not None
        assert simulator.webhooks(stack.simulator, "/stolen*") == []

        stack.until(lambda: stack.request("GET", f"/webhooks/{gone.id}")["status"] == "disabled", SECONDS, "gone")
        _comes_back(stack, failing, ids)


def _comes_back(stack: RunningStack, failing: Ear, ids: list[str]) -> None:
    """Its first answer was 503; asked again it hears all, in order and under the ids it was tried with. What was just
    being tried when it was asked for again may come twice."""
    stack.request("POST", f"/webhooks/{failing.id}/replay", {"status": "unsent"})
    for email_id in ids:
        failing.until("email.delivered", email_id)
        told = {event["id"]: event["type"] for event in failing.told(email_id)}
        assert list(told.values()) == STORY
    assert _asked(failing)[0] in {event["id"] for event in failing.told()}
    assert {status for status, _ in _tries(failing)} == {"success"}
