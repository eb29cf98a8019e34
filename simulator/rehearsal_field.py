"""What both senders of a rehearsal send into: the simulated providers, their words, and the counts of a day.

Asks `simulator/reputation.Judge`, lets some recipients not exist and some complain, and reads each provider's replies
by the shipped rules, once.
"""

import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from mta.model import Phase, Verdict
from mta.replies import classify
from mta.reply_parser import ReplyParser, response_of
from simulator.model import Stage
from simulator.rehearsal_model import Scenario, Tally
from simulator.replies import STYLES, fill, wire
from simulator.reputation import Judge, Met
from warmup.progress import DayFigures

SILENT: Final = frozenset({"gmail"})
"""Google reports complaints in Postmaster Tools only, not mail by mail: the plan does not hear of them."""

_DAY: Final = 24 * 60
_PHASES: Final = {
    Stage.BANNER: Phase.BANNER,
    Stage.STARTTLS: Phase.STARTTLS,
    Stage.MAIL: Phase.MAIL,
    Stage.RCPT: Phase.RCPT,
    Stage.DOT: Phase.DOT,
}


@dataclass(frozen=True, slots=True)
class Replies:
    """What one provider says to an IP it does not want, and what the shipped rules make of it."""

    phase: Phase
    throttle: Verdict
    throttle_text: str
    block: Verdict
    block_text: str


@dataclass(frozen=True, slots=True)
class Offered:
    """What became of mails of one IP that arrived together."""

    taken: int
    """Ended: delivered, or refused because the mailbox does not exist."""
    throttled: int
    blocked: int

    @property
    def refused(self) -> int:
        """Throttled and blocked: not ended."""
        return self.throttled + self.blocked


class Field:
    """All providers for one way of sending. Times are minutes since the beginning."""

    def __init__(self, scenario: Scenario, new: Sequence[str], warm: Sequence[str], sites: Iterable[str]) -> None:
        self.sites = tuple(sites)
        self.replies = {site: _replies(site) for site in self.sites}
        self.judge = Judge(scenario.seed, scenario.strictness, blocks=scenario.blocks)
        self.tally = Tally()
        self.figures: dict[tuple[str, str], DayFigures] = {}
        """By IP and provider: what the plan is told about a day."""
        self.seen: Counter[tuple[str, str]] = Counter()
        """By IP and provider: mails of this day that came as far as MAIL FROM."""
        self.delays: Counter[int] = Counter()
        """Minutes from arrival to delivery."""
        self._scenario = scenario
        self._new = frozenset(new)
        self._random = random.Random(f"{scenario.seed}|field")
        self._carried: dict[tuple[str, str, str], float] = defaultdict(self._random.random)
        self._complained: dict[tuple[str, str], DayFigures] = {}
        self._unknown_of_last = 0
        for site, share in scenario.mix.items():
            for ip in warm:
                self.judge.introduce(site, ip, round(scenario.volume * share / len(warm)), 60, 0.0)

    def room(self, site: str, ip: str, minute: int) -> int:
        """Mails the provider would take from this IP now."""
        return self.judge.room(site, ip, minute * 60.0)

    def offer(self, site: str, ip: str, n: int, minute: int) -> Offered:
        """`n` mails arrive at a provider. The caller says by `delivered` which of them were taken."""
        if n == 0:
            return Offered(0, 0, 0)
        now = minute * 60.0
        met = self.judge.meet(site, ip, n, now)
        unknown = self._some("unknown", site, ip, met.accepted * self._scenario.unknown, met.accepted)
        complaints = self._some("complaint", site, ip, met.accepted * self._scenario.complaints, met.accepted)
        self.judge.unknown(site, ip, unknown, now)
        self.judge.complained(site, ip, complaints, now)
        self._count(site, ip, met, unknown, complaints)
        return Offered(met.accepted, met.throttled, met.blocked)

    def delivered(self, n: int, born: int, minute: int) -> None:
        """`n` of the mails taken had arrived at minute `born`. The unknown users among them are taken off first."""
        unknown = min(n, self._unknown_of_last)
        self._unknown_of_last -= unknown
        if n - unknown:
            self.delays[minute - born] += n - unknown
            self.tally.same_day += n - unknown if minute - born < _DAY else 0

    def bounced(self, site: str, ip: str, n: int) -> None:
        """`n` refused mails ended by a refusal of the message."""
        self.tally.bounced += n
        key = (ip, site)
        self.figures[key] = self.figures.get(key, DayFigures()) + DayFigures(deferred=-n, bounced=n)

    def end_day(self) -> Tally:
        """The counts of the day; those of the next one begin. Complaints are heard the day after."""
        tally, self.tally = self.tally, Tally()
        heard = {
            key: DayFigures(complained=figures.complained)
            for key, figures in self._complained.items()
            if key[1] not in SILENT
        }
        self.figures, self._complained = heard, {}
        self.seen.clear()
        return tally

    def _count(self, site: str, ip: str, met: Met, unknown: int, complaints: int) -> None:
        tally, key = self.tally, (ip, site)
        delivered = met.accepted - unknown
        tally.delivered += delivered
        tally.unknown += unknown
        tally.complaints += complaints
        tally.throttled += met.throttled
        tally.blocked += met.blocked
        if ip in self._new:
            tally.by_new += delivered
            tally.refused_new += met.refused
        self._unknown_of_last += unknown
        self.seen[key] += met.accepted + (0 if self.replies[site].phase is Phase.BANNER else met.refused)
        added = DayFigures(delivered=delivered, deferred=met.refused, bounced=unknown)
        self.figures[key] = self.figures.get(key, DayFigures()) + added
        if complaints:
            before = self._complained.get(key, DayFigures())
            self._complained[key] = before + DayFigures(complained=complaints)

    def _some(self, what: str, site: str, ip: str, expected: float, most: int) -> int:
        """A whole number for an expectation; what is left of it comes with later mails."""
        key = (what, site, ip)
        carried = self._carried[key] + expected
        n = min(most, int(carried))
        self._carried[key] = carried - n
        return n


def percentile(delays: Mapping[int, int], share: float) -> float:
    """Hours within which `share` of the mails was delivered; 0 when none was."""
    wanted, passed = share * sum(delays.values()), 0
    for minutes in sorted(delays):
        passed += delays[minutes]
        if passed >= wanted:
            return minutes / 60
    return 0.0


def _replies(site: str) -> Replies:
    style = STYLES.get(site, STYLES["small"])
    throttle, throttle_text = _read(style.throttle, site, _PHASES[style.throttle_stage])
    block, block_text = _read(style.block, site, Phase.RCPT)
    return Replies(_PHASES[style.throttle_stage], throttle, throttle_text, block, block_text)


def _read(template: str, site: str, phase: Phase) -> tuple[Verdict, str]:
    """The verdict of the shipped rules about a simulated reply, by way of the product's own parser."""
    parser = ReplyParser()
    text = fill(template, id="0001", host=f"mx.{site}.sim", ip="192.0.2.1", rcpt="a@b.sim", domain="b.sim", seconds=1)
    parser.feed(wire(text))
    response = response_of(phase, parser.replies[0])
    return classify(response, site), f"{response.code} {response.enhanced} {response.text}"
