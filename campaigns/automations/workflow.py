"""The steps of an automation: from JSON as the API takes it (Resend's shape) to values and back. Pure.

Steps form one chain from the trigger; `connections` say their order, and may be left out where they stand in it. Delays
and mails, no branches: a step of another type is refused by its name.
"""

import itertools
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from audience.newly_confirmed import CONFIRMED
from campaigns.automations import recurrence
from campaigns.automations.model import OURS, SCHEDULE, Delay, SendBroadcast, SendEmail, Step, Trigger, Workflow
from campaigns.automations.payload import plain
from core.addresses import AddressError, parse_mailbox
from core.refusal import Refused, invalid
from messages.limits import MAX_SUBJECT
from templates.render import RenderError, compile_line

MOST_STEPS: Final = 50
MOST_EVENT_NAME: Final = 200
LONGEST_DELAY: Final = timedelta(days=366)
_MOST_KEY: Final = 100
_RESERVED: Final = ("resend:", "postlane:")
_UNITS: Final = {"second": 1, "minute": 60, "hour": 3600, "day": 86400, "week": 604800}
_DURATION: Final = re.compile(r"\s*([0-9]{1,8})\s*(second|minute|hour|day|week)s?\s*", re.ASCII | re.IGNORECASE)

_Config = Mapping[str, Any]


def from_json(steps: object, connections: object) -> Workflow:
    """What was given. Raises Refused naming the field."""
    given = _objects("steps", steps)
    if not 2 <= len(given) <= MOST_STEPS + 1:
        raise invalid("steps", f"they must be a trigger and 1 to {MOST_STEPS} steps behind it")
    keys = [_key(one, n) for n, one in enumerate(given)]
    if len(set(keys)) < len(keys):
        raise invalid("steps", "two of them have the same key")
    triggers = [n for n, one in enumerate(given) if one.get("type") == "trigger"]
    if len(triggers) != 1:
        raise invalid("steps", "one of them, and only one, must be of type trigger")
    order = _order(keys, triggers[0], connections)
    trigger = _trigger(keys[triggers[0]], _config(given[triggers[0]], triggers[0]), f"steps[{triggers[0]}].config")
    return _fitting(Workflow(trigger, tuple(_step(keys[n], given[n], n) for n in order[1:])))


def _fitting(workflow: Workflow) -> Workflow:
    """Raises Refused where trigger and steps do not belong together."""
    if not any(not isinstance(step, Delay) for step in workflow.steps):
        raise invalid("steps", "nothing is sent: one of them must be of type send_email or send_broadcast")
    if workflow.trigger.event == SCHEDULE:
        if len(workflow.steps) != 1 or not isinstance(workflow.steps[0], SendBroadcast):
            raise invalid("steps", f"behind {SCHEDULE} stands one step of type send_broadcast")
    elif any(isinstance(step, SendBroadcast) for step in workflow.steps):
        raise invalid("steps", f"send_broadcast goes with the event {SCHEDULE}: a person of a run gets a template")
    return workflow


def to_json(workflow: Workflow) -> tuple[list[dict[str, object]], list[dict[str, object]]]:
    """Steps and connections, as they are stored and shown."""
    trigger = workflow.trigger
    steps: list[dict[str, object]] = [{"key": trigger.key, "type": "trigger", "config": _shown_trigger(trigger)}]
    for step in workflow.steps:
        steps.append({"key": step.key, "type": kind_of(step), "config": _shown(step)})
    keys = [str(one["key"]) for one in steps]
    return steps, [{"from": one, "to": other, "type": "default"} for one, other in itertools.pairwise(keys)]


def kind_of(step: Step) -> str:
    """The word for it."""
    return next(name for name, (kind, _) in _STEPS.items() if isinstance(step, kind))


def next_mail(steps: Sequence[Step], position: int) -> tuple[int, timedelta] | None:
    """The first step from here on that sends, and how long to wait for it; None: there is none."""
    wait = timedelta()
    for n, step in enumerate(steps[position:], position):
        if not isinstance(step, Delay):
            return n, wait
        wait += step.wait
    return None


