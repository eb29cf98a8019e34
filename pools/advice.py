"""Has a pool the right number of IPs for its mail? Pure: figures in, advice out, each with its rule and what to do.

An IP's reputation is built by all the mail it sends, so the volume of an IP counts whole, whatever pool or lane it is
sent for. Too many IPs: each sends so little that a provider keeps no opinion of it, and mail from strangers is treated
as such. Too few: one IP carries more than providers take from one, or there is no other to move to.

Figures and where they come from:

- `MOST_PER_DAY` 5,000,000 mails a day from one warm IP: SparkPost's sizing is 2 to 5 million.
- `KNOWN_PER_DAY` 1,000 mails a day to one provider from one IP keep it known there: Amazon SES on keeping an IP warm.
- `FEWEST` 2 IPs, so that mail can move away from one that is throttled, and `MOST` 5: beyond that only volume asks for
  more. (2 to 5 IPs for each stream is what Postlane is specified for.)
- `OWN_PER_DAY` 16,000 mails a day (500,000 a month): below that SparkPost advises against IPs of one's own.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from math import ceil
from typing import Final, Literal, Protocol

from pools.ip_values import is_address

MOST_PER_DAY: Final = 5_000_000
KNOWN_PER_DAY: Final = 1_000
OWN_PER_DAY: Final = 16_000
FEWEST: Final = 2
MOST: Final = 5

Rule = Literal[
    "no_ip", "no_fail_over", "too_much_per_ip", "unknown_at_providers", "more_than_five", "little_volume", "fits"
]
Verdict = Literal["too_few", "too_many", "right"]


@dataclass(frozen=True, slots=True)
class Volume:
    """Mails that left one IP for one provider on one day (UTC)."""

    ip: str
    provider: str
    day: date
    n: int


@dataclass(frozen=True, slots=True)
class Advice:
    """One piece of advice about one pool."""

    pool: str
    verdict: Verdict
    rule: Rule
    ips: int
    """IPs of the pool that are switched on and have a weight."""
    suggested: int
    """How many there should be."""
    per_ip_per_day: int
    """Mails a day and IP, in the mean over the days looked at."""
    days: int
    """Days looked at."""
    figures: str
    """What was seen."""
    advice: str
    """What to do, in a sentence."""


class Advised(Protocol):
    """What is asked of a pool; see `pools/administration.PoolRow`."""

    @property
    def name(self) -> str: ...
    @property
    def overflow(self) -> str | None: ...
    @property
    def sending(self) -> tuple[str, ...]: ...


def advise_all(pools: Sequence[Advised], volumes: Sequence[Volume], today: date) -> list[Advice]:
    """Advice for each pool. Relays and pools it overflows into are ways out for its mail, and no IPs of its own."""
    by_name = {pool.name: pool for pool in pools}
    found: list[Advice] = []
    for pool in pools:
        ips = [name for name in pool.sending if is_address(name)]
        spare = [name for name in pool.sending if not is_address(name)]
        following = by_name.get(pool.overflow or "")
        while following is not None:
            spare += following.sending
            following = by_name.get(following.overflow or "")
        found += advise(pool.name, ips, volumes, today, spare)
    return found


def advise(
    pool: str, ips: Sequence[str], volumes: Iterable[Volume], today: date, spare: Sequence[str] = ()
) -> list[Advice]:
    """Advice for a pool with these (active) IPs; at least one piece, `fits` when there is nothing to say. `spare` are
    other ways that its mail can take.

    Whole days count; today only when there is no other, since it is not over.
    """
    mine = [volume for volume in volumes if volume.ip in ips]
    rows = [volume for volume in mine if volume.day < today] or mine
    days = (max(row.day for row in rows) - min(row.day for row in rows)).days + 1 if rows else 0
    seen = _Seen(pool, len(ips), days, _sums(rows, days), max(_per_day(rows).values(), default=0), len(spare))
    found = [advice for rule in _RULES if (advice := rule(seen)) is not None]
    return found or [seen.say("right", "fits", seen.ips, f"{seen.mails(seen.mean)} a day and IP", "Nothing to change.")]


@dataclass(frozen=True, slots=True)
class _Seen:
    """What the rules look at."""

    pool: str
    ips: int
    days: int
    by_provider: Mapping[str, float]
    """Mails a day, all IPs together."""
    peak: int
    """Mails of the busiest day, all IPs together."""
    spare: int
    """Other ways its mail can take."""

    @property
    def mean(self) -> float:
        """Mails a day and IP."""
        return sum(self.by_provider.values()) / self.ips if self.ips else 0.0

    def mails(self, n: float) -> str:
        return f"{n:,.0f} mail{'' if round(n) == 1 else 's'}"

    def say(self, verdict: Verdict, rule: Rule, suggested: int, figures: str, advice: str) -> Advice:
        return Advice(self.pool, verdict, rule, self.ips, suggested, round(self.mean), self.days, figures, advice)


def _no_ip(seen: _Seen) -> Advice | None:
    if seen.ips:
        return None
    meanwhile = "leaves through relays and overflow pools" if seen.spare else "waits"
    return seen.say(
        "too_few", "no_ip", FEWEST, "no IP that is switched on",
        f"Attach {FEWEST} IPs or more: until then the mail of this pool {meanwhile}.",
    )  # fmt: skip


def _no_fail_over(seen: _Seen) -> Advice | None:
    if seen.ips != 1 or seen.spare:
        return None
    return seen.say(
        "too_few", "no_fail_over", FEWEST, f"one IP, {seen.mails(seen.mean)} a day",
        "Attach a second IP (warming it up), or give the pool an overflow pool: when a provider throttles the only IP,"
        " mail has nowhere to go.",
    )  # fmt: skip


def _too_much_per_ip(seen: _Seen) -> Advice | None:
    if not seen.ips or seen.peak <= seen.ips * MOST_PER_DAY:
        return None
    wanted = ceil(seen.peak / MOST_PER_DAY)
    return seen.say(
        "too_few", "too_much_per_ip", wanted,
        f"{seen.mails(seen.peak / seen.ips)} an IP on the busiest day, above {MOST_PER_DAY:,}",
        f"Add {wanted - seen.ips} IPs and warm them up before the mail needs them.",
    )  # fmt: skip


def _unknown_at_providers(seen: _Seen) -> Advice | None:
    """Providers that would know fewer IPs, and do not know these."""
    unknown = {
        provider: n
        for provider, n in seen.by_provider.items()
        if seen.ips > FEWEST and n >= FEWEST * KNOWN_PER_DAY and n / seen.ips < KNOWN_PER_DAY
    }
    if not unknown:
        return None
    wanted = max(FEWEST, min(int(n // KNOWN_PER_DAY) for n in unknown.values()))
    wanted = max(wanted, ceil(seen.peak / MOST_PER_DAY))
    if wanted >= seen.ips:
        return None
    named = sorted(unknown.items(), key=lambda item: item[1])
    shown = ", ".join(f"{provider} {n / seen.ips:,.0f}" for provider, n in named[:3])
    return seen.say(
        "too_many", "unknown_at_providers", wanted,
        f"mails a day and IP: {shown}; an IP stays known from about {KNOWN_PER_DAY:,}",
        f"Use {wanted} IPs: detach {seen.ips - wanted}, one at a time, so that each of the others is known there.",
    )  # fmt: skip


def _more_than_five(seen: _Seen) -> Advice | None:
    if seen.ips <= MOST or seen.peak > MOST * MOST_PER_DAY or _unknown_at_providers(seen) is not None:
        return None
    return seen.say(
        "too_many", "more_than_five", MOST,
        f"{seen.ips} IPs, {seen.mails(seen.peak)} on the busiest day, which {MOST} can carry",
        f"Use {FEWEST} to {MOST} IPs in a pool: the fewer share the mail, the better each is known.",
    )  # fmt: skip


def _little_volume(seen: _Seen) -> Advice | None:
    total = sum(seen.by_provider.values())
    if not seen.ips or total >= OWN_PER_DAY or _unknown_at_providers(seen) is not None:
        return None
    if not seen.days:
        return seen.say(
            "right", "little_volume", seen.ips, "no mail yet", "Look again when there has been a week of mail."
        )
    wanted = min(seen.ips, FEWEST)
    return seen.say(
        "too_many" if wanted < seen.ips else "right", "little_volume", wanted,
        f"{seen.mails(total)} a day in all; IPs of one's own pay from about {OWN_PER_DAY:,}",
        f"Use {wanted} IP{'s' if wanted != 1 else ''}, and let streams share a pool where they may: so little mail"
        " builds a reputation slowly.",
    )  # fmt: skip


_RULES: Final = (_no_ip, _no_fail_over, _too_much_per_ip, _unknown_at_providers, _more_than_five, _little_volume)


def _sums(rows: Iterable[Volume], days: int) -> dict[str, float]:
    sums: dict[str, int] = {}
    for row in rows:
        sums[row.provider] = sums.get(row.provider, 0) + row.n
    return {provider: n / days for provider, n in sums.items()}


def _per_day(rows: Iterable[Volume]) -> dict[date, int]:
    sums: dict[date, int] = {}
    for row in rows:
        sums[row.day] = sums.get(row.day, 0) + row.n
    return sums
