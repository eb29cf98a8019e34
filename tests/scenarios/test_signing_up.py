"""A visitor signs up for the newsletter, and a foreign list is brought in.

Path: the hosted form by HTTP, the mail that asks by real mail, its link, the welcome mail; then a list with a spamtrap
and a dead address by the API, through a pool of its own.
Expectation: before the button is pressed nobody is a contact. Afterwards there is one, the application is told of it,
and its newsletter arrives. Of the list everybody gets the one mail that asks and nothing else, from the IP of that pool
alone, and the dead address is suppressed. A campaign to everybody reaches neither.
"""

import contextlib
import json
import re
import urllib.request
from collections.abc import Iterator

import pytest

from core.ids import uuid7
from tests.scenarios.hearing import SECONDS, ear, mail_of, suppressions, visit
from tests.stack import SENDER, RunningStack

pytestmark = pytest.mark.scenario
DORA = "dora@small-035.sim"
TRAP, DEAD = "trap@small-036.sim", "unknown.trap@small-036.sim"
ASKING = "127.0.1.77"
"""The IP of the pool for confirmations."""


def _body(stack: RunningStack, address: str, subject: str) -> str:
    body = mail_of(stack, address, subject).get_body(("plain",))
    assert body is not None
    return str(body.get_content())


def _link(text: str) -> str:
    (link,) = re.findall(r"http://\S+/y/\S+", text)
    return str(link)


def _contacts(stack: RunningStack, address: str) -> list[str]:
    found = stack.request("GET", "/contacts?limit=100")["data"]
    return [one["status"] for one in found if one["email"] == address]


def test_a_yes_from_the_mailbox_makes_a_contact(stack: RunningStack) -> None:
    topic = stack.request("POST", "/topics", {"name": "Dora's letter", "default_subscription": "opt_out"})["id"]
    texts = {"en": {"frequency": "Once a month.", "consent": "I want the letter."}}
    form = stack.request("POST", "/forms", {"name": "Footer", "from": SENDER, "topics": [topic], "texts": texts})["id"]
    page = stack.request("GET", f"/forms/{form}")["url"]
    with ear(stack, "/ok/signed-up", ["contact.created"]) as heard:
        assert "Sign up" in visit("GET", page)[1]
        assert visit("POST", page, email=DORA, lang="en")[0] == 200
        ask = _link(_body(stack, DORA, "Please confirm"))
        assert visit("GET", ask)[0] == 200
        assert _contacts(stack, DORA) == []
        assert visit("POST", ask, action="confirm", lang="en")[0] == 200

        assert _contacts(stack, DORA) == ["confirmed"]
        heard.until("contact.created", email=DORA)
        assert "Once a month." in _body(stack, DORA, "You are signed up")
        letter = stack.send(DORA, subject="The letter", stream="marketing", topic_id=topic)
        stack.until_ended([letter], SECONDS)
        assert stack.last_event(letter) == "delivered"


@contextlib.contextmanager
def pool(stack: RunningStack) -> Iterator[None]:
    """The pool that is kept for confirmations of imports, with an IP of its own, while the block runs."""
    made, ip = uuid7(), uuid7()
    own = stack.one(
        "SELECT bind_address = address FROM egress_ips LIMIT 1"
    )  # else the machine has one loopback address
    stack.sql("INSERT INTO pools (id, name, lane, reserved) VALUES (%s, 'asking', 'transactional', true)", [made])
    stack.sql(
        "INSERT INTO egress_ips (id, address, bind_address, ehlo_name) VALUES (%s, %s, %s, 'asking.pool.sim')",
        [ip, ASKING, ASKING if own else "127.0.0.1"],
    )
    stack.sql("INSERT INTO pool_ips (pool_id, egress_ip_id) VALUES (%s, %s)", [made, ip])
    try:
        yield
    finally:
        stack.sql("DELETE FROM pools WHERE id = %s", [made])
        stack.sql("DELETE FROM egress_ips WHERE id = %s", [ip])


def bring_in(stack: RunningStack, text: str, **fields: str) -> str:
    """Import a list by the API; its id."""
    parts = {'file"; filename="people.csv': text, **fields}
    body = "".join(
        f'--mark\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{part}\r\n' for name, part in parts.items()
    )
    request = urllib.request.Request(  # the stack's own address
        f"{stack.api_url}/contacts/imports",
        f"{body}--mark--\r\n".encode(),
        {"Authorization": f"Bearer {stack.key}", "Content-Type": "multipart/form-data; boundary=mark"},
    )
    with urllib.request.urlopen(request, timeout=SECONDS) as answer:  # the same
        return str(json.load(answer)["id"])


def sent_to(stack: RunningStack, address: str) -> list[tuple[str, str]]:
    """All that was ever tried for an address: subject, and the IP it left from."""
    return [
        (str(subject), str(ip))
        for subject, ip in stack.sql(
            "SELECT e.subject, v.ip FROM messages m JOIN emails e ON e.id = m.email_id JOIN events v"
            " ON v.email_id = m.email_id AND v.position = m.position AND v.kind IN ('delivered', 'bounced')"
            " WHERE m.address = %s",
            [address],
        )
    ]


def _state(stack: RunningStack, campaign: str) -> str:
    return str(stack.request("GET", f"/broadcasts/{campaign}")["state"])


def test_a_foreign_list_gets_the_one_mail_that_asks_and_nothing_else(stack: RunningStack) -> None:
    with pool(stack):
        text = f"email\n{TRAP}\n{DEAD}\nnobody\n"
        first = bring_in(stack, text)
        stack.until(lambda: sent_to(stack, TRAP) and sent_to(stack, DEAD), SECONDS, "both to be asked")
        again = bring_in(stack, text, on_conflict="upsert")
        done = lambda: stack.request("GET", f"/contacts/imports/{again}")["status"] == "completed"  # noqa: E731
        stack.until(done, SECONDS, "the second import")
        stack.until_all_ended(SECONDS)

        counts = stack.request("GET", f"/contacts/imports/{first}")["counts"]
        assert (counts["created"], counts["failed"]) == (2, 1)
        for address in (TRAP, DEAD):
            assert [ip for _, ip in sent_to(stack, address)] == [ASKING]
            assert "write to you?" in sent_to(stack, address)[0][0]
        assert suppressions(stack, DEAD)[0][1] == "hard_bounce"
        assert _contacts(stack, TRAP) == ["unconfirmed"]

        before = sent_to(stack, TRAP), sent_to(stack, DEAD)
        them = stack.request("POST", "/segments", {"name": "Them", "filter": 'email ends with "@small-036.sim"'})["id"]
        words = {"from": SENDER, "subject": "To all", "text": "Hello", "segment_id": them, "send": True}
        campaign = stack.request("POST", "/broadcasts", words)["id"]
        stack.until(lambda: _state(stack, campaign) == "finished", SECONDS, "the campaign to be finished")
        people = stack.request("GET", f"/broadcasts/{campaign}")["people"]
        assert (people["total"], people["unconfirmed"]) == (2, 2)
        assert (sent_to(stack, TRAP), sent_to(stack, DEAD)) == before, "no campaign reaches them"
