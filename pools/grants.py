"""Which IP carries each mail of a batch, within everything that limits it.

An IP is asked for in this order: it must be in the pool, active and not resting at the site; a warming IP needs
allowance from its ledger; and every IP needs tokens of its rate at the site. What one IP cannot take goes to the others
of the pool, then to the overflow pool, at once; only what nobody can take gets a `Wait`, with the earliest time and all
reasons. One batch costs one statement for all warming IPs and one Redis call for all rates, and another round only for
what fell short.

Decides nothing about replies.
"""

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import NamedTuple, Protocol
from uuid import UUID

from core.queues import Lane
from flags import declared
from mta.model import FAMILIES, EgressIp, RelayLimits
from mta.providers import Providers
from pools.choose import choose, warming_share
from pools.health import Rate
from pools.model import EVERYWHERE, Pool, PoolMember, Rest, Wait
from pools.rates import RateRequest, Taken
from warmup.ledger import Reserved, Returned, Wanted, Warming

MAX_ROUNDS = 8
"""Rounds of asking. Each marks at least one IP as used up, so only a pool with many used-up IPs needs more; what is
left then waits a second and asks again."""

_MOST_TURNS = 50_000
"""Pools and sites whose turn is remembered: every small domain is a site of its own."""

SHORT_WAIT = timedelta(seconds=1)


class Throttles(Protocol):
    """What is throttled where; see `pools/throttle.ThrottleBook`."""

    def rest(self, ip: str, site: str, now: datetime) -> Rest | None: ...
    def rate(self, ip: str, site: str, now: datetime) -> Rate | None: ...
    def domain_rate(self, domain: str, site: str, now: datetime) -> Rate | None: ...


class RateSource(Protocol):
    """Rates shared by all workers; see `pools/rates.Rates`."""

    async def take(self, wanted: Sequence[RateRequest]) -> list[Taken]: ...
    async def give_back(self, unused: Sequence[tuple[str, int]]) -> None: ...


class Allowances(Protocol):
    """What warming IPs may still carry; see `warmup/ledger.Ledger`."""

    def warming(self, ip: str, provider: str) -> Warming | None: ...
    async def reserve(self, wanted: Sequence[Wanted]) -> list[Reserved]: ...
    async def give_back(self, unused: Sequence[Returned]) -> None: ...


class PoolSource(Protocol):
    """Finds the overflow of a pool; see `pools/repository.PoolBook`."""

    def overflow_of(self, pool: Pool) -> Pool | None: ...


@dataclass(frozen=True, slots=True)
class Ask:
    """So many mails of one pool for one site."""

    pool: Pool
    provider: str
    site: str
    n: int
    domain: str = ""
    """The sending domain, when its own rate at the site is limited just now."""
    avoid: frozenset[str] = frozenset()
    """Addresses of IPs that these mails were already throttled on."""
    urgent: bool = False
    """A mail whose IP was throttled under it: it does not wait behind the queue that the rates hold up."""
    only: str = ""
    """The one IP that will do: a greylisted mail goes back to it, or is asked for again without."""
    families: frozenset[int] = FAMILIES
    """IP versions that lead to the site's servers: an IP of another one is passed over."""


class Ticket(NamedTuple):
    """Allowance of a warming IP for one mail: to be used, or given back."""

    ip: str
    track: str
    day: date | None
    """None: nothing was counted, the IP has no cap there any more."""


class Grant(NamedTuple):
    """One mail may leave through this IP."""

    ip: EgressIp
    ticket: Ticket | None


@dataclass(frozen=True, slots=True)
class Granted:
    """The answer to one `Ask`: at most n grants, in no order (see `deal`); and why the rest has to wait."""

    grants: Sequence[Grant]
    wait: Wait | None


@dataclass(slots=True)
class _Open:
    """One ask while it is being answered."""

    ask: Ask
    chain: list[Pool]
    left: int
    members: list[PoolMember] = field(default_factory=list)
    grants: list[Grant] = field(default_factory=list)
    drawn: list[tuple[EgressIp, list[Grant]]] = field(default_factory=list)
    """Of this round, before the rates were asked."""
    refused: dict[str, Rest] = field(default_factory=dict)
    unfit: set[str] = field(default_factory=set)
    """Addresses of an IP version that leads to no server."""
    domain_tokens: int = 0
    """Taken from the sending domain's own rate; what no IP could carry goes back."""
    level: int = 0

    def refuse(self, address: str, until: datetime | None, reason: str) -> None:
        self.refused[address] = Rest(until, reason)


