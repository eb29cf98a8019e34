"""The warm-ups in PostgreSQL: start, pause, resume, skip, step back, complete, and what is read of them.

Works on the caller's connection and never commits; every change of a stage goes with its line in `warmup_changes` and
with today's row of the ledger. Judging a day is for `warmup/progress`.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta
from typing import Any, Final, LiteralString
from uuid import UUID

import psycopg
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from alarms.model import AlarmKind
from alarms.repository import clear_all_about
from core.ids import uuid7
from core.refusal import conflict, not_found
from store.database import Connection
from store.partitions import STORY_DAYS
from warmup.model import Change, Day, Warmup, WarmupState
from warmup.plan import Plan, Transactional, as_dict, invalid_plan, parse
from warmup.progress import TrackState, TrackStatus
from warmup.reserving import SYNC
from warmup.telling import tell_change

_DAY: Final = timedelta(days=1)
_WHOLE_IP: Final = ""

_SELECT: Final[LiteralString] = (
    "SELECT ip, plan, state, transactional, moved_from, started_at, evaluated_to, ended_at FROM warmups "
)

_START = """
INSERT INTO warmups AS w (ip, plan, state, transactional, moved_from, started_at, evaluated_to, ended_at)
VALUES (%(ip)s, %(plan)s, 'active', %(transactional)s, %(moved_from)s, now(), %(yesterday)s, NULL)
ON CONFLICT (ip) DO UPDATE SET plan = excluded.plan, state = 'active', transactional = excluded.transactional,
  moved_from = excluded.moved_from, started_at = now(), evaluated_to = excluded.evaluated_to, ended_at = NULL
  WHERE w.state = 'complete'
