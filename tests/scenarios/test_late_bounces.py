"""Mail that was taken, and bounces a moment later.

Path: the mailbox's server answers 250, and sends a real report (RFC 3464) by SMTP to the mail's return path.
Expectation: the message is bounced with the words of the report in its timeline, the address is suppressed, the figures
count a late bounce, the application is told, and the next mail stays here.
"""

import pytest

from tests.scenarios.hearing import ear, suppressions, until_counted, until_event
from tests.stack import RunningStack

pytestmark = pytest.mark.scenario
ADDRESS = "late.person@small-031.sim"


def test_a_report_turns_delivered_into_bounced(stack: RunningStack) -> None:
    with ear(stack, "/ok/late") as heard:
        email_id = stack.send(ADDRESS, tags=[{"name": "story", "value": "late"}])
        bounced = until_event(stack, email_id, "bounced")
        assert [event["event"] for event in stack.events(email_id)] == ["queued", "delivered", "bounced"]
        assert (bounced["code"], bounced["enhanced"]) == (550, "5.1.1")
        assert "report from mail.small-031.sim" in bounced["detail"]
        assert suppressions(stack, ADDRESS) == [("all", "hard_bounce", "bounce_report")]
        heard.until("email.bounced", email_id)
        assert [event["type"] for event in heard.told(email_id)] == ["email.sent", "email.delivered", "email.bounced"]
        until_counted(stack, "late_bounced", "story:late")

        again = stack.send(ADDRESS)
        heard.until("email.suppressed", again)
        assert stack.last_event(again) == "suppressed"
