"""Where the mail for a domain goes: from MX and address records to a route.

Owns the rules of RFC 5321 section 5.1 and RFC 7505: preference, implicit MX, null MX, loops, and which addresses mail
may never be sent to. Recipient domains are chosen by strangers, so an MX that leads into our own network is refused. It
connects to nobody.
"""

import asyncio
import ipaddress
import random
import re
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TypeVar, cast

import dns.exception
import dns.inet
import dns.name
import dns.reversename
from dns.rdata import Rdata
from dns.rdatatype import AAAA, CNAME, MX, PTR, TXT, A, RdataType
from dns.rdtypes.ANY.CNAME import CNAME as CnameRecord
from dns.rdtypes.ANY.MX import MX as MxRecord
from dns.rdtypes.ANY.PTR import PTR as PtrRecord
from dns.rdtypes.ANY.TXT import TXT as TxtRecord

from core.errors import UnavailableError
from mta.dns_client import Answer, DnsClient, DnsSettings, Outcome
from mta.model import FAMILIES, IPV4, IPV6, Host, Phase, Response, Route, Trouble, family_of
from mta.providers import Providers

HOSTS = 5
"""Addresses in a route, and mail servers looked up for it (the same figure as Postfix's smtp_mx_address_limit)."""

_SERVERS = 50
"""Mail servers of a domain that are remembered, the preferred ones first; some answers hold thousands."""

_HOST_NAME = re.compile(r"(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]{0,62})(\.[a-z0-9_][a-z0-9_-]{0,62}){0,126}")
"""Letters, digits and hyphens (RFC 1123 section 2.1), and the underscore that some have in spite of it. DNS itself lets
a label be any octets; TLS, logs and statistics do not."""

_KEPT = 100_000
"""Domains, and mail servers, kept ready in memory."""

_HALF_KNOWN_SECONDS = 300.0
"""A server of which one family is known and the other could not be asked for is looked up again after so long (the
longest that RFC 2308 section 7 lets a failure be kept)."""

_K = TypeVar("_K")
_V = TypeVar("_V")


class DnsUnavailableError(UnavailableError):
    """No name server gave a usable answer. Asking again later can help."""


@dataclass(frozen=True, slots=True)
class TargetPolicy:
    """Which servers mail may go to."""

    own_names: frozenset[str] = frozenset()
    """Our own host names, lower case: an MX list that leads back to us is a loop."""
    own_addresses: frozenset[str] = frozenset()
    """Our own IP addresses, for the same reason."""
    ipv6: bool = False
    """Look up AAAA records too, for callers that can use them."""
    allow_private: bool = False
    """Private and loopback addresses may be targets: only for the practice internet and tests."""


@dataclass(frozen=True, slots=True)
class _Plan:
    """The MX records of a domain, made ready."""

    provider: str
    site: str
    groups: tuple[tuple[int, tuple[str, ...]], ...]
    """(preference, host names), lowest preference first."""
    expires: float


@dataclass(frozen=True, slots=True)
class _Target:
    """One mail server: the addresses mail may go to, or why there are none."""

    addresses: tuple[str, ...]
    expires: float
    asked: frozenset[int]
    """Families that were looked up."""
    failure: Response | None = None
    ours: bool = False
    """It is this server."""


