"""Operators are told when an IP begins to rest at a provider and when it is at its full rate there again, in the
transaction that changes it."""

from datetime import datetime

from pools.health import Condition, State
from store.database import Connection
from webhooks import outbox
from webhooks.kinds import EventType
from webhooks.outbox import OutboxEvent


async def tell_throttled(
    connection: Connection, ip: str, site: str, condition: Condition, reason: str, now: datetime
) -> None:
    """It rests from now on."""
    data = {
        "ip": ip,
        "provider": site,
        "class": condition.klass,
        "rule": condition.rule,
        "reply": condition.reply,
        "rest_until": condition.rest_until,
        "strikes": condition.strikes,
        "reason": reason,
    }
    await outbox.append(connection, [OutboxEvent(EventType.IP_THROTTLED, None, now, data, ip)])


async def tell_recovered(connection: Connection, ip: str, site: str, reason: str, now: datetime) -> None:
    """It is as any other again."""
    data = {"ip": ip, "provider": site, "reason": reason}
    await outbox.append(connection, [OutboxEvent(EventType.IP_RECOVERED, None, now, data, ip)])


def begins(was: str, became: str) -> bool:
    """A rest that begins; one that is made longer is not told again."""
    return became == State.THROTTLED and was != State.THROTTLED
