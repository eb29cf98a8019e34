"""What a warm-up plan says: how much a young IP may send on which day, to whom, and when it may go on.

Pure. A plan has **stages**, each a cap on what one IP sends in a day, and **weights** that divide it among providers.
Each provider with a weight is a **track** and moves through the stages by itself; all others share the track `"*"`. A
stage is a number from 1. `parse` reads what an operator wrote (TOML or JSON, as a dictionary) and says which field is
wrong and why; `as_dict` gives the same form back. Never reads a clock or a store.

    name = "careful"
    stages = [200, 500, 1000, 2000]     # mails a day of one IP; every stage above the one before
    zone = "Europe/Berlin"              # where a day begins; default UTC
    hours = [6, 22]                     # when a warming IP sends; default all day
    advance = "evidence"                # or "clock": every healthy day with mail
    [weights]                           # parts of a stage's cap; what is missing to 1 is for "*"
    gmail = 0.5
    "*" = 0.3
    [thresholds]
    deferral = 0.10
"""

import math
import re
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from enum import StrEnum
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from core.refusal import Refused, invalid

REST: Final = "*"
"""The track of every provider that has no weight of its own."""

MOST_STAGES: Final = 400
LARGEST_CAP: Final = 1_000_000_000
_ROUNDING: Final = 1e-6
"""0.29 of 200 is 57.99999… in binary fractions, and means 58."""
_UNNAMED: Final = frozenset({REST, "other", ""})
"""What a provider is called in statistics when it has no name."""
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")


def invalid_plan(field: str, reason: str) -> Refused:
    """A plan cannot be used. `field` is the wrong field (`stages`, `weights.gmail`), `reason` a sentence about it."""
    return invalid(field, reason, code="invalid_plan")


class Advance(StrEnum):
    """What moves a track to its next stage, given that its rates are healthy."""

    EVIDENCE = "evidence"
    """The stage was used: `advance_share` of its cap was delivered on one day."""
    CLOCK = "clock"
    """Any day with mail, however little."""


class Transactional(StrEnum):
    """How transactional mail uses a warming IP."""

    SHARE = "share"
    """By the same rules as marketing mail."""
    AVOID = "avoid"
    """Never."""
    FIRST = "first"
    """It may take the whole of an hour's share at once, while marketing mail waits for each five minutes' part."""


@dataclass(frozen=True, slots=True)
class Thresholds:
    """When a day counts as used, when as unhealthy, and how many mails make a verdict (1 of 3 is none)."""

    advance_share: float = 0.90
    """Part of the cap that must be delivered to advance."""
    deferral: float = 0.10
    """Deferred or re-routed attempts, of all attempts. More is unhealthy."""
    hard_bounce: float = 0.03
    """Refused for good, of all mails that got an answer for good."""
    complaint: float = 0.001
    """Complaints heard that day, of mails delivered that day."""
    min_messages: int = 20
    """Below so many attempts a day has no rates."""
    min_deferred: int = 5
    min_bounced: int = 3
    min_complained: int = 2
    """Fewer than this many say nothing, whatever their share."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A checked plan. Make one with `parse` or `warmup.presets.preset`."""

    name: str
    stages: tuple[int, ...]
    """Mails a day of one IP over all tracks; rising."""
    weights: Mapping[str, float]
    """Part of the cap by track, `REST` always among them; 0 < weight ≤ 1 (`REST` may be 0), sum ≤ 1."""
    zone: str = "UTC"
    first_hour: int = 0
    last_hour: int = 24
    """A warming IP sends from `first_hour`:00 until `last_hour`:00, local time."""
    hour_limit: float = 0.5
    """Most of a day's cap that one hour may carry: mail that first comes late at night may not use all at once."""
    advance: Advance = Advance.EVIDENCE
    thresholds: Thresholds = field(default_factory=Thresholds)
    rewarm_after_days: int = 30
    """Days without mail after which a track starts again from a lower stage."""
    stall_days: int = 10
    """Days without progress after which an alarm is raised."""

    @property
    def last_stage(self) -> int:
        """Number of the last stage, which is how many there are."""
        return len(self.stages)

    def track_of(self, provider: str) -> str:
        """The track that a provider's mail counts on."""
        return provider if provider in self.weights else REST

    def cap(self, stage: int, track: str) -> int:
        """Mails a day of one IP on this track. `stage` is 1 … `last_stage`."""
        if not 1 <= stage <= len(self.stages):
            raise ValueError(f"stage {stage} is not within 1 to {len(self.stages)}")
        return part(self.stages[stage - 1], self.weights[track])

    def caps(self) -> dict[str, list[int]]:
        """All caps by track, stage 1 first: what the ledger's SQL reads."""
        return {track: [part(cap, weight) for cap in self.stages] for track, weight in self.weights.items()}

    def with_weights(self, weights: Mapping[str, float]) -> "Plan":
        """The same plan divided otherwise. Raises Refused."""
        return replace(self, weights=_weights({"weights": weights}, self.stages, None))


