"""The tables `throttles` and `throttle_changes`: who rests where, and every change of it with its rule and reply.

A row is there only while there is something to say. `move` is the one way to change it: it holds the subject still,
puts the *stored* condition through a step of `pools/health`, writes what came out with its history and alarms, and
tells all workers when the transaction commits (`CHANNEL`). Two workers that meet the same throttle so write one.

Works on the caller's connection and never commits; every function that writes wants a transaction.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final, Literal, NamedTuple, cast

from psycopg.rows import TupleRow

from alarms.model import AlarmKind
from alarms.repository import clear_alarms, clear_all_about, raise_alarm
from core.ids import uuid7
from pools import health, telling
from pools.health import Condition, Event, State
from pools.model import EVERYWHERE
from store.database import Connection
from store.partitions import STORY_DAYS

CHANNEL: Final = "postlane_throttles"
"""Notifications carry `Key.text`."""

IDLE_DAYS: Final = 30
"""After so long without a change, what is known about a subject that does not rest is forgotten. An IP that was idle
for 30 days warms up again from a lower stage anyway."""

_ALARMS: Final = (AlarmKind.BLOCKLISTED, AlarmKind.LOCAL_ADDRESS)
_REASON_LENGTH = 500
_COLUMNS = "state, since, rest_until, rate, good, strikes, rule, class, reply, stepped_at"
_WHERE = "WHERE kind = %s AND subject = %s AND site = %s"

_READ = f"SELECT {_COLUMNS} FROM throttles {_WHERE} FOR UPDATE"
_READ_ALL = f"SELECT kind, subject, site, {_COLUMNS} FROM throttles"
_READ_SOME = f"""
SELECT t.kind, t.subject, t.site, {_COLUMNS}
  FROM unnest(%s::text[], %s::text[], %s::text[]) AS k(kind, subject, site) JOIN throttles t USING (kind, subject, site)
"""
_WRITE = f"""
INSERT INTO throttles (kind, subject, site, {_COLUMNS}) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (kind, subject, site) DO UPDATE SET ({_COLUMNS}) = (SELECT
  excluded.state, excluded.since, excluded.rest_until, excluded.rate, excluded.good, excluded.strikes, excluded.rule,
  excluded.class, excluded.reply, excluded.stepped_at)
"""
_CHANGED = """
INSERT INTO throttle_changes (id, at, kind, subject, site, was, became, reason, rule, reply, rest_until, rate, by)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
"""
_CHANGES = """
SELECT at, kind, subject, site, was, became, reason, rule, reply, rest_until, rate, by FROM throttle_changes
 WHERE kind = %s AND subject = %s AND (%s::text IS NULL OR site = %s) ORDER BY id DESC LIMIT %s
"""
_GONE = """
SELECT kind, subject, site FROM throttles t
 WHERE kind = 'ip' AND NOT EXISTS (SELECT FROM egress_ips WHERE address = t.subject)
    OR kind = 'domain' AND rule <> 'operator' AND NOT EXISTS (SELECT FROM domains WHERE name = t.subject)
 ORDER BY kind, subject, site
"""
_IDLE = """
SELECT kind, subject, site FROM throttles t
 WHERE greatest(since, stepped_at, rest_until) < now() - make_interval(days => %s) ORDER BY kind, subject, site
