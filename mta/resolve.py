"""Where the mail for a domain goes: from MX and address records to a route.

Owns the rules of RFC 5321 section 5.1 and RFC 7505: preference, implicit MX, null MX, loops, and which addresses mail
may never be sent to. Recipient domains are chosen by strangers, so an MX that leads into our own network is refused. It
connects to nobody. Called by `workers/pipeline` for routes, by domain verification and `postlane doctor` for records.
"""

import ipaddress
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import cast

import dns.exception
import dns.name
import dns.reversename
from dns.rdata import Rdata
from dns.rdatatype import AAAA, MX, PTR, TXT, A, RdataType
from dns.rdtypes.ANY.MX import MX as MxRecord
from dns.rdtypes.ANY.PTR import PTR as PtrRecord
from dns.rdtypes.ANY.TXT import TXT as TxtRecord

from core.errors import UnavailableError
from mta.dns_client import Answer, DnsClient, DnsSettings, Outcome
from mta.model import Host, Phase, Response, Route, Trouble
from mta.providers import OTHER, Providers

HOSTS = 5
"""Addresses in a route, and mail servers looked up for it (the same figure as Postfix's smtp_mx_address_limit)."""

_KEPT = 100_000
"""Domains, and mail servers, kept ready in memory."""


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
    """Look up AAAA records too."""
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

    async def route(self, domain: str) -> Route | Response:
        """Hosts for a recipient domain in the order to try them, at most 5, equal ones shuffled anew by every call.

        `domain` without dot at the end, IDNA or Unicode. A Response (phase RESOLVE) when there is none: NULL_MX,
        NO_DOMAIN, DNS_TEMPORARY, FORBIDDEN_TARGET, or UNREACHABLE when only IPv6 leads there and IPv6 is off.
        """
        name = _ascii(domain)
        plan = self._plans.get(name)
        if plan is None or plan.expires <= self._clock():
            planned = await self._plan(name)
            if isinstance(planned, Response):
                return planned
            plan = planned
        hosts = await self._hosts(plan)
        return hosts if isinstance(hosts, Response) else Route(domain, plan.provider, hosts, plan.site)

    async def mx(self, name: str) -> list[tuple[int, str]]:
        """MX records as (preference, host name), best first; [] for none. DnsUnavailableError."""
        records = cast(tuple[MxRecord, ...], await self._records(_ascii(name), MX))
        return sorted((record.preference, _name(record.exchange)) for record in records)

    async def txt(self, name: str) -> list[str]:
        """TXT records, the strings of each one joined; [] for none. DnsUnavailableError."""
        records = cast(tuple[TxtRecord, ...], await self._records(_ascii(name), TXT))
        return [b"".join(record.strings).decode("utf-8", "replace") for record in records]

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
            if len(self._plans) >= _KEPT:
                del self._plans[next(iter(self._plans))]
            self._plans[name] = made
        return made

    def _made(self, name: str, answer: Answer) -> _Plan | Response:
        records = cast(tuple[MxRecord, ...], answer.records)
        pairs = sorted({(record.preference, _name(record.exchange)) for record in records})
        if not pairs:
            pairs = [(0, name)]  # no MX at all: the domain's own address (RFC 5321 section 5.1)
        elif all(host == "" for _, host in pairs):
            return _response(Trouble.NULL_MX, f"{name} accepts no mail (null MX)")
        usable = [pair for pair in pairs if pair[1] and not _is_address(pair[1])]
        if not usable:
            return _response(Trouble.NO_DOMAIN, f"the MX of {name} is an IP address, not a host name")
        ours = [preference for preference, host in usable if host in self._policy.own_names]
        if ours:
            # Whoever is no better than we are would hand the mail back to us.
            usable = [pair for pair in usable if pair[0] < min(ours)]
        if not usable:
            return _response(Trouble.FORBIDDEN_TARGET, f"loop: the MX of {name} leads back to this server")
        groups = tuple((key, tuple(host for _, host in group)) for key, group in groupby(usable, lambda pair: pair[0]))
        provider = self._providers.provider_of(host for _, host in usable)
        site = f"mx:{usable[0][1]}" if provider == OTHER else provider
        return _Plan(provider, site, groups, answer.expires)

    async def _hosts(self, plan: _Plan) -> tuple[Host, ...] | Response:
        """Addresses for the first servers of a plan; when none is left, the reason that says most."""
        share = max(1, HOSTS // sum(len(group) for _, group in plan.groups))
        hosts: list[Host] = []
        failed: list[Response] = []
        for preference, name in _in_order(plan):
            if len(hosts) >= HOSTS:
                break
            target = self._targets.get(name)
            if target is None or target.expires <= self._clock():
                target = await self._look_up(name)
            if target.failure is None:
                addresses = target.addresses
                if len(addresses) > 1:
                    addresses = tuple(random.sample(addresses, min(share, len(addresses))))
                hosts += [Host(name, address, preference) for address in addresses]
            elif target.ours:
                hosts = [host for host in hosts if host.preference < preference]
                failed.append(target.failure)
                break
            else:
                failed.append(target.failure)
        return tuple(hosts[:HOSTS]) or min(failed, key=lambda failure: _TELLING.index(failure.trouble))

    async def _look_up(self, name: str) -> _Target:
        """The addresses of one mail server, judged, from now on in the cache until their TTL ends."""
        answers = [await self._dns.ask(name, A)]
        if self._policy.ipv6 or answers[0].outcome is Outcome.NO_DATA:
            answers.append(await self._dns.ask(name, AAAA))
        target = self._judge(name, answers)
        if len(self._targets) >= _KEPT:
            del self._targets[next(iter(self._targets))]
        self._targets[name] = target
        return target

    def _judge(self, name: str, answers: list[Answer]) -> _Target:
        expires = min(answer.expires for answer in answers)
        found = [str(record.to_text()) for answer in answers for record in answer.records]
        if not self._policy.own_addresses.isdisjoint(found):
            text = f"loop: {name} has an address of this server"
            return _Target((), expires, _response(Trouble.FORBIDDEN_TARGET, text), ours=True)
        reachable = [address for address in found if self._policy.ipv6 or ":" not in address]
        allowed = [address for address in reachable if not is_forbidden(address, self._policy.allow_private)]
        if allowed:
            return _Target(tuple(allowed), expires)
        if reachable:
            text = f"{name} is at {reachable[0]}, which is not a public address"
            return _Target((), expires, _response(Trouble.FORBIDDEN_TARGET, text))
        if found:
            return _Target((), expires, _response(Trouble.UNREACHABLE, f"{name} has only IPv6, which is off"))
        broken = next((answer for answer in answers if answer.outcome is Outcome.FAILED), None)
        if broken is not None:
            return _Target((), expires, _response(Trouble.DNS_TEMPORARY, broken.reason))
        return _Target((), expires, _response(Trouble.NO_DOMAIN, f"{name} has no address"))


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


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