def event_name(name: object, field: str = "name", *, ours: bool = False) -> str:
    """The name of an event. Raises Refused: it cannot be one, or belongs to us."""
    if not isinstance(name, str) or not 0 < len(name.strip()) <= MOST_EVENT_NAME or not name.isprintable():
        raise invalid(field, f"it must be one line of 1 to {MOST_EVENT_NAME} characters, such as user.created")
    if name.lower().startswith(_RESERVED) and not (ours and name in OURS):
        known = f" but {', '.join(sorted(OURS))}" if ours else ""
        raise invalid(field, f"names do not begin with {' or '.join(_RESERVED)}{known}")
    return name.strip()


def resolved(variables: Mapping[str, object], seen: Mapping[str, object]) -> dict[str, object]:
    """The variables of a step with what they refer to; a reference to what is not there is left out."""
    found: dict[str, object] = {}
    for name, value in variables.items():
        if isinstance(value, Mapping):
            value = _at(seen, str(value["var"]))
        if value is not None:
            found[name] = value
    return found


def _at(seen: object, path: str) -> object:
    for part in path.split("."):
        if not isinstance(seen, Mapping):
            return None
        seen = seen.get(part)
    return seen


def _objects(field: str, given: object) -> list[_Config]:
    if not isinstance(given, list) or not all(isinstance(one, Mapping) for one in given):
        raise invalid(field, "it must be a list of objects")
    return given


def _key(given: _Config, n: int) -> str:
    key = given.get("key")
    if not isinstance(key, str) or not 0 < len(key) <= _MOST_KEY or not key.isprintable():
        raise invalid(f"steps[{n}].key", f"it must have 1 to {_MOST_KEY} characters")
    return key


def _config(given: _Config, n: int) -> _Config:
    config = given.get("config")
    if not isinstance(config, Mapping):
        raise invalid(f"steps[{n}].config", "it must be an object")
    return config


def _order(keys: Sequence[str], first: int, connections: object) -> list[int]:
    """Numbers of the steps along the chain. Raises Refused: it is none."""
    if connections is None:
        return [first, *(n for n in range(len(keys)) if n != first)]
    follows: dict[str, str] = {}
    for n, one in enumerate(_objects("connections", connections)):
        if one.get("type") not in (None, "default"):
            raise invalid(f"connections[{n}].type", "only default: there are no branches")
        source, target = str(one.get("from")), str(one.get("to"))
        if source not in keys or target not in keys:
            raise invalid(f"connections[{n}]", "it names a step that is not there")
        if source in follows:
            raise invalid(f"connections[{n}]", f"two steps follow {source!r}: there are no branches")
        follows[source] = target
    order = [first]
    while keys[order[-1]] in follows and len(order) <= len(keys):
        order.append(keys.index(follows[keys[order[-1]]]))
    if len(order) != len(keys) or len(set(order)) != len(keys):
        raise invalid("connections", "they must lead from the trigger through every step, once")
    return order


def _trigger(key: str, config: _Config, place: str) -> Trigger:
    name = event_name(config.get("event_name"), f"{place}.event_name", ours=True)
    extra = {CONFIRMED: {"segment_id", "topic_id"}, SCHEDULE: {"rrule", "start", "zone"}}.get(name, set())
    _only(config, {"event_name", *extra}, place)
    if name == SCHEDULE:
        try:
            rule = recurrence.checked(config.get("rrule"), config.get("start"), config.get("zone") or "UTC")
        except Refused as error:
            raise invalid(f"{place}.{error.field}", error.reason) from None
        return Trigger(key, name, recurrence=rule)
    return Trigger(key, name, _id(config, "segment_id", place), _id(config, "topic_id", place))


def _step(key: str, given: _Config, n: int) -> Step:
    known = _STEPS.get(str(given.get("type")))
    if known is None:
        there = ", ".join(_STEPS)
        raise invalid(f"steps[{n}].type", f"there is no step {str(given.get('type'))[:40]!r} here, only {there}")
    return known[1](key, _config(given, n), f"steps[{n}].config")


def _delay(key: str, config: _Config, place: str) -> Delay:
    _only(config, {"duration", "seconds"}, place)
    text = config.get("duration")
    if text is None and isinstance(config.get("seconds"), int):
        text = f"{config['seconds']} seconds"
    match = _DURATION.fullmatch(text) if isinstance(text, str) else None
    wait = timedelta(seconds=int(match[1]) * _UNITS[match[2].lower()]) if match else timedelta()
    if not timedelta() < wait <= LONGEST_DELAY:
        raise invalid(f"{place}.duration", f"it must be a time such as 3 days, at most {LONGEST_DELAY.days} days")
    return Delay(key, wait, " ".join(str(text).split()))


