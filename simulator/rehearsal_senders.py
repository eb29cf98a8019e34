"""The two senders of a rehearsal: a plain MTA that blasts, and Postlane with its own deciding code.

Both take what arrives for a provider, offer it to the `Field` (which asks the simulated providers and counts), and keep
what has to wait. Mails are counts with the minute they arrived in, never single objects. Times are
whole minutes since the rehearsal began.
"""

import random
from bisect import bisect_left
from collections import defaultdict, deque
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from operator import is_not
from typing import Final, Protocol
from uuid import UUID

from core.queues import Lane
from messages.retry import GIVE_UP_AFTER, next_attempt
from mta.model import Action, EgressIp, Phase, Scope, Verdict
from mta.providers import Providers
from pools.choose import choose
from pools.grants import Ask, Grant, Granted, Granter
from pools.health import Evidence
from pools.model import Pool, PoolMember
from simulator.rehearsal_field import Field, Offered
from simulator.rehearsal_twins import Allowances, NoOverflow, Rates, Throttles, at_once

START: Final = datetime(2001, 1, 1, tzinfo=UTC)
"""Any day: only differences count."""

STEP: Final = 5
"""Minutes that are worked on at once; while an IP comes back from a throttle, every single one."""

_GIVE_UP: Final = GIVE_UP_AFTER // timedelta(minutes=1)
_BATCH: Final = 50_000
_NO_IP_RETRY: Final = 5
_BY_THE_CLOCK: Final = Verdict(Action.RETRY_LATER, "unread", Scope.HOST, "plain-mta")
"""A plain MTA reads the code and not the words."""
_BEFORE_MAIL: Final = frozenset({Phase.BANNER, Phase.EHLO})
"""A refusal there has not used an allowance, as in workers/pipeline."""


class Sender(Protocol):
    """What the rehearsal asks of a way of sending."""

    def work(self, site: str, fresh: int, minute: int) -> None:
        """Send what arrives for a provider within `STEP` minutes, and what is due."""

    def waiting(self) -> int:
        """Mails not ended."""


class Blast:
    """Equal shares over all IPs from the first mail; the plain retry clock; a 5xx ends the mail."""

    def __init__(self, ips: Sequence[str], field: Field, seed: int) -> None:
        self._members = [_member(ip) for ip in ips]
        self._field = field
        self._random = random.Random(f"{seed}|blast")
        self._turn = 0
        self._due: dict[tuple[str, int], dict[tuple[int, int], int]] = {}
        self._waiting = 0

    def waiting(self) -> int:
        return self._waiting

    def work(self, site: str, fresh: int, minute: int) -> None:
        due = self._due.pop((site, minute), {})
        self._waiting -= sum(due.values())
        if fresh:
            due[minute, 0] = fresh
        total = sum(due.values())
        if not total:
            return
        taken = throttled = 0
        for grant in choose(self._members, total, self._turn):
            offered = self._field.offer(site, grant.ip.address, grant.count, minute)
            taken += offered.taken
            throttled += offered.throttled
        self._turn += total
        self._end(site, sorted(due.items()), (total, taken, throttled), minute)

    def _end(
        self, site: str, due: Sequence[tuple[tuple[int, int], int]], counts: tuple[int, int, int], minute: int
    ) -> None:
        """Give each group of mails its part of what was taken and put off; the remainder was refused for good."""
        total, taken, throttled = counts
        refused = total - taken
        seen = ours = later = passed = 0
        for (born, attempts), n in due:
            seen += n
            gone = taken * seen // total - ours
            ours += gone
            left = n - gone
            passed += left
            again = throttled * passed // refused - later if refused else 0
            later += again
            self._field.delivered(gone, born, minute)
            self._field.tally.bounced += left - again
            if again:
                self._retry(site, again, born, attempts + 1, minute)

    def _retry(self, site: str, n: int, born: int, attempts: int, minute: int) -> None:
        due = next_attempt(attempts, _at(born), _at(minute), _BY_THE_CLOCK, None, self._random.random())
        if due is None:
            self._field.tally.expired += n
            return
        step = _minute(due)
        step += -step % STEP
        group = self._due.setdefault((site, step), {})
        group[born, attempts] = group.get((born, attempts), 0) + n
        self._waiting += n