"""


async def start(
    connection: Connection,
    ip: str,
    plan: Plan,
    *,
    transactional: Transactional = Transactional.SHARE,
    moved_from: str | None = None,
    by: str = "",
) -> Warmup:
    """Let an IP warm up from the first stage, today being the first day. Workers know within two seconds.

    `moved_from` is the IP whose traffic it takes over; both have to be in the same pools, so that what this one may not
    carry yet stays with the old one. Raises Refused: the IP is unknown, or warms up already.
    """
    for address in {ip, moved_from or ip}:
        await _must_exist(connection, address)
    if ip == moved_from:
        raise conflict(f"{ip} cannot take over its own traffic", code="same_ip")
    today = await _today(connection, plan)
    given = {
        "ip": ip,
        "plan": Jsonb(as_dict(plan) | {"caps": plan.caps()}),
        "transactional": transactional.value,
        "moved_from": moved_from,
        "yesterday": today - _DAY,
    }
    cursor = await connection.execute(_START, given)
    if cursor.rowcount == 0:
        old = await get(connection, ip)
        raise conflict(
            f"{ip} warms up by the plan {old.plan.name} already ({old.state.value}): complete it first",
            code="already_warming",
        )
    await connection.execute("DELETE FROM warmup_tracks WHERE ip = %s", [ip])
    await _looked_at(connection, ip)
    fresh = [TrackState(track, 1, TrackStatus.ACTIVE, today, today) for track in plan.weights]
    await write_tracks(connection, ip, fresh)
    moved = f", taking over from {moved_from}, which keeps what {ip} may not carry yet" if moved_from else ""
    reason = f"plan {plan.name}: {plan.last_stage} stages from {plan.stages[0]:,} to {plan.stages[-1]:,} a day{moved}"
    await note(connection, ip, _WHOLE_IP, "start", reason, by=by, stages=(None, 1))
    await sync(connection, ip)
    return await get(connection, ip)


async def pause(connection: Connection, ip: str, *, reason: str = "", by: str = "") -> Change:
    """Let the stages stand still; their caps stay in force. Raises Refused."""
    warmup = await locked(connection, ip)
    if warmup.state is not WarmupState.ACTIVE:
        raise conflict(f"the warm-up of {ip} is {warmup.state.value}", code="not_active")
    await connection.execute("UPDATE warmups SET state = 'paused' WHERE ip = %s", [ip])
    await _looked_at(connection, ip)
    return await note(connection, ip, _WHOLE_IP, "pause", reason or "paused by the operator", by=by)


async def resume(connection: Connection, ip: str, *, reason: str = "", by: str = "") -> Change:
    """Let the days count again, from today on. Raises Refused."""
    warmup = await locked(connection, ip)
    if warmup.state is not WarmupState.PAUSED:
        raise conflict(f"the warm-up of {ip} is {warmup.state.value}, not paused", code="not_paused")
    today = await _today(connection, warmup.plan)
    await connection.execute(
        "UPDATE warmups SET state = 'active', evaluated_to = greatest(evaluated_to, %s) WHERE ip = %s",
        [today - _DAY, ip],
    )
    await connection.execute("UPDATE warmup_tracks SET progress_at = %s WHERE ip = %s", [today, ip])
    return await note(connection, ip, _WHOLE_IP, "resume", reason or "resumed by the operator", by=by)


async def skip(connection: Connection, ip: str, track: str = "", *, reason: str = "", by: str = "") -> list[Change]:
    """One stage on, for one track or for all ("") that are not complete or on their last stage. Raises Refused."""
    return await _step(connection, ip, track, 1, reason or "skipped by the operator", by)


async def step_back(
    connection: Connection, ip: str, track: str = "", *, reason: str = "", by: str = ""
) -> list[Change]:
    """One stage back, for one track or for all (""); a complete one warms again on its last stage. Raises Refused.

    What was granted today stays granted: today's cap is lowered, but not below it.
    """
    return await _step(connection, ip, track, -1, reason or "stepped back by the operator", by)


async def complete(connection: Connection, ip: str, track: str = "", *, reason: str = "", by: str = "") -> list[Change]:
    """No caps any more, on one track or on all (""). Raises Refused."""
    warmup = await locked(connection, ip)
    chosen = [one for one in _chosen(await tracks(connection, ip), ip, track) if one.status is TrackStatus.ACTIVE]
    if not chosen:
        raise conflict(f"the warm-up of {ip} is complete already", code="already_complete")
    await write_tracks(connection, ip, [replace(one, status=TrackStatus.COMPLETE) for one in chosen])
    for one in chosen:
        await _looked_at(connection, ip, one.track)
    why = reason or "completed by the operator"
    changes = [
        await note(connection, ip, one.track, "complete", why, by=by, stages=(one.stage, warmup.plan.last_stage))
        for one in chosen
    ]
    left = [one for one in await tracks(connection, ip) if one.status is TrackStatus.ACTIVE]
    if not left:
        changes.append(await finish(connection, warmup, why, by=by))
    return changes


async def finish(connection: Connection, warmup: Warmup, why: str, *, by: str = "", day: date | None = None) -> Change:
    """Mark the IP as a whole as complete, and say what becomes of the one it took over from."""
    await connection.execute("UPDATE warmups SET state = 'complete', ended_at = now() WHERE ip = %s", [warmup.ip])
    await _looked_at(connection, warmup.ip)
    old = warmup.moved_from
    more = f"; {old}, whose traffic it took over, can be taken out of its pools or given less weight" if old else ""
    return await note(connection, warmup.ip, _WHOLE_IP, "complete", f"{why}{more}", by=by, day=day)


async def forget_ip(connection: Connection, ip: str) -> None:
    """The IP is removed: its warm-up ends, and nobody is told about it any more. The days of the ledger stay, so that
    an IP that is added again the same day cannot send more than its cap."""
    await connection.execute("DELETE FROM warmups WHERE ip = %s", [ip])
    await _looked_at(connection, ip)


async def get(connection: Connection, ip: str) -> Warmup:
    """One warm-up. Raises Refused when the IP has none."""
    found = await _read(connection, _SELECT + "WHERE ip = %(ip)s", ip)
    if not found:
        raise not_found(f"{ip} has no warm-up", code="not_warming")
    return found[0]


async def locked(connection: Connection, ip: str) -> Warmup:
    """The same with its row locked until the transaction ends: one change at a time. Raises Refused."""
    found = await _read(connection, _SELECT + "WHERE ip = %(ip)s FOR UPDATE", ip)
    if not found:
        raise not_found(f"{ip} has no warm-up", code="not_warming")
    return found[0]


async def every(connection: Connection) -> list[Warmup]:
    """All warm-ups, complete ones too, by address."""
    return await _read(connection, _SELECT + "ORDER BY ip", "")


async def tracks(connection: Connection, ip: str) -> list[TrackState]:
    """Where an IP stands, track by track."""
    cursor = await connection.execute(
        "SELECT track, stage, state, stage_since, progress_at, last_used FROM warmup_tracks WHERE ip = %s"
        " ORDER BY track = '*', track",
        [ip],
    )
    return [
        TrackState(track, stage, TrackStatus(state), since, progress, used)
        for track, stage, state, since, progress, used in await cursor.fetchall()
    ]


async def days(connection: Connection, ip: str, limit: int = 300) -> list[Day]:
    """Rows of the ledger, the newest day first."""
    cursor = await connection.execute(
        "SELECT ip, track, day, stage, cap, granted FROM warmup_days WHERE ip = %s ORDER BY day DESC, track LIMIT %s",
        [ip, limit],
    )
    return [Day(*row) for row in await cursor.fetchall()]


async def changes(connection: Connection, ip: str, track: str = "", limit: int = 100) -> list[Change]:
    """What changed and why, the newest first; of one track and of the IP as a whole when a track is given."""
    cursor = await connection.execute(
        "SELECT id, at, ip, track, day, change, from_stage, to_stage, reason, by FROM warmup_changes"
        " WHERE ip = %(ip)s AND (%(track)s = '' OR track IN (%(track)s, '')) ORDER BY id DESC LIMIT %(limit)s",
        {"ip": ip, "track": track, "limit": limit},
    )
    return [Change(*row) for row in await cursor.fetchall()]


async def write_tracks(connection: Connection, ip: str, states: Sequence[TrackState]) -> None:
    """Store where tracks stand."""
    await connection.execute(
        "INSERT INTO warmup_tracks AS t (ip, track, stage, state, stage_since, progress_at, last_used)"
        " SELECT %s, * FROM unnest(%s::text[], %s::int[], %s::text[], %s::date[], %s::date[], %s::date[])"
        " ON CONFLICT (ip, track) DO UPDATE SET stage = excluded.stage, state = excluded.state,"
        " stage_since = excluded.stage_since, progress_at = excluded.progress_at, last_used = excluded.last_used",
        [
            ip,
            [one.track for one in states],
            [one.stage for one in states],
            [one.status.value for one in states],
            [one.stage_since for one in states],
            [one.progress_at for one in states],
            [one.last_used for one in states],
        ],
    )


async def note(
    connection: Connection,
    ip: str,
    track: str,
    change: str,
    reason: str,
    *,
    by: str = "",
    day: date | None = None,
    stages: tuple[int | None, int | None] = (None, None),
) -> Change:
    """Write a line of history, and tell of it."""
    identifier: UUID = uuid7()
    cursor = await connection.execute(
        "INSERT INTO warmup_changes (id, ip, track, day, change, from_stage, to_stage, reason, by)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s) RETURNING at",
        [identifier, ip, track, day, change, *stages, reason, by],
    )
    row = await cursor.fetchone()
    assert row is not None
    made = Change(identifier, row[0], ip, track, day, change, *stages, reason, by)
    await tell_change(connection, made)
    return made


async def sync(connection: Connection, ip: str | None = None) -> None:
    """Bring today's rows of the ledger to the stages of their tracks; of every IP when none is given."""
    await connection.execute(SYNC, {"ip": ip})


