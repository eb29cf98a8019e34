"""What a simulated provider thinks of a client IP: by age, volume against the recent past, complaints, unknown users.

Pure: every call gets the time (seconds, any epoch; a day is 86,400 of them), and a seed makes it repeatable. It
serves mail over real SMTP and rehearsals in virtual time alike. Never touches a socket.

It is a model. No large provider publishes how it judges an IP; the figures below are ours, laid so that the published
warm-up schedules pass with a little room and what is far above them does not:

- Public schedules begin with 50 to 480 mails a day and IP, grow at first 2 to 2.5 times a day and later 1.2 to 1.5
  times (SparkPost, user-guide/automated-ip-warmup.md; SendGrid, warming-up-an-ip-address.md; Mailtrap, ip-warmup.md).
- iPost's guide: double below 50,000 a day, at most 50 % more to 100,000, 20 % above, 10 % above 250,000.
- SparkPost expects 421 delays of Yahoo/AOL, Microsoft and Comcast in the first weeks: they are the strict ones here.
- Google, sender guidelines FAQ (answer/14229414): stay below 0.1 % complaints and never reach 0.3 %.
- SendGrid: after 30 days without mail an IP warms again. So much is remembered.

How an IP is judged at one provider, each day anew: it may send `newcomer` mails, or so many times its best recent
*clean* day as `growth` says (half as much growth again for one known for 30 days of mail); no growth above 0.1 %
complaints or 10 % unknown users, half of the past above 0.3 %. One hour may bring a part of it. What is above is
throttled. Who sends on regardless, `patience` times the allowance in one day, is blocked for days and then a newcomer
again; each block is twice as long as the one before.
"""

import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

DAY: Final = 86_400.0
HOUR: Final = 3_600.0

MEMORY_DAYS: Final = 30
KNOWN_DAYS: Final = 30
CONDUCT_DAYS: Final = 7
"""Complaints and unknown users are counted over so many days."""
NOTICED: Final = 0.001
OFFENSIVE: Final = 0.003
UNKNOWN: Final = 0.10
CLEAN: Final = 0.25
"""Refused per accepted mail up to which a day proves that its volume was welcome."""
LEAST_COMPLAINTS: Final = 3
LEAST_UNKNOWN: Final = 20
LEAST_PATIENCE: Final = 200
"""Refused mails in a day that nobody is blocked for."""
LEAST_HOUR: Final = 20
MOST_DOUBLINGS: Final = 3
NOISE: Final = 0.10
"""No day's limit is exactly the day before's."""


class Judgement(StrEnum):
    """What happens to the next mail of an IP."""

    ACCEPT = "accept"
    THROTTLE = "throttle"
    BLOCK = "block"


@dataclass(frozen=True, slots=True)
class Habits:
    """How one provider judges. Volumes are mails a day of one IP at this provider."""

    newcomer: int
    """What an IP may send that was never seen, or not for 30 days."""
    growth: tuple[tuple[float, float], ...]
    """(up to this volume, times the best recent day), rising volumes; the last one holds for all above."""
    hour_share: float
    """Part of the day's allowance that one hour may bring."""
    patience: float
    """Times the day's allowance that may be refused before the IP is blocked."""
    block_days: float
    """Days of the first block."""

    def times(self, volume: float, strictness: float) -> float:
        """How far above `volume` the next day may be."""
        factor = next((times for limit, times in self.growth if volume <= limit), self.growth[-1][1])
        return 1 + (factor - 1) / strictness


_STEEP = ((5_000.0, 3.0), (20_000.0, 2.4), (100_000.0, 1.8), (float("inf"), 1.4))
_EASY = ((10_000.0, 4.0), (50_000.0, 3.0), (float("inf"), 2.0))

HABITS: Final[Mapping[str, Habits]] = {
    "gmail": Habits(2_000, _STEEP, 0.25, 3.0, 1.0),
    "microsoft": Habits(500, _STEEP, 0.20, 2.0, 3.0),
    "microsoft365": Habits(500, _STEEP, 0.20, 2.0, 3.0),
    "yahoo": Habits(500, _STEEP, 0.20, 2.0, 2.0),
    "apple": Habits(300, _STEEP, 0.25, 3.0, 2.0),
    "comcast": Habits(500, _STEEP, 0.25, 3.0, 1.0),
    "gmx": Habits(1_000, _EASY, 0.25, 3.0, 1.0),
}
MILD: Final = Habits(2_000, _EASY, 0.35, 5.0, 1.0)
"""Everybody else: a server that sees little mail seldom judges volume."""


