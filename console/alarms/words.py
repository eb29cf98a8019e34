"""What the page of alarms says in words, and where it leads. Pure."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from urllib.parse import quote, urlencode

from alarms.breakers import Breaker
from alarms.model import Alarm, AlarmKind, Severity
from console.shown import plural, relative

_AT: Final = " at "
"""Between an IP and a site, in subjects of alarms."""
_TO: Final = " to "
"""Between mail and a provider."""


def needs_me(found: Sequence[Alarm], stopped: Sequence[Breaker], past: Sequence[Alarm], now: datetime) -> str:
    """Whether somebody has to act: one or two sentences."""
    told = [_open(found, now), _stopped(stopped)]
    if any(told):
        return " ".join(filter(None, told))
    last = f" The last alarm was over {relative(past[0].cleared_at, now)}." if past and past[0].cleared_at else ""
    return f"Nothing needs you.{last}"


def _open(found: Sequence[Alarm], now: datetime) -> str:
    waiting = [one for one in found if not quiet(one, now)]
    if not waiting:
        held = plural(len(found), "open alarm is", "open alarms are")
        return f"Nothing new needs you: {held} looked after." if found else ""
    grave = sum(one.severity == Severity.CRITICAL for one in waiting)
    told = f"{plural(len(waiting), 'alarm needs', 'alarms need')} you"
    return f"{told}, {grave} of them now." if grave and len(waiting) > 1 else f"{told}{' now' if grave else ''}."


def _stopped(stopped: Sequence[Breaker]) -> str:
    if not stopped:
        return ""
    one = stopped[0]
    if len(stopped) == 1:
        return f"{one.lane.capitalize()} mail of {one.application} to {one.provider} is stopped, and waits."
    return f"{len(stopped)} streams are stopped, and their mail waits."


def quiet(alarm: Alarm, now: datetime) -> bool:
    """Somebody looks after it, or wants to hear of it later."""
    return alarm.acknowledged_at is not None or (alarm.snoozed_until is not None and alarm.snoozed_until > now)


def remedy(alarm: Alarm) -> tuple[str, str] | None:
    """The page where something can be done: (what it is called, its address)."""
    who, _, where = alarm.subject.partition(_AT)
    match alarm.kind:
        case AlarmKind.IP_RESTING | AlarmKind.BLOCKLISTED if where:
            return f"Why {who} rests", f"/ips?{urlencode({'open': f'{who} {where}'})}"
        case AlarmKind.LOCAL_ADDRESS:
            return "The IP", f"/ips/{quote(alarm.subject, safe='')}"
        case AlarmKind.POOL_RESTING:
            return "The map of IPs", "/ips"
        case AlarmKind.PROCESS_SILENT:
            return "All processes", "/system"
        case AlarmKind.WARMUP_STALLED:
            return "Plan against actual", f"/warmup/{quote(alarm.subject.partition(' ')[0], safe='')}"
        case AlarmKind.COMPLAINTS | AlarmKind.DELIVERED_SHARE:
            return _treatment(alarm.subject)
        case AlarmKind.SEED_MISSING:
            return "Where probes landed", "/seeds"
        case AlarmKind.HARD_BOUNCES:
            return "The dead addresses", "/suppressions?reason=hard_bounce"
    return None


def _treatment(subject: str) -> tuple[str, str]:
    """The page of the provider that mail goes to."""
    provider = subject.rpartition(_TO)[2]
    if " " in provider:
        return "How providers treat us", "/providers"
    return f"How {provider} treats us", f"/providers/{quote(provider, safe='')}"


CHANGES: Final = {
    "raised": "critical",
    "worse": "critical",
    "better": "warning",
    "cleared": "cleared",
    "acknowledged": "active",
    "snoozed": "paused",
}
"""What happened to an alarm → the state whose sign it takes."""