async def _step(connection: Connection, ip: str, track: str, by_stages: int, reason: str, by: str) -> list[Change]:
    warmup = await locked(connection, ip)
    today = await _today(connection, warmup.plan)
    made: list[Change] = []
    for one in _chosen(await tracks(connection, ip), ip, track):
        if by_stages < 0 and one.status is TrackStatus.COMPLETE:
            stage = warmup.plan.last_stage
        elif one.status is TrackStatus.COMPLETE:
            continue
        else:
            stage = min(max(1, one.stage + by_stages), warmup.plan.last_stage)
            if stage == one.stage:
                continue
        progress = today if by_stages > 0 else one.progress_at
        moved = replace(one, stage=stage, status=TrackStatus.ACTIVE, stage_since=today, progress_at=progress)
        await write_tracks(connection, ip, [moved])
        await _looked_at(connection, ip, one.track)
        change = "skip" if by_stages > 0 else "step_back"
        made.append(await note(connection, ip, one.track, change, reason, by=by, stages=(one.stage, stage)))
    if not made:
        raise conflict(
            f"no track of {ip} has a stage {'above' if by_stages > 0 else 'below'} its own", code="no_such_stage"
        )
    if warmup.state is WarmupState.COMPLETE:
        await connection.execute("UPDATE warmups SET state = 'active', ended_at = NULL WHERE ip = %s", [ip])
    await sync(connection, ip)
    return made