class Resolver:
    """Routes and records for one event loop."""

    def __init__(
        self,
        providers: Providers,
        servers: Sequence[str] = (),
        policy: TargetPolicy | None = None,
        settings: DnsSettings | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`servers` are "ip" or "ip:port"; none takes the system's. ConfigurationError for an unusable list."""
        self._dns = DnsClient(servers, settings, clock)
        self._providers = providers
        self._policy = policy or TargetPolicy()
        self._clock = clock
        self._plans: dict[str, _Plan] = {}
        self._targets: dict[str, _Target] = {}
        self._routes: dict[tuple[str, frozenset[int]], tuple[Route, float]] = {}
        """Routes that leave nothing to chance, as they were asked for, and until when they hold."""
        self._looking: set[asyncio.Future[Route | Response]] = set()

    def known(self, domain: str, families: frozenset[int] = FAMILIES) -> Route | None:
        """What `route` would say, at once, when all of it is known and there is nothing to shuffle. None: ask it."""
        kept = self._routes.get((domain, families))
        return kept[0] if kept is not None and kept[1] > self._clock() else None

    def ahead(self, domains: Iterable[str], families: frozenset[int] = FAMILIES) -> None:
        """Begin to look for the servers of those domains that are not known: who asks for their routes next finds them,
        or waits for the rest of it only."""
        for domain in domains:
            plan = self._plans.get(_ascii(domain))
            if plan is None or plan.expires <= self._clock():
                looking = asyncio.ensure_future(self.route(domain, families))
                self._looking.add(looking)
                looking.add_done_callback(self._looking.discard)

    async def route(self, domain: str, families: Collection[int] = FAMILIES) -> Route | Response:
        """Hosts for a recipient domain in the order to try them, equal ones shuffled anew by every call, at most 5 of
        each family of addresses. `families` are those that somebody can send from.

        `domain` without dot at the end, IDNA or Unicode. A Response (phase RESOLVE) when there is none: NULL_MX,
        NO_DOMAIN, DNS_TEMPORARY, FORBIDDEN_TARGET, or UNREACHABLE when no such family leads there.
        """
        name = _ascii(domain)
        plan = self._plans.get(name)
        if plan is None or plan.expires <= self._clock():
            planned = await self._plan(name)
            if isinstance(planned, Response):
                return planned
            plan = planned
        usable = frozenset(families if self._policy.ipv6 else {IPV4} & set(families))
        hosts = await self._hosts(plan, usable)
        if isinstance(hosts, Response):
            return hosts
        route = Route(domain, plan.provider, hosts, plan.site)
        until = self._settled_until(plan, usable)
        if until is not None:
            _keep(self._routes, (domain, frozenset(families)), (route, until))
        return route

    async def mx(self, name: str) -> list[tuple[int, str]]:
        """MX records as (preference, host name), best first; [] for none. DnsUnavailableError."""
        records = cast(tuple[MxRecord, ...], await self._records(_ascii(name), MX))
        return sorted((record.preference, _name(record.exchange)) for record in records)

    async def txt(self, name: str) -> list[str]:
        """TXT records, the strings of each one joined; [] for none. DnsUnavailableError."""
        records = cast(tuple[TxtRecord, ...], await self._records(_ascii(name), TXT))
        return [b"".join(record.strings).decode("utf-8", "replace") for record in records]

    async def cname(self, name: str) -> list[str]:
        """What a name is an alias of, not followed further; [] for no alias. DnsUnavailableError."""
        records = cast(tuple[CnameRecord, ...], await self._records(_ascii(name), CNAME))
        return [_name(record.target) for record in records]

    async def ptr(self, address: str) -> list[str]:
        """Host names of an IP address; [] for none. DnsUnavailableError; ValueError when it is not an address."""
        reverse = dns.reversename.from_address(str(ipaddress.ip_address(address)))
        records = cast(tuple[PtrRecord, ...], await self._records(_name(reverse), PTR))
        return [_name(record.target) for record in records]

    async def addresses(self, name: str) -> list[str]:
        """A and AAAA records of a name, whatever the policy says of them; [] for none. DnsUnavailableError."""
        found = [await self._records(_ascii(name), kind) for kind in (A, AAAA)]
        return [record.to_text() for records in found for record in records]

    async def _records(self, name: str, kind: RdataType) -> tuple[Rdata, ...]:
        answer = await self._dns.ask(name, kind)
        if answer.outcome is Outcome.FAILED:
            raise DnsUnavailableError(f"{name} {kind.name}: {answer.reason}")
        return answer.records

    # From MX records to hosts

    async def _plan(self, name: str) -> _Plan | Response:
        answer = await self._dns.ask(name, MX)
        if answer.outcome is Outcome.FAILED:
            return _response(Trouble.DNS_TEMPORARY, answer.reason)
        if answer.outcome is Outcome.NO_NAME:
            return _response(Trouble.NO_DOMAIN, f"{name} does not exist")
        made = self._made(name, answer)
        if isinstance(made, _Plan):
            _keep(self._plans, name, made)
        return made

    def _made(self, name: str, answer: Answer) -> _Plan | Response:
        records = cast(tuple[MxRecord, ...], answer.records)
        pairs = sorted({(record.preference, _name(record.exchange)) for record in records})
        if not pairs:
            pairs = [(0, name)]  # no MX at all: the domain's own address (RFC 5321 section 5.1)
        elif all(host == "" for _, host in pairs):
            return _response(Trouble.NULL_MX, f"{name} accepts no mail (null MX)")
        usable = [pair for pair in pairs if _is_host_name(pair[1])][:_SERVERS]
        if not usable:
            return _response(Trouble.NO_DOMAIN, f"no MX of {name} is a host name: {pairs[0][1][:100]}")
        ours = [preference for preference, host in usable if host in self._policy.own_names]
        if ours:
            # Whoever is no better than we are would hand the mail back to us.
            usable = [pair for pair in usable if pair[0] < min(ours)]
        if not usable:
            return _response(Trouble.FORBIDDEN_TARGET, f"loop: the MX of {name} leads back to this server")
        groups = tuple((key, tuple(host for _, host in group)) for key, group in groupby(usable, lambda pair: pair[0]))
        names = [host for _, host in usable]
        return _Plan(self._providers.provider_of(names), self._providers.site_of(names), groups, answer.expires)

    async def _hosts(self, plan: _Plan, families: frozenset[int]) -> tuple[Host, ...] | Response:
        """Addresses for the first servers of a plan; when none is left, the reason that says most."""
        share = max(1, HOSTS // sum(len(group) for _, group in plan.groups))
        hosts: list[Host] = []
        failed: list[Response] = []
        order = _in_order(plan)
        targets = [self._fresh(name, families) for _, name in order]
        if targets == [None]:
            targets = [await self._target(order[0][1], families)]
        elif None in targets:
            # Together: five servers whose names lead into a dead zone would otherwise cost five times the patience.
            targets = list(await asyncio.gather(*(self._target(name, families) for _, name in order)))
        for (preference, name), target in zip(order, targets, strict=True):
            assert target is not None
            if target.ours:
                hosts = [host for host in hosts if host.preference < preference]
            failure = target.failure or _out_of_reach(name, target, families)
            if failure is None:
                hosts += [Host(name, address, preference) for address in _chosen(target, families, share)]
            else:
                failed.append(failure)
            if target.ours:
                break
        return tuple(hosts) or min(failed, key=lambda failure: _TELLING.index(failure.trouble))

    def _settled_until(self, plan: _Plan, families: frozenset[int]) -> float | None:
        """How long the next call makes the same route; None: it draws lots, or what it needs is over already."""
        if any(len(names) > 1 for _, names in plan.groups):
            return None
        targets = [self._fresh(name, families) for _, name in _in_order(plan)]
        fixed = [target for target in targets if target is not None and not _several_of_one(target)]
        if len(fixed) < len(targets):
            return None
        return min([plan.expires, *(target.expires for target in fixed)])

    async def _target(self, name: str, families: frozenset[int]) -> _Target:
        return self._fresh(name, families) or await self._look_up(name, families)

    def _fresh(self, name: str, families: frozenset[int]) -> _Target | None:
        """One mail server, if all that is wanted of it is known."""
        target = self._targets.get(name)
        if target is None or target.expires <= self._clock() or not target.asked >= families:
            return None
        return target

    async def _look_up(self, name: str, families: frozenset[int]) -> _Target:
        """The addresses of one mail server, judged, from now on in the cache until their TTL ends."""
        if IPV6 in families:
            answers = list(await asyncio.gather(self._dns.ask(name, A), self._dns.ask(name, AAAA)))
        else:
            answers = [await self._dns.ask(name, A)]
            if answers[0].outcome is Outcome.NO_DATA:
                answers.append(await self._dns.ask(name, AAAA))  # to say what is wrong
        target = self._judge(name, answers)
        _keep(self._targets, name, target)
        return target

    def _judge(self, name: str, answers: list[Answer]) -> _Target:
        asked = frozenset((IPV4, IPV6)[: len(answers)])
        found = [str(record.to_text()) for answer in answers for record in answer.records]
        expires = self._expiry(answers, found)
        if not self._policy.own_addresses.isdisjoint(found):
            text = f"loop: {name} has an address of this server"
            return _Target((), expires, asked, _response(Trouble.FORBIDDEN_TARGET, text), ours=True)
        allowed = [address for address in found if not is_forbidden(address, self._policy.allow_private)]
        if allowed:
            return _Target(tuple(allowed), expires, asked)
        if found:
            text = f"{name} is at {found[0]}, which is not a public address"
            return _Target((), expires, asked, _response(Trouble.FORBIDDEN_TARGET, text))
        broken = next((answer for answer in answers if answer.outcome is Outcome.FAILED), None)
        if broken is not None:
            return _Target((), expires, asked, _response(Trouble.DNS_TEMPORARY, broken.reason))
        return _Target((), expires, asked, _response(Trouble.NO_DOMAIN, f"{name} has no address"))

    def _expiry(self, answers: list[Answer], found: list[str]) -> float:
        """Where one family was found and the question for the other failed, that is not repeated every few seconds:
        some servers never answer for AAAA, and each time a mail would wait for them."""
        if found:
            known = min(answer.expires for answer in answers if answer.outcome is not Outcome.FAILED)
            return min(known, self._clock() + _HALF_KNOWN_SECONDS) if _some_failed(answers) else known
        return min(answer.expires for answer in answers)


def is_forbidden(address: str, allow_private: bool = False) -> bool:
    """True for an address that mail may not go to, because strangers' DNS could point it at machines behind us.

    Private, loopback, link-local, shared (CGNAT), documentation: `allow_private` lets them through, for practice only.
    Multicast, unspecified, reserved, and IPv6 forms that carry an IPv4 address: never.
    """
    ip = ipaddress.ip_address(address)
    if ip.is_loopback:
        return not allow_private
    if ip.is_multicast or ip.is_unspecified or ip.is_reserved:
        # For IPv6 "reserved" is everything outside the blocks in use, IPv4-mapped and NAT64 addresses included.
        return True
    if isinstance(ip, ipaddress.IPv6Address) and (ip.sixtofour is not None or ip.teredo is not None):
        return True
    return not allow_private and (not ip.is_global or (ip.version == 6 and ip.is_site_local))


_TELLING = (Trouble.DNS_TEMPORARY, Trouble.FORBIDDEN_TARGET, Trouble.UNREACHABLE, Trouble.NO_DOMAIN)
"""Of several servers' failures the one to report: what may pass by itself first."""


def _keep(table: dict[_K, _V], key: _K, value: _V) -> None:
    """Put it in; a table at its bound loses what came first."""
    if len(table) >= _KEPT:
        del table[next(iter(table))]
    table[key] = value


def _several_of_one(target: _Target) -> bool:
    """Whether it has more than one address of a family."""
    return len({family_of(address) for address in target.addresses}) < len(target.addresses)


def _some_failed(answers: list[Answer]) -> bool:
    return any(answer.outcome is Outcome.FAILED for answer in answers)


def _chosen(target: _Target, families: frozenset[int], share: int) -> list[str]:
    """At most `share` addresses of each family."""
    chosen: list[str] = []
    for family in sorted(families):
        of_family = [address for address in target.addresses if family_of(address) == family]
        chosen += of_family if len(of_family) < 2 else random.sample(of_family, min(share, len(of_family)))
    return chosen


def _out_of_reach(name: str, target: _Target, families: frozenset[int]) -> Response | None:
    if any(family_of(address) in families for address in target.addresses):
        return None
    has = " and ".join(sorted({f"IPv{family_of(address)}" for address in target.addresses}))
    return _response(Trouble.UNREACHABLE, f"{name} has only {has}, which no IP here can send over")


def _in_order(plan: _Plan) -> list[tuple[int, str]]:
    """The first servers of a plan, equal ones shuffled (RFC 5321 section 5.1)."""
    order: list[tuple[int, str]] = []
    for preference, names in plan.groups:
        shuffled = names if len(names) == 1 else random.sample(names, len(names))
        order += [(preference, name) for name in shuffled]
        if len(order) >= HOSTS:
            break
    return order[:HOSTS]


def _response(trouble: Trouble, text: str) -> Response:
    return Response(Phase.RESOLVE, text=text[:1000], trouble=trouble)


def _name(name: dns.name.Name) -> str:
    """Lower case, without the dot at the end; "" for the root."""
    return name.to_text(omit_final_dot=True).lower().removesuffix(".")


def _ascii(domain: str) -> str:
    """Lower case and punycode, without a dot at the end. What cannot be encoded stays, and no name server knows it."""
    name = domain.lower().removesuffix(".")
    if name.isascii():
        return name
    try:
        return dns.name.from_unicode(name).to_text(omit_final_dot=True)
    except dns.exception.DNSException:
        return name


def _is_host_name(name: str) -> bool:
    """Whether mail can be sent to a server of this name: no IP address, no root, nothing that no host can be called."""
    return _HOST_NAME.fullmatch(name) is not None and not (name[-1].isdigit() and dns.inet.is_address(name))