@dataclass(slots=True)
class _Day:
    accepted: int = 0
    refused: int = 0
    unknown: int = 0
    complaints: int = 0


@dataclass(slots=True)
class _File:
    """What is kept of one IP at one provider."""

    first_seen: float
    days: dict[int, _Day] = field(default_factory=dict)
    """Of the last 30 days, by number; what was before a block is forgotten."""
    days_with_mail: int = 0
    day: int = -(10**9)
    allowance: int = 0
    why: str = ""
    hour: int = -(10**9)
    hour_accepted: int = 0
    blocked_until: float = float("-inf")
    blocks: int = 0


@dataclass(frozen=True, slots=True)
class Met:
    """What became of mails that arrived together, first those that were taken."""

    accepted: int
    throttled: int
    blocked: int

    @property
    def refused(self) -> int:
        """Throttled and blocked."""
        return self.throttled + self.blocked


@dataclass(frozen=True, slots=True)
class Opinion:
    """What one provider thinks of one IP just now."""

    site: str
    ip: str
    judgement: Judgement
    age_days: float
    days_with_mail: int
    allowance: int
    """Mails today."""
    accepted: int
    """Today."""
    refused: int
    """Today."""
    complaints: int
    """Of the last 7 days."""
    blocks: int
    """How often it was blocked so far."""
    blocked_days: float
    """Days until the block ends, 0 without one."""
    why: str
    """Where today's allowance comes from."""


