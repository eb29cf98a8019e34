"""The first mail of a new user.

Path: POST /emails → worker → practice internet's mailbox → GET /emails/{id} and its events.
Expectation: the mail arrives through an IP of its lane's pool, over TLS, with both DKIM signatures valid against the
public keys in DNS; the API says delivered and can tell by which IP, MX, TLS, reply and rule.
"""

import dns.message
import dns.query
import pytest

from simulator import client as simulator
from tests.stack import RunningStack
from tests.unit.mta.dkim_reader import verifies

pytestmark = pytest.mark.scenario


def _txt(stack: RunningStack, name: str) -> str:
    """The TXT record of a name, asked of the practice internet's name server."""
    assert stack.simulator is not None
    question = dns.message.make_query(name, "TXT")
    answer = dns.query.udp(question, stack.simulator.dns_address, 5, stack.simulator.dns_port)
    return b"".join(answer.answer[0][0].strings).decode()


def test_the_first_mail_arrives_signed_and_the_api_tells_how(stack: RunningStack) -> None:
    assert stack.simulator is not None
    email_id = stack.send("first.customer@gmail.sim", subject="Your receipt", html="<p>Thank you.</p>")
    stack.until(lambda: stack.last_event(email_id) == "delivered", 20, "the first mail")

    (mail,) = simulator.mailbox(stack.simulator, "first.customer@gmail.sim", raw=True)
    assert (mail.subject, mail.tls) == ("Your receipt", True)
    assert mail.mail_from.endswith("@bounce.acme.sim")
    selectors = [str(row[0]) for row in stack.sql("SELECT selector FROM dkim_keys ORDER BY algorithm")]
    assert len(selectors) == 2
    names = [f"{selector}._domainkey.acme.sim." for selector in selectors]
    records = {name: _txt(stack, name) for name in names}
    assert all(verifies(mail.data, records, index) for index in range(2))
    assert not verifies(mail.data.replace(b"Thank you", b"Thank ME!"), records)

    email = stack.email(email_id)
    assert email["message_id"] == mail.message_id
    assert [row["state"] for row in email["recipients"]] == ["delivered"]
    accepted, delivered = stack.events(email_id)
    assert (accepted["event"], delivered["event"], delivered["attempt"]) == ("queued", "delivered", 1)
    assert delivered["ip"] == mail.client
    assert delivered["ip"] in {"127.0.1.1", "127.0.1.2", "127.0.1.3"}, "not an IP of the transactional pool"
    assert delivered["mx"] in {"mx1.google.sim", "mx2.google.sim"}
    assert delivered["provider"] == "gmail"
    assert delivered["tls"].startswith("TLSv1.3")
    assert delivered["code"] == 250
    assert delivered["reply"]
    assert delivered["rule"]