def _send_email(key: str, config: _Config, place: str) -> SendEmail:
    _only(config, {"template", "subject", "from", "reply_to", "topic_id"}, place)
    template = config.get("template")
    template = {"id": template} if isinstance(template, str) else template
    if not isinstance(template, Mapping) or not isinstance(template.get("id"), str) or not template["id"]:
        raise invalid(f"{place}.template", "it must be an object with the `id` or alias of a template")
    _only(template, {"id", "variables"}, f"{place}.template")
    sender = _line(config, "from", place)
    if sender:
        _mailbox(sender, f"{place}.from")
    reply_to = config.get("reply_to") or []
    reply_to = [reply_to] if isinstance(reply_to, str) else reply_to
    if not isinstance(reply_to, list) or len(reply_to) > 20:
        raise invalid(f"{place}.reply_to", "it must be an address, or a list of them")
    for text in reply_to:
        _mailbox(text, f"{place}.reply_to")
    return SendEmail(
        key, template["id"][:200], _variables(template.get("variables"), f"{place}.template.variables"),
        _subject(config, place), sender, tuple(reply_to), _id(config, "topic_id", place),
    )  # fmt: skip


def _send_broadcast(key: str, config: _Config, place: str) -> SendBroadcast:
    _only(config, {"broadcast_id"}, place)
    found = _id(config, "broadcast_id", place)
    if found is None:
        raise invalid(f"{place}.broadcast_id", "it must be the id of a broadcast, which is copied")
    return SendBroadcast(key, found)


_STEPS: Final[Mapping[str, tuple[type, Callable[[str, _Config, str], Step]]]] = {
    "delay": (Delay, _delay),
    "send_email": (SendEmail, _send_email),
    "send_broadcast": (SendBroadcast, _send_broadcast),
}


def _variables(given: object, place: str) -> Mapping[str, object]:
    found = plain(place, given)
    for name, value in found.items():
        if isinstance(value, Mapping) and not (set(value) == {"var"} and isinstance(value["var"], str)):
            raise invalid(f"{place}.{name[:60]}", 'it must be a value, or {"var": "event.plan"}')
    return found


def _subject(config: _Config, place: str) -> str:
    subject = _line(config, "subject", place)
    try:
        compile_line(subject)
    except RenderError as error:
        raise invalid(f"{place}.subject", str(error)) from None
    return subject


def _line(config: _Config, name: str, place: str) -> str:
    text = config.get(name)
    if text is None:
        return ""
    if not isinstance(text, str) or len(text) > MAX_SUBJECT or "\0" in text:
        raise invalid(f"{place}.{name}", f"it must be a text of at most {MAX_SUBJECT} characters")
    return text


def _mailbox(text: object, field: str) -> None:
    try:
        parse_mailbox(str(text))
    except AddressError as error:
        raise invalid(field, error.reason) from None


def _id(config: _Config, name: str, place: str) -> UUID | None:
    value = config.get(name)
    if value in (None, ""):
        return None
    try:
        return UUID(str(value))
    except ValueError:
        raise invalid(f"{place}.{name}", "it must be an id") from None


def _only(given: Iterable[str], known: set[str], place: str) -> None:
    if unknown := sorted(set(given) - known):
        raise invalid(f"{place}.{unknown[0][:60]}", f"there is no such part, only {', '.join(sorted(known))}")


def _shown_trigger(trigger: Trigger) -> dict[str, object]:
    shown: dict[str, object] = {"event_name": trigger.event}
    ids = {"segment_id": trigger.segment_id, "topic_id": trigger.topic_id}
    shown |= {name: str(value) for name, value in ids.items() if value is not None}
    if trigger.recurrence is not None:
        rule = trigger.recurrence
        shown |= {"rrule": rule.rule, "start": rule.start.isoformat(), "zone": rule.zone}
    return shown


def _shown(step: Step) -> dict[str, object]:
    if isinstance(step, Delay):
        return {"duration": step.text}
    if isinstance(step, SendBroadcast):
        return {"broadcast_id": str(step.broadcast_id)}
    shown: dict[str, object] = {"template": {"id": step.template, "variables": dict(step.variables)}}
    texts = {"subject": step.subject, "from": step.sender, "reply_to": list(step.reply_to)}
    shown |= {name: value for name, value in texts.items() if value}
    return shown | ({"topic_id": str(step.topic_id)} if step.topic_id else {})