class Granter:
    """Answers for one worker process. `turns` remembers whose turn it is, per pool and site."""

    def __init__(
        self, pools: PoolSource, throttles: Throttles, rates: RateSource, ledger: Allowances, providers: Providers
    ) -> None:
        self._pools = pools
        self._throttles = throttles
        self._rates = rates
        self._ledger = ledger
        self._providers = providers
        self._turns: dict[tuple[UUID, str], int] = {}

    async def grant(self, asks: Sequence[Ask], lane: Lane, now: datetime) -> list[Granted]:
        """An answer to each ask. `now` by the database's clock. Raises what the ledger's database raises."""
        opened = [_Open(ask, self._chain(ask), ask.n) for ask in asks]
        await self._limit_domains(opened, now)
        try:
            await self._take(opened, lane, now)
        finally:
            await self._return_domain_tokens(opened)
        return [Granted(o.grants, self._wait(o, now)) for o in opened]

    async def give_back(self, tickets: Iterable[tuple[Ticket, int]]) -> None:
        """Return allowances whose mail did not go through their IP."""
        unused = [Returned(ticket.ip, ticket.track, ticket.day, n) for ticket, n in tickets]
        if unused:
            await self._ledger.give_back(unused)

    # Who could

    def _chain(self, ask: Ask) -> list[Pool]:
        """The pool and its overflows. Administration refuses loops; one that came in otherwise ends here."""
        chain = [ask.pool]
        if not declared.POOL_OVERFLOW.on(None, ask.pool.id):
            return chain
        while not ask.only and (more := self._pools.overflow_of(chain[-1])) is not None and more not in chain:
            chain.append(more)
        return chain

    def _find_members(self, o: _Open, lane: Lane, now: datetime) -> bool:
        """The usable IPs of the first pool of the chain that has any."""
        while o.level < len(o.chain):
            o.members = [member for member in o.chain[o.level].members if self._usable(o, member, lane, now)]
            if o.members:
                return True
            o.level += 1
        return False

    def _usable(self, o: _Open, member: PoolMember, lane: Lane, now: datetime) -> bool:
        address, ask = member.ip.address, o.ask
        if address in o.refused or address in ask.avoid or member.weight == 0 or ask.only not in ("", address):
            return False
        if member.ip.families.isdisjoint(ask.families):
            o.unfit.add(address)
            return False
        if not member.active:
            if member.why:
                o.refuse(address, None, member.why)
            return False
        rest = self._throttles.rest(address, ask.site, now)
        if rest is not None:
            o.refused[address] = rest
            return False
        if lane is Lane.TRANSACTIONAL:
            warming = self._ledger.warming(address, ask.provider)
            if warming is not None and warming.transactional == "avoid":
                o.refuse(address, None, "warms up, and transactional mail is kept off it")
                return False
        return True

    # Taking

    async def _take(self, opened: Sequence[_Open], lane: Lane, now: datetime) -> None:
        for _ in range(MAX_ROUNDS):
            busy = [o for o in opened if o.left and self._find_members(o, lane, now)]
            if not busy:
                break
            await self._draw_allowances(busy, lane)
            for o in busy:
                self._spread(o)
            await self._draw_rates(busy, now)

    async def _limit_domains(self, opened: Sequence[_Open], now: datetime) -> None:
        """A sending domain that comes back from a throttle has a rate of its own, whatever IPs it uses."""
        limited = [
            (o, rate) for o in opened
            if o.ask.domain and (rate := self._throttles.domain_rate(o.ask.domain, o.ask.site, now)) is not None
        ]  # fmt: skip
        if not limited:
            return
        taken = await self._rates.take(
            [RateRequest(_domain_key(o.ask), o.left, rate.per_second, 0, rate.burst) for o, rate in limited]
        )
        for (o, _), got in zip(limited, taken, strict=True):
            if got.granted < o.left:
                until = now + timedelta(seconds=got.wait_seconds)
                o.refuse(o.ask.domain, until, f"{o.ask.site} slowed mail of this domain down")
            o.left = o.domain_tokens = got.granted

    async def _return_domain_tokens(self, opened: Sequence[_Open]) -> None:
        """A domain on its way back would else lose its rate to mail that never left."""
        left = [(_domain_key(o.ask), o.domain_tokens - len(o.grants)) for o in opened if o.domain_tokens]
        unused = [(key, n) for key, n in left if n]
        if unused:
            await self._rates.give_back(unused)

    async def _draw_allowances(self, busy: Sequence[_Open], lane: Lane) -> None:
        """Warming IPs come first, as far as their ledgers allow. One statement for all of them."""
        shares: list[tuple[_Open, PoolMember, int]] = []
        for o in busy:
            warming = [m for m in o.members if self._ledger.warming(m.ip.address, o.ask.provider) is not None]
            if not warming:
                continue
            share, left = warming_share(o.left, len(warming), len(o.members)), o.left
            for member in warming:
                shares.append((o, member, min(share, left)))
                left -= min(share, left)
        if not shares:
            return
        wanted: dict[tuple[str, str], int] = {}
        for o, member, n in shares:
            key = (member.ip.address, o.ask.provider)
            wanted[key] = wanted.get(key, 0) + n
        asked = {key: n for key, n in wanted.items() if n}
        reserved = dict(
            zip(asked, await self._ledger.reserve([Wanted(*key, n, lane) for key, n in asked.items()]), strict=True)
            if asked else ()
        )  # fmt: skip
        granted = {key: answer.granted for key, answer in reserved.items()}
        for o, member, n in shares:
            key = (member.ip.address, o.ask.provider)
            o.members.remove(member)
            if n == 0:
                continue
            answer = reserved[key]
            got = min(n, granted[key])
            granted[key] -= got
            if got < n:
                o.refuse(member.ip.address, answer.until, answer.reason)
            if got:
                ticket = Ticket(answer.ip, answer.track, answer.day)
                o.drawn.append((member.ip, [Grant(member.ip, ticket)] * got))

    def _spread(self, o: _Open) -> None:
        """Equal shares, or by weight, of what is left over the warm IPs."""
        left = o.left - sum(len(grants) for _, grants in o.drawn)
        if not left or not o.members:
            return
        key = (o.chain[o.level].id, o.ask.site)
        turn = self._turns.get(key)
        if turn is None:
            if len(self._turns) >= _MOST_TURNS:
                self._turns.clear()  # whoever comes next begins at a random turn, as after a start
            turn = random.randrange(1 << 20)
        self._turns[key] = turn + left
        o.drawn.extend((g.ip, [Grant(g.ip, None)] * g.count) for g in choose(o.members, left, turn))

    async def _draw_rates(self, busy: Sequence[_Open], now: datetime) -> None:
        """Tokens for what was drawn. Short ones mark their IP as used up for this ask."""
        requests: list[RateRequest] = []
        limited: list[tuple[_Open, EgressIp, list[Grant]]] = []
        for o in busy:
            for ip, grants in o.drawn:
                request = self._request(ip, o.ask, len(grants), now)
                if request is None:
                    o.grants.extend(grants)
                    o.left -= len(grants)
                else:
                    requests.append(request)
                    limited.append((o, ip, grants))
            o.drawn = []
        if not requests:
            return
        unused: dict[Ticket, int] = {}
        for (o, ip, grants), got in zip(limited, await self._rates.take(requests), strict=True):
            o.grants.extend(grants[: got.granted])
            o.left -= got.granted
            if got.granted < len(grants):
                until = now + timedelta(seconds=got.wait_seconds)
                o.refuse(ip.address, until, f"its rate at {o.ask.site} is used up")
                ticket = grants[0].ticket
                if ticket is not None:
                    unused[ticket] = unused.get(ticket, 0) + len(grants) - got.granted
        await self.give_back(unused.items())

    def _request(self, ip: EgressIp, ask: Ask, n: int, now: datetime) -> RateRequest | None:
        address, site = ip.address, ask.site
        if ip.limits is not None:
            return _relay_request(ip.address, ip.limits, ask, n)
        limits = self._providers.limits_of_site(site)
        per_second = limits.messages_per_second
        own = self._throttles.rate(address, site, now)
        if own is not None and (not per_second or own.per_second < per_second):
            return RateRequest(f"{address}|{site}", n, own.per_second, limits.messages_per_hour, own.burst)
        if not per_second and not limits.messages_per_hour:
            return None
        burst = max(1, round(per_second))
        ahead = burst if ask.urgent else 0
        return RateRequest(f"{address}|{site}", n, per_second, limits.messages_per_hour, burst, ahead)

    # Why not

    def _wait(self, o: _Open, now: datetime) -> Wait | None:
        if o.ask.n == len(o.grants):
            return None
        names = " and ".join(pool.name for pool in o.chain)
        if not o.refused and o.unfit:
            versions = " and ".join(f"IPv{family}" for family in sorted(o.ask.families))
            return Wait(None, f"pool {names} has no {versions} address, and the mail servers have no other")
        if not o.refused:
            if o.left and o.members:
                return Wait(now + SHORT_WAIT, f"many IPs of pool {names} are used up at {o.ask.site}")
            return Wait(None, f"pool {names} has no {'other' if o.ask.avoid else 'active'} IP")
        ends = [rest.until for rest in o.refused.values() if rest.until is not None]
        why = "; ".join(f"{address}: {rest.reason}" for address, rest in o.refused.items())
        return Wait(min(ends, default=None), f"no IP of pool {names} can take mail for {o.ask.site} now ({why})")


def _domain_key(ask: Ask) -> str:
    return f"d|{ask.domain}|{ask.site}"


def _relay_request(name: str, limits: RelayLimits, ask: Ask, n: int) -> RateRequest | None:
    """What its owner allows it is for all recipients together."""
    per_second, per_hour = limits.messages_per_second, limits.messages_per_hour
    if not per_second and not per_hour:
        return None
    burst = max(1, round(per_second))
    return RateRequest(f"{name}|{EVERYWHERE}", n, per_second, per_hour, burst, burst if ask.urgent else 0)


def deal(grants: Sequence[Grant]) -> list[Grant]:
    """The same grants, those of warming IPs first, the others in turn, so that no IP gets all its mail at the end."""
    warming = [grant for grant in grants if grant.ticket is not None]
    by_ip: dict[str, list[Grant]] = {}
    for grant in grants:
        if grant.ticket is None:
            by_ip.setdefault(grant.ip.address, []).append(grant)
    shares = list(by_ip.values())
    rounds = max(map(len, shares), default=0)
    return warming + [share[n] for n in range(rounds) for share in shares if n < len(share)]