async def _looked_at(connection: Connection, ip: str, track: str = "") -> None:
    """Somebody has acted on a warm-up, or it is over: a stall that lasts is told anew by the next judgement."""
    await clear_all_about(connection, [AlarmKind.WARMUP_STALLED], f"{ip} {track}" if track else ip)


def _chosen(states: Sequence[TrackState], ip: str, track: str) -> list[TrackState]:
    found = [one for one in states if track in ("", one.track)]
    if not found:
        names = ", ".join(one.track for one in states)
        raise not_found(f"the warm-up of {ip} has no track {track}; it has {names}", code="no_such_track")
    return found


async def _read(connection: Connection, statement: LiteralString, ip: str) -> list[Warmup]:
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(statement, {"ip": ip})
        return [_warmup(row) for row in await cursor.fetchall()]


def _warmup(row: dict[str, Any]) -> Warmup:
    fields = {name: value for name, value in row["plan"].items() if name != "caps"}
    return Warmup(
        row["ip"],
        parse(fields),
        WarmupState(row["state"]),
        Transactional(row["transactional"]),
        row["moved_from"],
        row["started_at"],
        row["evaluated_to"],
        row["ended_at"],
    )


async def _must_exist(connection: Connection, ip: str) -> None:
    cursor = await connection.execute("SELECT connections IS NOT NULL FROM egress_ips WHERE address = %s", [ip])
    row = await cursor.fetchone()
    if row is None:
        raise not_found(f"there is no IP {ip}: create it first, with its EHLO name", code="unknown_ip")
    if row[0]:
        raise conflict(f"{ip} is a relay: its owner's IPs are warm, and its limits are `--per-hour`", code="relay")


async def _today(connection: Connection, plan: Plan) -> date:
    """Today in the plan's zone, by the database's clock and its time zones. Raises Refused."""
    try:
        async with connection.transaction():
            row = await (await connection.execute("SELECT (now() AT TIME ZONE %s)::date", [plan.zone])).fetchone()
    except psycopg.errors.InvalidParameterValue:
        raise invalid_plan("zone", f"{plan.zone!r} is no time zone PostgreSQL knows") from None
    assert row is not None
    found: date = row[0]
    return found


async def forget_days(connection: Connection) -> None:
    """Retention: days of the ledger and changes past `STORY_DAYS`."""
    await connection.execute("DELETE FROM warmup_changes WHERE at < now() - make_interval(days => %s)", [STORY_DAYS])
    await connection.execute(
        "DELETE FROM warmup_days WHERE day < (now() - make_interval(days => %s))::date", [STORY_DAYS]
    )
