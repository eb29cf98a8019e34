"""The form of an automation: what begins it, and its steps as lines. Read and written back."""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from audience.newly_confirmed import CONFIRMED
from campaigns.automations import lines, workflow
from campaigns.automations.lines import Mails
from campaigns.automations.model import SCHEDULE, Workflow
from console.choosing import chosen_id
from console.choosing import name_id as named_id
from console.visit import Visit
from core.refusal import Refused, invalid
from store.database import Connection
from templates import service as templates

_PLACE: Final = re.compile(r"steps\[(\d+)\]")
FIELDS: Final = ("name", "begins", "event", "segment_id", "rule", "start", "zone", "topic_id", "from", "steps")


async def filled(connection: Connection, visit: Visit, owner: UUID) -> Workflow:
    """What the form says. Raises Refused naming its field."""
    trigger = await _trigger(connection, visit, owner)
    topic = await chosen_id(connection, visit, "topic_id", "Topic", owner)
    mails = Mails(UUID(topic) if topic else None, visit.field("from"))
    said = lines.lines_of(visit.field("steps"))
    steps = [await _step(connection, owner, n, text, mails) for n, text in enumerate(said, 1)]
    try:
        return workflow.from_json([{"key": "start", "type": "trigger", "config": trigger}, *steps], None)
    except Refused as error:
        raise _of_field(error, said) from None


async def _trigger(connection: Connection, visit: Visit, owner: UUID) -> dict[str, object]:
    match visit.field("begins"):
        case "event":
            return {"event_name": visit.field("event")}
        case "rule":
            return {
                "event_name": SCHEDULE, "rrule": visit.field("rule"), "start": visit.field("start"),
                "zone": visit.field("zone") or "UTC",
            }  # fmt: skip
        case "confirmed":
            segment = await chosen_id(connection, visit, "segment_id", "Segment", owner)
            within: dict[str, object] = {"segment_id": segment} if segment else {}
            return {"event_name": CONFIRMED, **within}
        case _:
            raise invalid("begins", "choose what begins it")


async def _step(connection: Connection, owner: UUID, number: int, text: str, mails: Mails) -> dict[str, object]:
    found = lines.parsed(text)
    if found is None:
        raise invalid("steps", f"line {number}, {text[:60]!r}, is no step: send=TEMPLATE, wait=3 days, broadcast=NAME")
    what, value = found
    if what == "broadcast":
        value = await named_id(connection, "Campaign", owner, value, "steps")
    elif what == "send":
        value = await _template(connection, owner, value)
    return lines.step(number, what, value, mails)


async def _template(connection: Connection, owner: UUID, text: str) -> str:
    """Its id or alias as it is, else the id of the one that is called so. Raises Refused."""
    try:
        await templates.find(connection, owner, text)
    except Refused:
        return await named_id(connection, "Template", owner, text, "steps")
    return text


def _of_field(error: Refused, said: Sequence[str]) -> Refused:
    """The field of the form for a place in the API's list, and of a step its line."""
    place = _PLACE.match(error.field)
    if place and 0 < int(place[1]) <= len(said):
        return invalid("steps", f"line {place[1]}, {said[int(place[1]) - 1][:60]!r}: {error.reason}")
    name = error.field.rpartition(".")[2]
    field = {"event_name": "event", "rrule": "rule"}.get(name, name)
    return invalid(field if field in FIELDS else "steps", error.reason)


def written(name: str, found: Workflow | None) -> tuple[Mapping[str, str], bool]:
    """The fields for one that is there, and whether lines can say its steps."""
    blank = dict.fromkeys(FIELDS, "") | {"name": name, "begins": "confirmed", "zone": "UTC"}
    if found is None:
        return blank, True
    said, trigger = lines.written(found), found.trigger
    steps, mails = said or ([], Mails())
    rule = trigger.recurrence
    return blank | {
        "begins": "rule" if rule else "confirmed" if trigger.event == CONFIRMED else "event",
        "event": "" if rule or trigger.event == CONFIRMED else trigger.event,
        "segment_id": str(trigger.segment_id or ""), "topic_id": str(mails.topic_id or ""), "from": mails.sender,
        "rule": rule.rule if rule else "", "start": _minute(rule.start) if rule else "",
        "zone": rule.zone if rule else "UTC", "steps": "\n".join(steps),
    }, said is not None and trigger.topic_id is None  # fmt: skip


def _minute(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M}"
