"""What the pages of the sandbox say in words. Pure."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from accounts.capture_rules import EVERYBODY, CaptureRule
from console.shown import plural, relative
from messages.simulated import Behaviour, behaviour
from sandbox.mailbox import MailView

PLAYED: Final[Mapping[Behaviour, tuple[str, str]]] = {
    Behaviour.DELIVERED: ("delivered", "taken"),
    Behaviour.BOUNCED: ("bounced", "refused: 550 5.1.1, no such mailbox"),
    Behaviour.FULL: ("bounced", "refused: 552 5.2.2, mailbox full"),
    Behaviour.DELAYED: ("deferred", "put off once, taken ten seconds later"),
    Behaviour.COMPLAINED: ("complained", "taken; three seconds later a complaint comes in"),
    Behaviour.SUPPRESSED: ("suppressed", "ends as suppressed"),
}
"""Simulated recipients: the state that their mail comes to, and what they do."""


def overall(name: str, count: int, newest: MailView | None, rules: Sequence[CaptureRule], now: datetime) -> str:
    """What was caught, and what catches: for the list."""
    if newest is None:
        begin = f"None of {name} is kept here."
    else:
        begin = f"{plural(count, 'mail')} of {name}, none of which left; the last {relative(newest.captured_at, now)}."
    if any(rule.pattern == EVERYBODY for rule in rules):
        return f"{begin} A rule catches everything this application sends, whatever key sends it."
    return f"{begin} {plural(len(rules), 'rule catches', 'rules catch')} mail of live keys." if rules else begin


def why(mail: MailView, domain: str) -> str:
    """Why it is here. `domain`: that of simulated recipients."""
    if mail.test:
        return "a test key sent it"
    return "its recipient is simulated" if behaviour(mail.rcpt_to.lower(), domain) else "a rule caught it"


def meaning(pattern: str) -> str:
    """Whom a rule catches."""
    if pattern == EVERYBODY:
        return "everybody: nothing of this application leaves"
    if pattern.startswith("*@*."):
        return f"every domain below {pattern.removeprefix('*@*.')}"
    return f"everybody at {pattern.removeprefix('*@')}" if pattern.startswith("*@") else "this address"
