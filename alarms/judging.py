"""Evidence and limits in, findings out. Pure: every number that a judge needs is handed in.

A finding that is open already is kept until its figure is well below the limit (`rules.EASE`): a rate at the limit
would else raise and clear its alarm in turn.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from alarms.model import Finding, Severity
from alarms.rules import EASE
from store.heartbeats import Process

Values = Mapping[str, float]
Open = Mapping[str, Severity]
"""How bad the open alarms of the kind are, by subject."""


@dataclass(frozen=True, slots=True)
class Stream:
    """Mail of one stream of an application, at one provider or ("") at all."""

    application_id: UUID
    application: str
    lane: str
    provider: str = ""

    @property
    def named(self) -> str:
        """For alarms and reasons."""
        at = f" to {self.provider}" if self.provider else ""
        return f"{self.lane} mail of {self.application}{at}"


@dataclass(frozen=True, slots=True)
class Counts:
    """What happened to the mail of a stream, lately."""

    stream: Stream
    delivered: int = 0
    hard_bounced: int = 0
    late_bounced: int = 0
    blocked: int = 0
    complained: int = 0


@dataclass(frozen=True, slots=True)
class Shares:
    """What was taken of one type of mail at one provider, now and on the days before. Attempts are deliveries,
    refusals and deferrals."""

    named: str
    delivered: int
    attempts: int
    line_delivered: int
    line_attempts: int


@dataclass(frozen=True, slots=True)
class PoolRest:
    """All IPs of a pool rest at a provider."""

    ips: int
    since: datetime
    """Of the last of them."""
    back_at: datetime | None
    """When the first of them returns."""


@dataclass(frozen=True, slots=True)
class Stop:
    """A stream that may send nothing to a provider for a while."""

    stream: Stream
    hours: float
    reason: str


def severity(figure: float, warn: float, critical: float, now: Severity | None) -> Severity | None:
    """How bad a figure is; the more the worse."""
    ease = {Severity.CRITICAL: (EASE, EASE), Severity.WARNING: (EASE, 1.0), None: (1.0, 1.0)}[now]
    if figure >= critical * ease[1]:
        return Severity.CRITICAL
    return Severity.WARNING if figure >= warn * ease[0] else None


def complaints(counts: Iterable[Counts], values: Values, open_: Open) -> tuple[list[Finding], list[Stop]]:
    """Too many complaints per delivered; and the streams to be stopped."""
    findings, stops = [], []
    for one in counts:
        if one.delivered < values["least"] or one.complained < values["least_complaints"]:
            continue
        rate, named = one.complained / one.delivered, one.stream.named
        found = severity(rate, values["warn"], values["stop"], open_.get(named))
        if found is None:
            continue
        detail = (
            f"{one.complained:,} complaints about {one.delivered:,} delivered in {values['hours']:g} hours: {rate:.2%}"
        )
        if rate >= values["stop"] and values[f"stop_{one.stream.lane}"]:
            stops.append(Stop(one.stream, values["stop_hours"], detail))
        findings.append(Finding(named, found, detail))
    return findings, stops


def hard_bounces(counts: Iterable[Counts], values: Values, open_: Open) -> list[Finding]:
    """Too many addresses that do not exist."""
    findings = []
    for one in counts:
        decided = one.delivered + one.hard_bounced + one.blocked - one.late_bounced
        if decided < values["least"]:
            continue
        rate, named = one.hard_bounced / decided, one.stream.named
        found = severity(rate, values["warn"], values["critical"], open_.get(named))
        if found is not None:
            detail = f"{one.hard_bounced:,} hard bounces of {decided:,} mails in {values['hours']:g} hours: {rate:.1%}"
            findings.append(Finding(named, found, detail))
    return findings


def delivered_share(shares: Iterable[Shares], values: Values, open_: Open) -> list[Finding]:
    """A provider takes less of a type of mail than it used to."""
    findings = []
    for one in shares:
        if one.attempts < values["least"] or one.line_attempts < 5 * values["least"]:
            continue
        now, line = one.delivered / one.attempts, one.line_delivered / one.line_attempts
        found = severity(line - now, values["drop"], values["critical"], open_.get(one.named))
        if found is not None:
            detail = (
                f"{now:.1%} of {one.attempts:,} attempts in {values['hours']:g} hours were taken; in the seven days"
                f" before it was {line:.1%}"
            )
            findings.append(Finding(one.named, found, detail))
    return findings


def queue_age(waiting: Mapping[str, float], values: Values, open_: Open) -> list[Finding]:
    """`waiting`: seconds that the oldest due mail of each lane waits."""
    findings = []
    for lane, seconds in waiting.items():
        limit = 60 * values[f"{lane}_minutes"]
        found = severity(seconds, limit, 4 * limit, open_.get(lane))
        if found is not None:
            findings.append(Finding(lane, found, f"{lane} mail has been due for {_lasting(seconds)}"))
    return findings


def ip_resting(resting: Mapping[str, tuple[datetime, str]], values: Values, now: datetime) -> list[Finding]:
    """`resting`: since when a subject has not been healthy, and why."""
    findings = []
    for subject, (since, why) in resting.items():
        hours = (now - since) / timedelta(hours=1)
        if hours >= values["hours"]:
            bad = Severity.CRITICAL if hours >= values["critical"] else Severity.WARNING
            findings.append(Finding(subject, bad, f"not healthy for {_lasting(hours * 3600)}: {why}"))
    return findings


def pool_resting(resting: Mapping[str, PoolRest], values: Values, open_: Open, now: datetime) -> list[Finding]:
    """An alarm that is open stays until one of the IPs sends again: each try and each refusal begins a new rest."""
    findings = []
    for subject, rest in resting.items():
        if subject in open_ or now - rest.since >= timedelta(minutes=values["minutes"]):
            # No duration: the words of an alarm change only where there is something new to say.
            back = f"; the first returns at {rest.back_at:%H:%M} UTC" if rest.back_at else ""
            all_ = f"all {rest.ips} IPs rest" if rest.ips > 1 else "its only IP rests"
            findings.append(Finding(subject, Severity.WARNING, all_ + back))
    return findings


def process_silent(found: Sequence[Process], values: Values, now: datetime) -> list[Finding]:
    """Processes that nothing was heard of, while others were: after an outage of all of them those that start take the
    places of those that were, which takes half a minute."""
    living = [one for one in found if not one.silent]
    begun = min((one.started_at for one in living), default=now)
    findings = []
    for one in found:
        if not one.silent or now - max(one.seen_at, begun) < timedelta(minutes=values["minutes"]):
            continue
        others = sum(other.name == one.name for other in living)
        left = f"{others} more of its kind {'is' if others == 1 else 'are'} there" if others else "it was the only one"
        detail = f"not heard of since {one.seen_at:%Y-%m-%d %H:%M} UTC; {left}"
        bad = Severity.WARNING if others else Severity.CRITICAL
        findings.append(Finding(f"{one.name} on {one.host}, process {one.pid}", bad, detail))
    return findings


def certificates(ends: Mapping[str, datetime], values: Values, now: datetime) -> list[Finding]:
    """`ends`: when the certificate in each file ends."""
    findings = []
    for file, end in ends.items():
        days = (end - now) / timedelta(days=1)
        if days <= values["days"]:
            bad = Severity.CRITICAL if days <= values["critical"] else Severity.WARNING
            said = f"ends on {end:%Y-%m-%d %H:%M} UTC" if days > 0 else f"ended on {end:%Y-%m-%d %H:%M} UTC"
            findings.append(Finding(file, bad, said))
    return findings


def _lasting(seconds: float) -> str:
    if seconds < 5400:
        return f"{seconds / 60:.0f} minutes"
    hours = seconds / 3600
    return f"{hours:.0f} hours" if hours < 48 else f"{hours / 24:.0f} days"
