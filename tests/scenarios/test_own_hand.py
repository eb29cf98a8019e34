"""Somebody's whole way with a newsletter, by their own hand in a real browser: sign-up, yes, choices, and erased.

Path: the hosted form in headless Chromium (a small phone, without scripts), the mail that asks in the practice mailbox,
its button, the page of choices; then the application erases them.
Expectation: they are a contact only after their own yes, get what they chose, and afterwards nothing of them is left
but that they are not written to: no contact, no address in stored mail, and their old links are over.
"""

import re
from pathlib import Path
from typing import Any

import pytest

from tests import browser
from tests.scenarios.hand import hand
from tests.scenarios.hearing import SECONDS, mail_of
from tests.stack import SENDER, RunningStack

pytestmark = [
    pytest.mark.scenario,
    pytest.mark.skipif(browser.PROGRAM is None, reason="there is no Chromium"),
    pytest.mark.timeout(300),
]
EMMA = "emma@small-037.sim"


def _link(stack: RunningStack, subject: str, path: str) -> str:
    body = mail_of(stack, EMMA, subject).get_body(("plain",))
    assert body is not None
    return str(re.findall(rf"http://\S+/{path}/\S+", str(body.get_content()))[0])


def _contacts(stack: RunningStack) -> list[dict[str, Any]]:
    return [one for one in stack.request("GET", "/contacts?limit=100")["data"] if one["email"] == EMMA]


def _left_of_her(stack: RunningStack) -> dict[str, int]:
    """Rows that still name her, by table; the hash on the suppression list does not."""
    asked = {
        "contacts": "address = %s",
        "confirmations": "address = %s",
        "choice_history": "address = %s",
        "emails": '%s = ANY("to")',
        "messages": "address = %s",
    }
    counts = {name: stack.one(f"SELECT count(*) FROM {name} WHERE {which}", [EMMA]) for name, which in asked.items()}
    return {name: int(n) for name, n in counts.items() if n}


def test_from_sign_up_to_erased(stack: RunningStack, tmp_path: Path) -> None:
    topic = stack.request("POST", "/topics", {"name": "Emma's letter", "default_subscription": "opt_out"})["id"]
    form = {"name": "Hand", "from": SENDER, "topics": [topic], "fields": [{"key": "first_name"}]}
    page = stack.request("GET", f"/forms/{stack.request('POST', '/forms', form)['id']}")["url"]
    with hand(stack, tmp_path / "profile") as emma:
        said = emma.does(
            lambda tab: tab.open(page),
            lambda tab: tab.write("input[name=email]", EMMA),
            lambda tab: tab.write("input[name=first_name]", "Emma"),
            lambda tab: tab.click("button", "Sign up"),
        )
        assert "look into your mailbox" in said
        ask = _link(stack, "Please confirm", "y")
        assert "Emma's letter" in emma.does(lambda tab: tab.open(ask))
        assert _contacts(stack) == [], "nothing before her own yes"
        assert "You are signed up" in emma.does(lambda tab: tab.click("button", "Yes, sign me up"))
        (known,) = _contacts(stack)
        assert (known["first_name"], known["status"]) == ("Emma", "confirmed")

        _link(stack, "You are signed up", "u")
        letter = stack.send(EMMA, subject="Her letter", stream="marketing", topic_id=topic)
        stack.until_ended([letter], SECONDS)
        assert stack.last_event(letter) == "delivered"

        stack.request("POST", f"/contacts/{known['id']}/erase", {})
        assert _contacts(stack) == []
        assert _left_of_her(stack) == {}
        assert "Yes, sign me up" not in emma.does(lambda tab: tab.open(ask))
    late = stack.send(EMMA, subject="Too late", stream="marketing", topic_id=topic)
    stack.until_ended([late], SECONDS)
    assert stack.last_event(late) == "suppressed"
