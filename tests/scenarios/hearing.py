"""What the stories of this folder ask again and again: what was told, what is counted, what a mail holds."""

import contextlib
import http.client
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any
from urllib.parse import urlencode, urlsplit

from simulator import client as simulator
from tests.stack import RunningStack

SECONDS = 60.0
"""For what happens within a second on a quiet machine. A report that overtook the commit of its delivery is looked at
again after up to half a minute."""


@dataclass(frozen=True, slots=True)
class Ear:
    """An application in the practice internet that is told of events, at one endpoint."""

    stack: RunningStack
    id: str
    path: str

    def told(self, about: str = "") -> list[dict[str, Any]]:
        """Events that it took, in the order of their coming; only those of one email when `about` is its id."""
        assert self.stack.simulator is not None
        rows = [row for row in simulator.webhooks(self.stack.simulator, self.path) if row["status"] == 200]
        events = [json.loads(row["body"]) | {"id": row["id"], "signed": row["signed"]} for row in rows]
        return [event for event in events if not about or event["data"].get("email_id") == about]

    def until(self, kind: str, about: str = "", **data: object) -> dict[str, Any]:
        """The first event of this type with these data, as soon as it was told; its signature was good."""
        found: list[dict[str, Any]] = []

        def there() -> bool:
            found.extend(
                event for event in self.told(about)
                if event["type"] == kind and data.items() <= event["data"].items()
            )  # fmt: skip
            return bool(found)

        self.stack.until(there, SECONDS, f"{kind} {about} {data} in {[e['type'] for e in self.told(about)]}")
        assert found[0]["signed"]
        return found[0]


@contextlib.contextmanager
def ear(stack: RunningStack, path: str, events: list[str] | None = None) -> Iterator[Ear]:
    """An endpoint while the block runs. How it answers is said by the path, as in `simulator/receiver.py`."""
    assert stack.simulator is not None
    wanted = {"endpoint": f"{stack.simulator.webhook_url}{path}", "events": events}
    made = stack.request("POST", "/webhooks", wanted)
    simulator.trust_webhooks(stack.simulator, made["signing_secret"])
    try:
        yield Ear(stack, made["id"], path)
    finally:
        stack.request("DELETE", f"/webhooks/{made['id']}")


def until_event(stack: RunningStack, email_id: str, word: str) -> dict[str, Any]:
    """The event of an email's timeline that says this, as soon as it stands there."""
    found: list[dict[str, Any]] = []

    def there() -> bool:
        found.extend(event for event in stack.events(email_id) if event["event"] == word)
        return bool(found)

    stack.until(there, SECONDS, f"{word} of {email_id}: {stack.last_event(email_id)}")
    return found[0]


def counted(stack: RunningStack, what: str, tag: str) -> int:
    """A figure of `GET /reports` about the mail with this tag, `story:…`."""
    return int(stack.request("GET", f"/reports?{urlencode({'tag': tag})}")["totals"][what])


def until_counted(stack: RunningStack, what: str, tag: str, number: int = 1) -> None:
    """Wait for the figure to be this: counters are folded in the background."""
    stack.until(lambda: counted(stack, what, tag) == number, SECONDS, f"{number} {what} of {tag}")


def suppressions(stack: RunningStack, address: str) -> list[tuple[str, str, str]]:
    """Scope, reason and source of what is suppressed for an address."""
    entries = stack.request("GET", f"/suppressions/{address}")["entries"]
    return [(entry["scope"], entry["reason"], entry["source"]) for entry in entries]


def mail_of(stack: RunningStack, address: str, subject: str = "") -> EmailMessage:
    """The last mail in a mailbox, once there is one (with this subject)."""
    assert stack.simulator is not None
    found: list[simulator.ReceivedMail] = []

    def there() -> bool:
        assert stack.simulator is not None
        mails = simulator.mailbox(stack.simulator, address, raw=True)
        found.extend(mail for mail in mails if subject in mail.subject)
        return bool(found)

    stack.until(there, SECONDS, f"a mail {subject!r} to {address}")
    return message_from_bytes(found[-1].data, _class=EmailMessage, policy=policy.default)


def link_of(mail: EmailMessage) -> str:
    """The link that a mail program's own button to unsubscribe posts to (RFC 8058)."""
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    found = re.search(r"<(https?://[^<>\s]+)>", mail["List-Unsubscribe"])
    assert found is not None, mail["List-Unsubscribe"]
    return found[1]


def visit(method: str, url: str, **form: str) -> tuple[int, str]:
    """Status and text of a page, as a browser without cookies gets it; redirects are not followed."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=SECONDS)
    try:
        target = f"{parts.path}?{parts.query}" if parts.query else parts.path
        headers = {"Content-Type": "application/x-www-form-urlencoded"} if form else {}
        connection.request(method, target, urlencode(form) if form else None, headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()
