"""What the pages of webhooks say in words. Pure."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from console.shown import lasting, plural, relative
from webhooks.choosing import FOR_OPERATORS
from webhooks.events import Attempt
from webhooks.kinds import MEANINGS, EventType
from webhooks.standing import MOST, Standing, Tally

STATES: Final[Mapping[str, tuple[str, str]]] = {
    "pending": ("queued", "waits"),
    "attempting": ("deferred", "tried again"),
    "success": ("delivered", "taken"),
    "failed": ("failed", "given up"),
}
"""State of an event → the state whose sign it takes, and how it is said."""
TABS: Final = (
    ("", "All"), ("pending", "Waiting"), ("attempting", "Tried again"), ("success", "Taken"), ("failed", "Given up"),
)  # fmt: skip
WHICH: Final = (
    ("failed", "what was given up"),
    ("unsent", "that, and what still waits"),
    ("all", "everything, taken or not"),
)
AGAIN: Final[Mapping[str, str]] = {
    "failed": "given up", "unsent": "given up or still waiting", "all": "taken or not",
}  # fmt: skip
"""The same, of events that are sent again."""
_SHORT: Final = 200
"""Characters of an answer beside its event."""

_GROUPS: Final = (
    ("email", "Mail"), ("contact", "Contacts"), ("topic", "Topics"), ("domain", "Domains"),
    ("suppression", "Suppressions"), ("ip", "IPs"), ("warmup", "Warm-up"), ("alarm", "Alarms"),
)  # fmt: skip


def groups(*, operators: bool | None) -> list[tuple[str, list[tuple[str, str]]]]:
    """Types of events with their meaning, by noun. `operators`: only theirs, only those of applications, or all."""
    allowed = [kind for kind in EventType if operators is None or (kind in FOR_OPERATORS) is operators or _both(kind)]
    found = [(title, [(k.value, MEANINGS[k]) for k in allowed if _noun(k) == noun]) for noun, title in _GROUPS]
    return [(title, kinds) for title, kinds in found if kinds]


def _both(kind: EventType) -> bool:
    return _noun(kind) == "suppression"


def _noun(kind: EventType) -> str:
    return kind.value.partition(".")[0]


def many(count: int) -> str:
    """A number that is counted up to a bound only."""
    return f"over {MOST:,}" if count > MOST else f"{count:,}"


def events(count: int) -> str:
    """1 event, 2 events."""
    return f"{many(count)} event{'s' * (count != 1)}"


def stands(one: Standing) -> tuple[str, str]:
    """How an endpoint stands: the state whose sign it takes, and how it is said."""
    if one.endpoint.status == "disabled":
        return ("failed", "switched off by us") if one.endpoint.disabled_reason else ("disabled", "switched off")
    if one.endpoint.failing_since is not None:
        return "failed", "takes nothing"
    if one.failed:
        return "deferred", "missed some"
    return ("delivered", "takes all") if one.last_taken else ("queued", "not told yet")


def overall(tally: Tally) -> str:
    """Whether everybody hears everything: for the list."""
    if not tally.all:
        return "Nobody is told yet: no endpoint was made."
    told = [*_troubles(tally), *_missed(tally)]
    if told:
        return f"Not everything. {' '.join(told)}"
    on = tally.all - tally.off
    if not on:
        return f"{_off(tally.off)}, so nothing is told to anybody."
    said = f"Yes: {plural(on, 'endpoint takes', 'endpoints take')} what happens"
    rest = f"; {events(tally.waiting)} on the way" if tally.waiting else ", and nothing waits"
    return f"{said}{rest}.{f' {_off(tally.off)}.' if tally.off else ''}"


def _troubles(tally: Tally) -> list[str]:
    found = []
    if tally.failing:
        found.append(
            f"{tally.failing} of {plural(tally.all, 'endpoint')} {_take(tally.failing)} nothing at the moment."
        )
    if tally.given_up:
        found.append(f"{plural(tally.given_up, 'was', 'were')} switched off by us, because nothing was taken for days.")
    return found


def _missed(tally: Tally) -> list[str]:
    if not tally.failed:
        return []
    where = "one endpoint" if tally.missing == 1 else f"{tally.missing:,} endpoints"
    was = "was" if tally.failed == 1 else "were"
    return [f"{events(tally.failed)} of {where} {was} given up, and can be sent again."]


def _take(count: int) -> str:
    return "takes" if count == 1 else "take"


def _off(count: int) -> str:
    return f"{plural(count, 'endpoint is', 'endpoints are')} switched off"


def heard(one: Standing, last: Attempt | None, now: datetime) -> str:
    """Whether an endpoint heard everything: for its page. `last`: the last try of an event that is tried again."""
    endpoint = one.endpoint
    waits = f" {events(one.waiting)} from before {'waits' if one.waiting == 1 else 'wait'}." if one.waiting else ""
    if endpoint.status == "disabled":
        why = f" by us: {endpoint.disabled_reason}" if endpoint.disabled_reason else ""
        return f"No: it is switched off{why}. Nothing that happens is kept for it.{waits}"
    if endpoint.failing_since is not None:
        long = lasting(max(0.0, (now - endpoint.failing_since).total_seconds()))
        said = f", the last answer was {answered(last)}" if last else ""
        return f"No: nothing was taken for {long}{said}.{_tried(one.waiting)}"
    if one.failed:
        given_up = "was given up and can" if one.failed == 1 else "were given up and can"
        return f"Not everything: {events(one.failed)} {given_up} be sent again.{_last(one, now)}"
    if one.waiting:
        return f"Yes, but for {events(one.waiting)} on the way.{_last(one, now)}"
    if one.last_taken is None:
        return "It was told of nothing yet: it hears what happens from now on."
    return f"Yes: everything was taken, the last {relative(one.last_taken, now)}."


def _tried(count: int) -> str:
    if not count:
        return ""
    told = events(count)
    return f" {told[:1].upper()}{told[1:]} {'waits and is' if count == 1 else 'wait and are'} tried again."


def _last(one: Standing, now: datetime) -> str:
    return f" The last was taken {relative(one.last_taken, now)}." if one.last_taken else ""


def answered(attempt: Attempt) -> str:
    """An answer in a few words."""
    if attempt.status is None:
        return f"none: {attempt.error}"
    return f"{attempt.status} after {lasting(attempt.duration_ms / 1000)}"


def shortened(text: str) -> str:
    """The beginning of an answer."""
    return text if len(text) <= _SHORT else f"{text[:_SHORT]} …"