"""

Kind = Literal["ip", "domain"]
Step = Callable[[Condition | None], Condition | None]
"""What happens to a condition; pure."""


class Key(NamedTuple):
    """Who, and where."""

    kind: Kind
    subject: str
    """The public address of an IP, or a sending domain."""
    site: str

    @property
    def text(self) -> str:
        """For notifications and locks; none of the parts has a blank in it."""
        return " ".join(self)

    @property
    def named(self) -> str:
        """For alarms."""
        return self.subject if self.site == EVERYWHERE else f"{self.subject} at {self.site}"


def parse_key(text: str) -> Key | None:
    """The key that `Key.text` wrote; None for anything else."""
    parts = text.split(" ")
    if len(parts) != 3 or parts[0] not in ("ip", "domain"):
        return None
    return Key(cast(Kind, parts[0]), parts[1], parts[2])


@dataclass(frozen=True, slots=True)
class ThrottleRow:
    """A subject that is not healthy at a site."""

    key: Key
    condition: Condition


@dataclass(frozen=True, slots=True)
class ThrottleChange:
    """One change, as it was written down."""

    at: datetime
    key: Key
    was: str
    became: str
    reason: str
    rule: str
    reply: str
    rest_until: datetime | None
    rate: float | None
    by: str


@dataclass(frozen=True, slots=True)
class Figure:
    """One subject at one site for a gauge. Sites in no provider file count as "other", with the worst of them."""

    kind: str
    subject: str
    site: str
    state: State
    severity: int
    """1 recovering, 2 probing, 3 resting; a healthy subject (0) has no figure."""
    rate: float
    """Messages/s in force; 0 while it rests."""


_SEVERITY: Final = {State.HEALTHY: 0, State.RECOVERING: 1, State.PROBING: 2, State.THROTTLED: 3}


async def read(connection: Connection, keys: Iterable[Key] | None = None) -> dict[Key, Condition]:
    """Stored conditions of these keys, or of all."""
    if keys is None:
        cursor = await connection.execute(_READ_ALL)
    else:
        wanted = list(keys)
        cursor = await connection.execute(_READ_SOME, [[key[part] for key in wanted] for part in range(3)])
    return {Key(row[0], row[1], row[2]): _condition(row[3:]) for row in await cursor.fetchall()}


async def current(connection: Connection) -> list[ThrottleRow]:
    """Everything that is not healthy now, by kind, subject and site. A rest that is over shows as probing, even if no
    mail has come to use it."""
    now = await _now(connection)
    rows = await read(connection)
    return [ThrottleRow(key, health.at(rows[key], now)) for key in sorted(rows)]


async def changes(
    connection: Connection, kind: Kind, subject: str, site: str | None, limit: int
) -> list[ThrottleChange]:
    """The last changes of a subject, at one site or at all, newest first."""
    cursor = await connection.execute(_CHANGES, [kind, subject, site, site, limit])
    return [ThrottleChange(row[0], Key(row[1], row[2], row[3]), *row[4:]) for row in await cursor.fetchall()]


async def override(
    connection: Connection, kind: Kind, subject: str, site: str, reason: str, by: str
) -> Condition | None:
    """End a rest (probing from now) or a slow return (full rate from now), with the operator's reason written down.
    None, and nothing done, when there is neither."""
    now = await _now(connection)
    key = Key(kind, subject, site)
    was = (await read(connection, [key])).get(key)
    if was is None or health.overridden(was, now) == health.at(was, now):
        return None
    return await move(connection, key, _if_any(partial(health.overridden, now=now)), now, by, f"override: {reason}")


async def rest_now(
    connection: Connection, kind: Kind, subject: str, site: str, *, until: datetime, reason: str, by: str
) -> Condition:
    """Rest a subject at a site by hand, until a time (UTC) that may be later than any rest of a policy.

    Raises `ValueError` when that time is not in the future.
    """
    now = await _now(connection)
    if until <= now:
        raise ValueError(f"a rest until {until:%Y-%m-%d %H:%M:%S} UTC would be over already")
    step = partial(health.rested, until=until, reason=reason, now=now)
    after = await move(connection, Key(kind, subject, site), step, now, by, f"by hand: {reason}")
    assert after is not None
    return after


async def figures(connection: Connection) -> list[Figure]:
    """State and rate of whatever is not healthy, one per kind, subject and provider."""
    found: dict[tuple[str, str, str], Figure] = {}
    for row in await current(connection):
        kind, subject, _ = row.key
        state = row.condition.state
        site = label(row.key.site)
        rate = 0.0 if state is State.THROTTLED else row.condition.rate
        figure = Figure(kind, subject, site, state, _SEVERITY[state], rate)
        other = found.get((kind, subject, site))
        if other is None or other.severity < figure.severity:
            found[kind, subject, site] = figure
    return list(found.values())


def label(site: str) -> str:
    """The site as a label of a metric: small domains share one, or there would be a series for each of their hosts."""
    return "other" if site.startswith("mx:") else site


async def forget_idle(connection: Connection, days: int = IDLE_DAYS) -> int:
    """Forget subjects that nobody has used for so long; returns how many. What rests by hand stays as long as asked."""
    now = await _now(connection)
    cursor = await connection.execute(_IDLE, [days])
    keys = [Key(*row) for row in await cursor.fetchall()]
    before = now - timedelta(days=days)
    for key in keys:
        await move(connection, key, partial(_lapsed, before=before), now, "scheduler", f"nothing sent for {days} days")
    return len(keys)


async def forget_ip(connection: Connection, address: str, by: str) -> None:
    """An IP is removed: nothing rests any more, no alarm about it stays open, and all workers hear of it."""
    cursor = await connection.execute("SELECT site FROM throttles WHERE kind = 'ip' AND subject = %s", [address])
    for site in sorted(site for (site,) in await cursor.fetchall()):
        await _drop(connection, Key("ip", address, site), by, "the IP was removed")
    await clear_all_about(connection, _ALARMS, address)


async def forget_gone(connection: Connection) -> int:
    """The same for every IP and domain that is there no more; returns how many rows there were. A rest that an operator
    asked for may be about a domain that is still to come."""
    cursor = await connection.execute(_GONE)
    keys = [Key(*row) for row in await cursor.fetchall()]
    for key in keys:
        await _drop(connection, key, "scheduler", "it was removed")
    return len(keys)


async def try_anew(connection: Connection, address: str, by: str) -> None:
    """An IP is used in another way from now on: it rests no longer because its old way was broken."""
    key = Key("ip", address, EVERYWHERE)
    condition = (await read(connection, [key])).get(key)
    if condition is not None and condition.rule != "operator":
        await override(connection, *key, "the IP was changed", by)


async def forget(connection: Connection) -> None:
    """Retention: subjects nobody has used lately, and changes past `STORY_DAYS`."""
    await forget_idle(connection)
    await connection.execute("DELETE FROM throttle_changes WHERE at < now() - make_interval(days => %s)", [STORY_DAYS])


async def move(
    connection: Connection, key: Key, step: Step, now: datetime, by: str, reason: str = ""
) -> Condition | None:
    """Put the stored condition through `step`; write the result, its history and its alarms; tell the others.

    Wants a transaction, and keys in their order when it makes several moves. `reason` replaces the words that
    `pools/health` has for the move. Returns the condition that is stored now.
    """
    # A row that is missing cannot be locked; two workers may meet the first throttle in the same millisecond.
    await connection.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [key.text])
    cursor = await connection.execute(_READ, key)
    row = await cursor.fetchone()
    before = _condition(row) if row else None
    after = step(before)
    if after == before:
        return after
    await _store(connection, key, after)
    changed = health.change(before, after)
    if changed is not None:
        await _keep(connection, key, after, [now, changed.was, changed.became, reason or changed.reason, by])
        await _alarm(connection, key, before, after)
        await _tell(connection, key, after, changed, reason, now)
        await connection.execute("SELECT pg_notify(%s, %s)", [CHANNEL, key.text])
    return after


async def _drop(connection: Connection, key: Key, by: str, reason: str) -> None:
    await move(connection, key, lambda _: None, await _now(connection), by, reason)


async def _store(connection: Connection, key: Key, after: Condition | None) -> None:
    if after is None:
        await connection.execute(f"DELETE FROM throttles {_WHERE}", key)
        return
    await connection.execute(
        _WRITE,
        [
            *key, after.state.value, after.since, after.rest_until, after.rate, after.good, after.strikes, after.rule,
            after.klass, _text(after.reply), after.stepped_at,
        ],
    )  # fmt: skip


async def _keep(connection: Connection, key: Key, after: Condition | None, facts: list[Any]) -> None:
    """`facts`: time, was, became, reason, by."""
    at, was, became, reason, by = facts
    evidence = (after.rule, _text(after.reply)) if after and after.state is State.THROTTLED else ("", "")
    until = after.rest_until if after and after.state is State.THROTTLED else None
    rate = after.rate if after else None
    await connection.execute(
        _CHANGED, [uuid7(), at, *key, was, became, _text(reason)[:_REASON_LENGTH], *evidence, until, rate, by]
    )


async def _tell(
    connection: Connection, key: Key, after: Condition | None, changed: health.Change, reason: str, now: datetime
) -> None:
    """A rest that begins, and the end of what came of it by itself: not one that was forgotten."""
    if key.kind != "ip":
        return
    if after is not None and telling.begins(changed.was, changed.became):
        await telling.tell_throttled(connection, key.subject, key.site, after, reason or changed.reason, now)
    elif after is None and not reason:
        await telling.tell_recovered(connection, key.subject, key.site, changed.reason, now)


async def _alarm(connection: Connection, key: Key, before: Condition | None, after: Condition | None) -> None:
    if after is None:
        await clear_alarms(connection, _ALARMS, key.named)
        return
    struck = before is None or after.strikes > before.strikes or after.klass != before.klass
    if not struck or after.klass == "manual":
        return
    if after.klass == health.BLOCKLISTED:
        await raise_alarm(connection, AlarmKind.BLOCKLISTED, key.named, health.why(after))
    elif key.kind == "ip" and key.site == EVERYWHERE:
        await raise_alarm(connection, AlarmKind.LOCAL_ADDRESS, key.named, health.why(after))


def _if_any(step: Callable[[Condition], Condition]) -> Step:
    """A step that leaves a healthy subject alone."""
    return lambda condition: None if condition is None else step(condition)


def _lapsed(condition: Condition | None, before: datetime) -> Condition | None:
    """Healthy, unless somebody has used it since or an operator's rest still holds."""
    if condition is None or max(condition.since, condition.stepped_at, condition.rest_until or before) >= before:
        return condition
    idle = health.at(condition, before)
    return None if Event.LAPSE in health.MOVES[idle.state] else condition


async def _now(connection: Connection) -> datetime:
    cursor = await connection.execute("SELECT clock_timestamp()")
    row = await cursor.fetchone()
    assert row is not None
    moment: datetime = row[0]
    return moment


def _condition(row: TupleRow) -> Condition:
    return Condition(State(row[0]), *row[1:])


def _text(text: str) -> str:
    """Replies are printable by contract; should more come through, the throttle must be stored all the same."""
    return text.replace("\x00", "").encode("utf-8", "backslashreplace").decode("utf-8")