class Judge:
    """The memory and the decisions of all providers. A `site` that is not in `habits` is judged mildly."""

    def __init__(
        self, seed: int = 1, strictness: float = 1.0, habits: Mapping[str, Habits] = HABITS, *, blocks: bool = True
    ) -> None:
        """`strictness` 2 halves newcomers' allowance, growth and patience; ValueError unless it is above 0. Without
        `blocks` the providers only throttle, whatever comes."""
        if not strictness > 0:
            raise ValueError(f"strictness must be above 0, not {strictness}")
        self._seed = seed
        self._strictness = strictness
        self._habits = habits
        self._blocks = blocks
        self._files: dict[tuple[str, str], _File] = {}

    def room(self, site: str, ip: str, now: float) -> int:
        """How many more mails the provider takes from this IP at this moment; 0: it throttles or blocks."""
        return self._room(site, self._file(site, ip, now), now)

    def look(self, site: str, ip: str, now: float) -> Judgement:
        """What the next mail would meet. Counts nothing."""
        file = self._file(site, ip, now)
        if now < file.blocked_until:
            return Judgement.BLOCK
        return Judgement.ACCEPT if self._room(site, file, now) else Judgement.THROTTLE

    def meet(self, site: str, ip: str, n: int, now: float) -> Met:
        """`n` mails arrive: as many as there is room for are taken, the others refused, and all of them counted."""
        file = self._file(site, ip, now)
        today = file.days.setdefault(file.day, _Day())
        accepted = min(n, self._room(site, file, now))
        if accepted:
            file.days_with_mail += today.accepted == 0
            today.accepted += accepted
            file.hour_accepted += accepted
        refused = n - accepted
        if now < file.blocked_until:
            today.refused += refused
            return Met(accepted, 0, refused)
        left = max(0, self._patience(site, file) - today.refused)
        today.refused += refused
        if refused <= left or not self._blocks:
            return Met(accepted, refused, 0)
        self._block(site, file, now)
        return Met(accepted, left, refused - left)

    def unknown(self, site: str, ip: str, n: int, now: float) -> None:
        """`n` of the mails that arrived were for mailboxes that do not exist."""
        if n:
            self._today(site, ip, now).unknown += n

    def complained(self, site: str, ip: str, n: int, now: float) -> None:
        """`n` people pressed "this is spam"."""
        if n:
            self._today(site, ip, now).complaints += n

    def introduce(self, site: str, ip: str, per_day: int, days: int, now: float) -> None:
        """Let an IP have sent so much on each of the `days` before, without offence: it is warm here."""
        file = _File(now - days * DAY, days_with_mail=days)
        today = int(now // DAY)
        file.days = {today - back: _Day(per_day) for back in range(1, min(days, MEMORY_DAYS) + 1)}
        self._files[site, ip] = file

    def opinions(self, now: float) -> list[Opinion]:
        """What every provider thinks of every IP it has seen, sorted."""
        return [self._opinion(site, ip, now) for site, ip in sorted(self._files)]

    def clear(self) -> None:
        """Forget every IP."""
        self._files.clear()

    def _file(self, site: str, ip: str, now: float) -> _File:
        file = self._files.get((site, ip))
        if file is None:
            file = self._files[site, ip] = _File(now)
        day, hour = int(now // DAY), int(now // HOUR)
        if hour != file.hour:
            file.hour, file.hour_accepted = hour, 0
        if day != file.day:
            file.day = day
            for old in [number for number in file.days if number < day - MEMORY_DAYS]:
                del file.days[old]
            file.allowance, file.why = self._allowance(site, ip, file)
        return file

    def _today(self, site: str, ip: str, now: float) -> _Day:
        file = self._file(site, ip, now)
        return file.days.setdefault(file.day, _Day())

    def _room(self, site: str, file: _File, now: float) -> int:
        if now < file.blocked_until:
            return 0
        today = file.days.get(file.day)
        hour = max(LEAST_HOUR, round(self._of(site).hour_share * file.allowance)) - file.hour_accepted
        return max(0, min(hour, file.allowance - (today.accepted if today else 0)))

    def _allowance(self, site: str, ip: str, file: _File) -> tuple[int, str]:
        """Mails of this day, and why so many."""
        habits = self._of(site)
        newcomer = habits.newcomer / self._strictness / (2 if file.blocks else 1)
        best = _best(file.days.values())
        grown, why = self._grown(habits, best, file)
        allowed = max(newcomer, grown)
        if grown <= newcomer:
            why = "nobody knows it" if not best else "as much as a newcomer may"
        noise = random.Random(f"{self._seed}|{site}|{ip}|{file.day}").uniform(1 - NOISE, 1 + NOISE)
        return max(1, round(allowed * noise)), why

    def _grown(self, habits: Habits, best: int, file: _File) -> tuple[float, str]:
        recent = [day for number, day in file.days.items() if number >= file.day - CONDUCT_DAYS]
        accepted = sum(day.accepted for day in recent)
        complaints = sum(day.complaints for day in recent)
        unknown = sum(day.unknown for day in recent)
        if complaints >= LEAST_COMPLAINTS and complaints >= OFFENSIVE * accepted:
            return best / 2, f"half of its {best:,}: {complaints:,} complaints about {accepted:,} mails"
        if complaints >= LEAST_COMPLAINTS and complaints > NOTICED * accepted:
            return float(best), f"no more than {best:,}: {complaints:,} complaints about {accepted:,} mails"
        if unknown >= LEAST_UNKNOWN and unknown > UNKNOWN * accepted:
            return float(best), f"no more than {best:,}: {unknown:,} unknown users in {accepted:,} mails"
        times = habits.times(best, self._strictness)
        if file.days_with_mail >= KNOWN_DAYS:
            times += (times - 1) / 2
        return best * times, f"{times:.3g} times its best clean day, {best:,}"

    def _patience(self, site: str, file: _File) -> int:
        return max(LEAST_PATIENCE, round(self._of(site).patience / self._strictness * file.allowance))

    def _block(self, site: str, file: _File, now: float) -> None:
        file.blocked_until = now + DAY * self._of(site).block_days * 2 ** min(file.blocks, MOST_DOUBLINGS)
        file.blocks += 1
        file.days_with_mail = 0
        # Its good days count no more: when the block ends it is a newcomer that was blocked before.
        file.days = {file.day: file.days[file.day]}
        file.days[file.day].refused = max(file.days[file.day].refused, file.days[file.day].accepted + 1)

    def _opinion(self, site: str, ip: str, now: float) -> Opinion:
        judgement = self.look(site, ip, now)
        file = self._files[site, ip]
        today = file.days.get(file.day, _Day())
        recent = [day for number, day in file.days.items() if number >= file.day - CONDUCT_DAYS]
        return Opinion(
            site=site,
            ip=ip,
            judgement=judgement,
            age_days=round((now - file.first_seen) / DAY, 2),
            days_with_mail=file.days_with_mail,
            allowance=file.allowance,
            accepted=today.accepted,
            refused=today.refused,
            complaints=sum(day.complaints for day in recent),
            blocks=file.blocks,
            blocked_days=round(max(0.0, file.blocked_until - now) / DAY, 2),
            why=file.why,
        )

    def _of(self, site: str) -> Habits:
        return self._habits.get(site, MILD)


def _best(days: Iterable[_Day]) -> int:
    """Volume of the best day on which hardly anything was refused."""
    return max((day.accepted for day in days if day.refused <= CLEAN * day.accepted), default=0)
