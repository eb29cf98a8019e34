"""The history of an IP at a provider: how it stands now, and the last changes with their rule and reply, in sentences.

Merges what providers and operators did to the IP (`throttle_changes`, pauses included) with its warm-up
(`warmup_changes`). Reads only.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from mta.providers import OTHER
from pools.health import State
from pools.ip_status import IpStatus, ago
from pools.model import EVERYWHERE
from pools.throttle_repository import ThrottleRow
from store.database import Connection

MOST: Final = 500
"""Lines of one history."""

_CHANGES: Final = """
SELECT at, site, was, became, reason, rule, reply, rest_until, rate, by, 'throttle' AS source, id FROM throttle_changes
 WHERE kind = 'ip' AND subject = %(ip)s AND (%(all)s OR site = ANY(%(sites)s) OR (%(other)s AND site LIKE 'mx:%%'))
UNION ALL
SELECT at, track, coalesce(from_stage::text, ''), coalesce(to_stage::text, ''), reason, change, '', NULL, NULL, by,
       'warmup', id FROM warmup_changes
 WHERE ip = %(ip)s AND (%(all)s OR track = '' OR track =
   CASE WHEN EXISTS (SELECT FROM warmup_tracks t WHERE t.ip = %(ip)s AND t.track = %(site)s)
        THEN %(site)s ELSE '*' END)
 ORDER BY at DESC, id DESC LIMIT %(limit)s
"""


@dataclass(frozen=True, slots=True)
class Line:
    """One change."""

    at: datetime
    source: str
    """`throttle` or `warmup`."""
    site: str
    """Provider, `mx:<server>`, or `*` for all of them; of a warm-up its track."""
    was: str
    became: str
    """States of a throttle; stages of a warm-up."""
    text: str
    """The change in a sentence."""
    rule: str
    """Rule of the reply; of a warm-up, the kind of change."""
    reply: str
    """What the provider said."""
    rest_until: datetime | None
    rate: float | None
    """Messages/s in force after it."""
    by: str
    """Who saw or did it."""


async def history(connection: Connection, ip: str, site: str, limit: int) -> list[Line]:
    """The last changes of an IP at a site (or provider), newest first; at all of them when `site` is ""."""
    cursor = await connection.execute(
        _CHANGES,
        {"ip": ip, "site": site, "all": not site, "sites": [site, EVERYWHERE], "other": site == OTHER, "limit": limit},
    )
    return [_line(*row[:-1]) for row in await cursor.fetchall()]


def now_lines(standing: IpStatus, site: str, now: datetime) -> list[str]:
    """How the IP stands at this moment, the gravest first; at all sites when `site` is ""."""
    lines = []
    if not standing.ip.active:
        lines.append(f"paused by an operator: {standing.ip.paused_reason or 'no reason was given'}")
    for row in standing.throttles:
        if not site or row.key.site in (site, EVERYWHERE) or (site == OTHER and row.key.site.startswith("mx:")):
            lines.append(condition_line(row, now))
    warming = standing.warming
    if warming is not None:
        own = {track.track for track in warming.tracks}
        shown = {site if site in own else EVERYWHERE} if site else own
        for track in warming.tracks:
            if track.track in shown:
                lines.append(_warming_line(track.track, track.stage, warming.stages, track.cap, track.granted))
        if warming.state == "paused":
            lines.append("its warm-up is paused: it stays at its stage")
    return lines or [f"healthy{f' at {site}' if site else ''}: sends without limits of its own"]


def condition_line(row: ThrottleRow, now: datetime) -> str:
    """One throttle as a sentence."""
    condition, where = row.condition, place(row.key.site)
    if condition.state is State.THROTTLED:
        until = condition.rest_until
        end = f"until {until:%Y-%m-%d %H:%M:%S} UTC, for {ago(now, until)} more" if until else "until it is changed"
        return f"rests {where} {end} ({condition.rule})"
    if condition.state is State.PROBING:
        return f"probes {where}: a few mails find out whether the rest was long enough"
    return f"recovers {where}: {condition.rate:.3g} mails a second now, more with each step"


def place(site: str) -> str:
    """A site in a sentence."""
    if site == EVERYWHERE:
        return "everywhere"
    return f"at {site.removeprefix('mx:')}"


def _warming_line(track: str, stage: int, stages: int, cap: int | None, granted: int) -> str:
    who = "all other providers" if track == EVERYWHERE else track
    if cap is None:
        return f"has warmed up for {who}"
    return f"warms up for {who}: stage {stage} of {stages}, {granted:,} of today's {cap:,} mails used"


def _line(
    at: datetime, site: str, was: str, became: str, reason: str, rule: str, reply: str,
    rest_until: datetime | None, rate: float | None, by: str, source: str,
) -> Line:  # fmt: skip
    if source == "warmup":
        text = _warmup_text(site, was, became, reason, rule)
    else:
        text = _throttle_text(site, became, reason, at, rest_until)
    return Line(at, source, site, was, became, text, rule, reply, rest_until, rate, by)


def _throttle_text(site: str, became: str, reason: str, at: datetime, rest_until: datetime | None) -> str:
    where = place(site)
    if became == "paused":
        return f"paused by an operator: {reason}"
    if became == "active":
        return f"switched on again: {reason}"
    if became == State.THROTTLED:
        return f"rests {where}{_until(at, rest_until)}; {reason}"
    if became == State.PROBING:
        return f"probes {where}; {reason}"
    if became == State.RECOVERING:
        return f"recovers {where}; {reason}"
    return f"healthy {where}; {reason}"


def _until(at: datetime, end: datetime | None) -> str:
    """The end of a rest, with the day when it is another one."""
    if end is None:
        return ""
    return f" until {end:%H:%M:%S}" if end.date() == at.date() else f" until {end:%Y-%m-%d %H:%M:%S}"


def _warmup_text(track: str, was: str, became: str, reason: str, change: str) -> str:
    who = "warm-up" if track in ("", EVERYWHERE) else f"warm-up for {track}"
    stage = f", stage {was} → {became}" if was and became and was != became else f", stage {became}" if became else ""
    return f"{who}: {change.replace('_', ' ')}{stage}: {reason}"