class Managed:
    """Postlane: `pools/grants` chooses, `pools/health` rests and brings back, the ledger caps those that warm up."""

    def __init__(self, ips: Sequence[str], field: Field, allowances: Allowances, providers: Providers) -> None:
        """`allowances` knows which of `ips` warm up; none of them when there is no plan."""
        self._field = field
        self._allowances = allowances
        self._providers = providers
        self._throttles = Throttles({site: providers.limits_of_site(site).messages_per_second for site in field.sites})
        self._rates = Rates()
        self._pool = Pool(UUID(int=1), "rehearsal", Lane.MARKETING, tuple(_member(ip) for ip in ips))
        self._granter = Granter(NoOverflow(), self._throttles, self._rates, allowances, providers)
        self._backlog: dict[str, deque[list[int]]] = defaultdict(deque)
        self._sizes: dict[str, int] = defaultdict(int)
        self._asleep: dict[str, int] = defaultdict(int)

    def waiting(self) -> int:
        return sum(self._sizes.values())

    def work(self, site: str, fresh: int, minute: int) -> None:
        parts = STEP if self._throttles.moving(site, _at(minute + STEP)) else 1
        for part in range(parts):
            share = fresh * (part + 1) // parts - fresh * part // parts
            self._part(site, share, minute + part, 60 * STEP // parts)

    def _part(self, site: str, fresh: int, minute: int, seconds: int) -> None:
        """What arrives and waits at one provider, as far as it can go now."""
        backlog, field = self._backlog[site], self._field
        if fresh:
            backlog.append([minute, fresh])
            self._sizes[site] += fresh
        while backlog and minute - backlog[0][0] >= _GIVE_UP:
            field.tally.expired += backlog[0][1]
            self._sizes[site] -= backlog.popleft()[1]
        if not self._sizes[site] or minute < self._asleep[site]:
            return
        for member in self._pool.members:
            self._rates.begin(f"{member.ip.address}|{site}", seconds)
        now = self._allowances.now = _at(minute)
        avoid: frozenset[str] = frozenset()
        while self._sizes[site]:
            ask = Ask(self._pool, site, site, min(_BATCH, self._sizes[site]), avoid=avoid)
            (granted,) = at_once(self._granter.grant([ask], Lane.MARKETING, now))
            refused = self._send(site, granted.grants, minute)
            avoid |= refused
            if granted.wait is not None and not refused:
                self._asleep[site] = _woken(granted, minute)
                return

    def _send(self, site: str, grants: Sequence[Grant], minute: int) -> frozenset[str]:
        """Use the grants. The IPs that were refused something; what they did not get is still in the backlog."""
        refused: set[str] = set()
        connections = self._providers.limits_of_site(site).connections
        for grant, count in _runs(grants):
            address = grant.ip.address
            # The mails on the wire when the first refusal comes meet it too; all others see the rest in time.
            n = min(count, self._field.room(site, address, minute) + connections)
            if address in refused:
                n = 0
            offered = self._field.offer(site, address, n, minute)
            self._conclude(site, address, offered, minute)
            if offered.refused:
                refused.add(address)
            used = n - (offered.refused if self._field.replies[site].phase in _BEFORE_MAIL else 0)
            self._return(grant, count - used)
        return frozenset(refused)

    def _conclude(self, site: str, address: str, offered: Offered, minute: int) -> None:
        """Take the mails that ended out of the backlog, and tell the health machine."""
        field, replies, now = self._field, self._field.replies[site], _at(minute)
        for born, n in self._leave(site, offered.taken):
            field.delivered(n, born, minute)
        self._throttles.delivered(address, site, offered.taken, now)
        for n, verdict, text in (
            (offered.throttled, replies.throttle, replies.throttle_text),
            (offered.blocked, replies.block, replies.block_text),
        ):
            if not n:
                continue
            if verdict.action is Action.THROTTLE_IP or (verdict.action, verdict.scope) == (Action.BLOCK, Scope.IP):
                observed = self._rates.observed(f"{address}|{site}")
                evidence = Evidence(verdict.rule, verdict.klass, text, verdict.wait, observed, now)
                self._throttles.throttled(address, site, evidence, now)
            else:  # it reads as a refusal of the message
                field.bounced(site, address, sum(n for _, n in self._leave(site, n)))

    def _leave(self, site: str, n: int) -> Iterable[tuple[int, int]]:
        """Take the oldest `n` mails out of the backlog: (minute of arrival, how many)."""
        backlog = self._backlog[site]
        self._sizes[site] -= n
        found = []
        while n:
            oldest = backlog[0]
            part = min(n, oldest[1])
            found.append((oldest[0], part))
            oldest[1] -= part
            n -= part
            if not oldest[1]:
                backlog.popleft()
        return found

    def _return(self, grant: Grant, unused: int) -> None:
        if grant.ticket is not None and unused:
            at_once(self._granter.give_back([(grant.ticket, unused)]))


def _member(ip: str) -> PoolMember:
    return PoolMember(EgressIp(ip, ip, f"mta.{ip}.rehearsal"))


def _runs(grants: Sequence[Grant]) -> Iterable[tuple[Grant, int]]:
    """Equal grants with their number. `Granter` repeats one object for an IP's share, so a run is found by halving."""
    start = 0
    while start < len(grants):
        first = grants[start]
        end = bisect_left(grants, True, start, key=partial(is_not, first))
        yield first, end - start
        start = end


def _woken(granted: Granted, minute: int) -> int:
    until = granted.wait.until if granted.wait is not None else None
    return minute + _NO_IP_RETRY if until is None else max(minute + 1, _minute(until))


def _at(minute: int) -> datetime:
    return START + timedelta(minutes=minute)


def _minute(moment: datetime) -> int:
    """The first whole minute that is not before."""
    return -((START - moment) // timedelta(minutes=1))
