"""Operators are told of every step of a warm-up, in the transaction that makes it."""

from collections.abc import Mapping
from typing import Final

from store.database import Connection
from warmup.model import Change
from webhooks import outbox
from webhooks.kinds import EventType
from webhooks.outbox import OutboxEvent

_TOLD: Final[Mapping[str, EventType]] = {
    "start": EventType.WARMUP_STARTED,
    "rewarm": EventType.WARMUP_STARTED,
    "active": EventType.WARMUP_STARTED,
    "advance": EventType.WARMUP_ADVANCED,
    "skip": EventType.WARMUP_ADVANCED,
    "hold": EventType.WARMUP_HELD,
    "step_back": EventType.WARMUP_STEPPED_BACK,
    "pause": EventType.WARMUP_PAUSED,
    "resume": EventType.WARMUP_RESUMED,
    "complete": EventType.WARMUP_COMPLETED,
}


async def tell_change(connection: Connection, change: Change) -> None:
    """Tell of one line of the history."""
    kind = _TOLD.get(change.change)
    if kind is None:
        return
    data = {
        "ip": change.ip,
        "provider": change.track,
        "day": change.day,
        "change": change.change,
        "from_stage": change.from_stage,
        "to_stage": change.to_stage,
        "reason": change.reason,
        "by": change.by,
    }
    await outbox.append(connection, [OutboxEvent(kind, None, change.at, data, change.ip)])
