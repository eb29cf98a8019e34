"""Three people call a mail spam, and their providers report it in three forms.

Path: the whole mail in a report of our days (RFC 5965), headers only and without the recipient as Microsoft sends them,
and a forwarded mail from before the standard. All come by SMTP, to `fbl@` of the return path's domain or to the return
path.
Expectation: each is placed at its own recipient's message: a complaint in the timeline, a suppression of marketing
mail, a complaint in the figures, and a webhook. The message stays delivered.
"""

import pytest

from tests.scenarios.hearing import Ear, ear, suppressions, until_counted, until_event
from tests.stack import RunningStack

pytestmark = pytest.mark.scenario
FORMS = {
    "whole": "complain.one@gmail.sim",
    "headers": "complain.two@outlook.sim",
    "old": "complain.three+old@small-032.sim",
}


def test_each_form_finds_the_recipient(stack: RunningStack) -> None:
    with ear(stack, "/ok/complaints", ["email.complained"]) as heard:
        sent = {
            form: stack.send(to, stream="marketing", tags=[{"name": "story", "value": form}])
            for form, to in FORMS.items()
        }
        for form, email_id in sent.items():
            _complained(stack, heard, form, email_id)


def _complained(stack: RunningStack, heard: Ear, form: str, email_id: str) -> None:
    told = until_event(stack, email_id, "complained")
    assert "abuse report" in told["detail"]
    assert [event["event"] for event in stack.events(email_id)] == ["queued", "delivered", "complained"]
    assert [row["state"] for row in stack.email(email_id)["recipients"]] == ["delivered"]
    assert suppressions(stack, FORMS[form].replace("+", "%2B")) == [("marketing", "complaint", "feedback_loop")]
    heard.until("email.complained", email_id, recipient=FORMS[form])
    until_counted(stack, "complained", f"story:{form}")
