"""Steps as a person writes them, one a line: `send=TEMPLATE`, `wait=3 days`, `broadcast=CAMPAIGN`. Pure.

What they cannot say (variables, another subject, answers elsewhere) is said by the API alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from campaigns.automations.model import Delay, SendBroadcast, SendEmail, Step, Workflow

WHAT: Final = ("send", "wait", "broadcast")


@dataclass(frozen=True, slots=True)
class Mails:
    """What all mails of an automation share where lines say its steps."""

    topic_id: UUID | None = None
    sender: str = ""


def parsed(text: str) -> tuple[str, str] | None:
    """What a line asks for, and of what; None when it is no step."""
    what, _, value = (part.strip() for part in text.partition("="))
    return (what, value) if what in WHAT and value else None


def step(number: int, what: str, value: str, mails: Mails) -> dict[str, object]:
    """The step as `workflow.from_json` takes it. `value`: a time, a template by id or alias, the id of a campaign."""
    if what == "wait":
        return {"key": f"wait-{number}", "type": "delay", "config": {"duration": value}}
    if what == "broadcast":
        return {"key": f"send-{number}", "type": "send_broadcast", "config": {"broadcast_id": value}}
    said: dict[str, object] = {"from": mails.sender} if mails.sender else {}
    said |= {"topic_id": str(mails.topic_id)} if mails.topic_id else {}
    return {"key": f"send-{number}", "type": "send_email", "config": {"template": {"id": value}, **said}}


def written(found: Workflow) -> tuple[list[str], Mails] | None:
    """The lines that say these steps; None where lines cannot."""
    mails = [one for one in found.steps if isinstance(one, SendEmail)]
    shared = {Mails(one.topic_id, one.sender) for one in mails}
    if len(shared) > 1 or any(one.variables or one.subject or one.reply_to for one in mails):
        return None
    return [line(one) for one in found.steps], next(iter(shared), Mails())


def line(found: Step) -> str:
    """One step."""
    if isinstance(found, Delay):
        return f"wait={found.text}"
    if isinstance(found, SendBroadcast):
        return f"broadcast={found.broadcast_id}"
    return f"send={found.template}"


def lines_of(text: str) -> Sequence[str]:
    """Those that say something."""
    return [one.strip() for one in text.splitlines() if one.strip()]