def part(cap: int, weight: float) -> int:
    """A track's part of a cap, rounded down so that the parts never exceed the whole."""
    return math.floor(cap * weight + _ROUNDING)


def as_dict(plan: Plan) -> dict[str, Any]:
    """The plan in the form that `parse` reads."""
    return {
        "name": plan.name,
        "stages": list(plan.stages),
        "weights": dict(plan.weights),
        "zone": plan.zone,
        "hours": [plan.first_hour, plan.last_hour],
        "hour_limit": plan.hour_limit,
        "advance": plan.advance.value,
        "thresholds": asdict(plan.thresholds),
        "rewarm_after_days": plan.rewarm_after_days,
        "stall_days": plan.stall_days,
    }


_FIELDS: Final = frozenset(
    {
        "name", "stages", "weights", "zone", "hours", "hour_limit", "advance", "thresholds",
        "rewarm_after_days", "stall_days",
    }
)  # fmt: skip


def parse(given: Mapping[str, Any], providers: Collection[str] | None = None) -> Plan:
    """A plan from a dictionary as TOML or JSON gives it. Raises Refused naming the field.

    `providers` are the names that weights may bear; None takes any. Weights left out are the shipped ones
    (`DEFAULT_WEIGHTS`).
    """
    if not isinstance(given, Mapping):
        raise invalid_plan("plan", "must be a table of fields")
    for name in given:
        if name not in _FIELDS:
            raise invalid_plan(str(name), f"there is no such field; a plan has {', '.join(sorted(_FIELDS))}")
    stages = _stages(given)
    first, last = _hours(given.get("hours", [0, 24]))
    return Plan(
        name=_name(given.get("name")),
        stages=stages,
        weights=_weights(given, stages, providers),
        zone=_zone(given.get("zone", "UTC")),
        first_hour=first,
        last_hour=last,
        hour_limit=_share("hour_limit", given.get("hour_limit", 0.5), zero=False),
        advance=_advance(given.get("advance", Advance.EVIDENCE)),
        thresholds=_thresholds(given.get("thresholds", {})),
        rewarm_after_days=_count("rewarm_after_days", given.get("rewarm_after_days", 30), 1, 3650),
        stall_days=_count("stall_days", given.get("stall_days", 10), 1, 3650),
    )


DEFAULT_WEIGHTS: Final[Mapping[str, float]] = {
    "gmail": 0.501,
    "yahoo": 0.226,
    "microsoft": 0.124,
    "comcast": 0.02,
    "apple": 0.016,
    REST: 0.113,
}
"""For who knows nothing of his own mix: the shares of mailbox providers in the USA that Mapp counted over 170 million
mails of its customers (Global Provider Report, reported at devicedaily.com, "Gmail is top webmail service"); Verizon
is yahoo. Mixes differ much by country (the same report has Gmail at 15 % in Germany), so a start takes the measured mix
of the last 30 days instead as soon as there is one."""


def _name(value: object) -> str:
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise invalid_plan("name", "must be 1 to 63 characters of a-z, 0-9, dot, dash and underscore")
    return value


def _stages(given: Mapping[str, Any]) -> tuple[int, ...]:
    value = given.get("stages")
    if not isinstance(value, list | tuple) or not 1 <= len(value) <= MOST_STAGES:
        raise invalid_plan("stages", f"must be a list of 1 to {MOST_STAGES} daily caps")
    before = 0
    for number, cap in enumerate(value, 1):
        _count(f"stages[{number}]", cap, 1, LARGEST_CAP)
        if cap <= before:
            how = "falls below" if cap < before else "is no more than"
            raise invalid_plan(
                f"stages[{number}]", f"{cap:,} a day {how} stage {number - 1} with {before:,}; caps must rise"
            )
        before = cap
    return tuple(value)


