"""What the pages of IPs say in words. Pure."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from console.ips.board import Board, Cell, Way
from console.shown import percent, plural, relative, short
from console.sites import shown_site
from pools.ip_history import Line as Story
from pools.ip_status import IpStatus

DOES: Final = {"throttled": "rests", "probing": "probes", "recovering": "comes back"}
"""States of an IP as what it does."""


def in_trouble(seen: Board, now: datetime) -> str:
    """Whether an IP is in trouble, and where its mail goes: one or two sentences."""
    ips = [line.status for line in seen.lines]
    if not ips:
        return "There is no IP yet."
    told = [*_resting(seen, now), *_out(ips)]
    warming = sum(one.warming is not None for one in ips)
    if not told:
        free = f"All {len(ips)} IPs send" if len(ips) > 1 else "The one IP sends"
        return f"{free}: none rests, none is paused" + (f", {warming} warming up." if warming else ".")
    return " ".join(told) + (f" {plural(warming, 'IP warms', 'IPs warm')} up." if warming else "")


def _resting(seen: Board, now: datetime) -> list[str]:
    """A sentence for each of the first rests; how many more there are."""
    rests = [(line.status, row) for line in seen.lines for row in line.status.rests]
    if len(rests) > 2:
        ips = len({one.ip.address for one, _ in rests})
        sites = {row.key.site for _, row in rests}
        where = shown_site(next(iter(sites))) if len(sites) == 1 else plural(len(sites), "provider")
        return [f"{ips} of {len(seen.lines)} IPs rest at {where}; {_moving(seen.ways)}."]
    told = []
    for one, row in rests:
        until = row.condition.rest_until
        back = f", back {relative(until, now)}" if until else ""
        ways = [way for way in seen.ways if way.ip == one.ip.address and way.site == row.key.site]
        where = shown_site(row.key.site)
        place = where if where == "everywhere" else f"at {where}"
        told.append(f"{one.ip.address} rests {place}{back}; {_moving(ways)}.")
    return told


def _out(ips: Sequence[IpStatus]) -> list[str]:
    paused = [one for one in ips if one.state == "paused"]
    if not paused:
        return []
    who = paused[0].ip.address if len(paused) == 1 else plural(len(paused), "IP")
    return [f"{who} {'is' if len(paused) == 1 else 'are'} paused."]


def _moving(ways: Sequence[Way]) -> str:
    """Where the mail goes."""
    if not ways:
        return "it is in no pool, so no mail is meant for it"
    stuck = sorted({way.pool for way in ways if not way.others and not way.overflow})
    if stuck:
        return f"nothing else of pool {', '.join(stuck)} sends there, so its mail waits"
    over = sorted({way.overflow for way in ways if not way.others})
    if over:
        return f"its mail overflows into pool {', '.join(over)}"
    others = min(way.others for way in ways)
    return f"its mail leaves through {plural(others, 'other IP')} of its pool"


def moving(ways: Sequence[Way]) -> str:
    """Where the mail of an IP goes, as a sentence of its own."""
    told = _moving(ways)
    return f"{told[:1].upper()}{told[1:]}."


def figure(cell: Cell, now: datetime) -> str:
    """What stands in a cell."""
    if cell.state in ("throttled", "unusable"):
        return f"rests {relative(cell.until, now).removeprefix('in ')}" if cell.until and cell.until > now else "rests"
    if cell.cap is not None:
        return f"{short(cell.used)} / {short(cell.cap)}"
    return short(cell.sent) if cell.sent else "\N{EN DASH}"


def note(cell: Cell, more_at: datetime | None = None, now: datetime | None = None) -> str:
    """The line below it: when a warm-up lets more through, the rate in force, or how much was deferred."""
    if more_at and now and cell.state == "warming":
        return f"more {relative(more_at, now)}"
    if cell.rate is not None and cell.state in ("probing", "recovering"):
        return f"{cell.rate:.3g} a second"
    if cell.deferral is not None:
        return f"{percent(cell.deferral)} deferred"
    return f"{short(cell.sent)} sent" if cell.state == "throttled" and cell.sent else ""


def opens(cell: Cell, more_at: datetime | None, zone: ZoneInfo) -> str:
    """That a warm-up holds it for now, and until when; "" while it does not."""
    if more_at is None or cell.cap is None:
        return ""
    what = "Today's cap is used" if cell.used >= cell.cap else "What this hour allows so far is used"
    return f"{what}, more at {more_at.astimezone(zone):%H:%M}: a cap is spread over the day."


def title(cell: Cell, address: str) -> str:
    """All of it, for whoever points at it or listens."""
    told = [f"{address} at {shown_site(cell.site)}: {cell.state}", f"{cell.sent:,} sent today"]
    if cell.deferred:
        told.append(f"{cell.deferred:,} deferred")
    if cell.cap is not None:
        whose = " with all other providers" if cell.shared else ""
        told.append(f"{cell.used:,} of today's cap of {cell.cap:,}{whose}")
    if cell.rate is not None:
        told.append(f"{cell.rate:.3g} a second now")
    return ", ".join(told)


def reason(line: Story) -> str:
    """Why something changed: its sentence without what the state and the time beside it say."""
    if line.source == "throttle" and "; " in line.text:
        return line.text.partition("; ")[2]
    return line.text


def became(line: Story) -> str:
    """What it does since then."""
    if line.source == "warmup":
        return "warm-up"
    return "resumed" if line.became == "active" else DOES.get(line.became, line.became)