def weights_of_mix(mix: Mapping[str, float], first_stage: int) -> dict[str, float]:
    """Weights equal to a mix of mail (shares or counts by provider), so that an IP arrives everywhere on the same day.

    Providers too small for a mail a day on the first stage go with the rest. Raises Refused for an empty mix.
    """
    total = math.fsum(mix.values())
    if total <= 0:
        raise invalid_plan("mix", "holds no mail")
    shares = {provider: math.floor(n / total * 1e6) / 1e6 for provider, n in mix.items() if provider not in _UNNAMED}
    kept = {provider: share for provider, share in shares.items() if part(first_stage, share)}
    rest = round(1 - math.fsum(kept.values()), 6)
    return kept | {REST: rest if part(first_stage, rest) else 0.0}


def _weights(
    given: Mapping[str, Any], stages: tuple[int, ...], providers: Collection[str] | None
) -> Mapping[str, float]:
    value = given.get("weights")
    if value is None:
        return weights_of_mix(DEFAULT_WEIGHTS, stages[0])
    if not isinstance(value, Mapping):
        raise invalid_plan("weights", 'must be a table of provider = part of the cap, such as gmail = 0.5, "*" = 0.5')
    weights = {str(track): _share(f"weights.{track}", weight, zero=track == REST) for track, weight in value.items()}
    for track, weight in weights.items():
        if track != REST and providers is not None and track not in providers:
            raise invalid_plan(f"weights.{track}", f"unknown provider; known are {', '.join(sorted(providers))}")
        if weight > 0 and part(stages[0], weight) < 1:
            reason = f"{weight} of the first stage's {stages[0]:,} mails is less than one mail a day"
            raise invalid_plan(f"weights.{track}", reason)
    total = math.fsum(weights.values())
    if total > 1 + _ROUNDING:
        raise invalid_plan("weights", f"their sum is {total:.4g}, and may be 1 at most")
    rest = max(0.0, round(1 - total, 6))
    return weights if REST in weights else {**weights, REST: rest if part(stages[0], rest) else 0.0}


def _zone(value: object) -> str:
    try:
        if not isinstance(value, str):
            raise ValueError
        ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise invalid_plan("zone", f"{value!r} is no time zone; they are called like Europe/Berlin") from None
    return value


def _hours(value: object) -> tuple[int, int]:
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise invalid_plan("hours", "must be two whole hours, such as [6, 22]")
    first, last = _count("hours", value[0], 0, 23), _count("hours", value[1], 1, 24)
    if first >= last:
        raise invalid_plan("hours", f"{first} to {last} has no hour in it; the second must be later on the same day")
    return first, last


def _advance(value: object) -> Advance:
    try:
        return Advance(value)  # type: ignore[arg-type]  # anything may stand in a file; what is no value raises
    except ValueError:
        raise invalid_plan("advance", f"{value!r} must be {' or '.join(Advance)}") from None


def _thresholds(value: object) -> Thresholds:
    if not isinstance(value, Mapping):
        raise invalid_plan("thresholds", "must be a table")
    known = {one.name: one.default for one in fields(Thresholds)}
    given: dict[str, Any] = {}
    for name, figure in value.items():
        if name not in known:
            raise invalid_plan(f"thresholds.{name}", f"there is no such threshold; there are {', '.join(known)}")
        where = f"thresholds.{name}"
        whole = isinstance(known[name], int)
        given[name] = _count(where, figure, 1, LARGEST_CAP) if whole else _share(where, figure, zero=False)
    return Thresholds(**given)


def _share(where: str, value: object, *, zero: bool) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise invalid_plan(where, f"{value!r} must be a number")
    if value < 0 or value > 1 or (value == 0 and not zero):
        raise invalid_plan(where, f"{value} must be {'from 0' if zero else 'above 0'} to 1")
    return float(value)


def _count(where: str, value: object, least: int, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise invalid_plan(where, f"{value!r} must be a whole number")
    if not least <= value <= most:
        raise invalid_plan(where, f"{value:,} must be {least:,} to {most:,}")
    return value
