"""DNS questions over the network: name servers, cache, and one question at a time for the same thing.

Owns whom is asked for how long (`mta/dns_wire` asks), the cache with its TTLs, and the sharing of an answer among
all who ask meanwhile. It knows nothing of mail: `mta/resolve` makes routes of the answers.

The cache is no `core/remembered`: each answer lives as long as its own records say, and one that is known is given at
once, without a turn of the event loop.
"""

import asyncio
import os
import re
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

import dns.asyncquery
import dns.exception
import dns.flags
import dns.inet
import dns.message
import dns.rcode
import dns.rdatatype
import dns.resolver
from dns.rdata import Rdata
from dns.rdatatype import RdataType

from core.errors import ConfigurationError
from mta.dns_wire import UDP_PAYLOAD, Found, Question

SILENT = "does not answer"
UNREACHABLE = "cannot be reached"
_AWAY = frozenset({SILENT, UNREACHABLE})


class Outcome(StrEnum):
    """What a question came to."""

    FOUND = "found"
    NO_DATA = "no_data"
    """The name exists, without records of this type."""
    NO_NAME = "no_name"
    """NXDOMAIN."""
    FAILED = "failed"
    """SERVFAIL, refusal or silence from every name server."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The records of one name and type. `expires` is on the clock of the client that made it."""

    outcome: Outcome
    records: tuple[Rdata, ...]
    expires: float
    reason: str = ""
    """Why it FAILED."""


@dataclass(frozen=True, slots=True)
class DnsSettings:
    """Time-outs, TTL clamps and cache size. All times in seconds."""

    timeout: float = 2.0
    """For one name server's answer; dnspython's own default."""
    rounds: int = 2
    """How often all name servers are tried."""
    patience: float = 6.0
    """For one question, all servers and rounds together: a batch of mail waits for its slowest domain."""
    min_ttl: float = 30.0
    """Answers with a shorter TTL are kept this long, so that a TTL of 0 does not mean a question for each mail."""
    max_ttl: float = 86_400.0
    negative_ttl: float = 300.0
    """Longest time a "no such name" or "no such record" is kept, whatever the SOA says (RFC 2308 section 5)."""
    failure_ttl: float = 5.0
    """A failure is kept so long (RFC 2308 section 7 allows 5 minutes): a batch of mails asks a dead server once."""
    entries: int = 100_000


class DnsClient:
    """A caching stub resolver for one event loop. Rely on a caching recursive server behind it, preferably local."""

    def __init__(
        self,
        servers: Sequence[str] = (),
        settings: DnsSettings | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`servers` are "ip", "ip:port" or "[ipv6]:port"; none takes the system's. ConfigurationError when unusable."""
        self._servers = [_server(text) for text in servers] or list(_system_servers())
        self._settings = settings or DnsSettings()
        self._clock = clock
        self._cache: OrderedDict[tuple[str, RdataType], Answer] = OrderedDict()
        self._asking: dict[tuple[str, RdataType], asyncio.Task[Answer]] = {}

    def cached(self, name: str, kind: RdataType) -> Answer | None:
        """The answer if it is known and fresh. `name` in lower case without dot at the end."""
        key = (name, kind)
        answer = self._cache.get(key)
        if answer is None or answer.expires <= self._clock():
            return None
        self._cache.move_to_end(key)
        return answer

    async def ask(self, name: str, kind: RdataType) -> Answer:
        """The answer from cache or network; callers asking together share one question. Servers never make it raise.

        A name that cannot stand in DNS (label over 63 bytes, empty label) is NO_NAME.
        """
        answer = self.cached(name, kind)
        if answer is not None:
            return answer
        key = (name, kind)
        task = self._asking.get(key)
        if task is None:
            task = asyncio.get_running_loop().create_task(self._ask_and_keep(name, kind))
            self._asking[key] = task
            task.add_done_callback(lambda _: self._asking.pop(key, None))
        # A caller that gives up must not take the answer away from the others.
        return await asyncio.shield(task)

    async def _ask_and_keep(self, name: str, kind: RdataType) -> Answer:
        try:
            question = Question(name, kind)
        except (dns.exception.DNSException, UnicodeError):
            return Answer(Outcome.NO_NAME, (), self._clock() + self._settings.negative_ttl)
        answer = await self._ask_servers(question)
        self._cache[name, kind] = answer
        self._cache.move_to_end((name, kind))
        if len(self._cache) > self._settings.entries:
            self._cache.popitem(last=False)
        return answer

    async def _ask_servers(self, question: Question) -> Answer:
        """The first usable answer. Servers that give none are asked last from then on, so that one that is away costs
        its time-out once and not for every question."""
        ends = self._clock() + self._settings.patience
        reasons: dict[str, str] = {}
        for _ in range(self._settings.rounds):
            for server in self._servers[:]:
                wait = min(self._settings.timeout, ends - self._clock())
                if wait <= 0:
                    break
                answer = await self._ask_server(question, server, wait)
                if isinstance(answer, Answer):
                    return answer
                reasons[server[0]] = answer
                if answer in _AWAY:
                    self._servers.remove(server)
                    self._servers.append(server)
        reason = ", ".join(f"{address} {why}" for address, why in reasons.items())
        if set(reasons.values()) <= _AWAY:
            reason = f"no DNS server answered: {reason}"
        return Answer(Outcome.FAILED, (), self._clock() + self._settings.failure_ttl, reason)

    async def _ask_server(self, question: Question, server: tuple[str, int], wait: float) -> Answer | str:
        """One server's answer, or what was wrong with it in words."""
        try:
            response = await question.ask(server, wait)
            answer = self._read(response)
        except (TimeoutError, dns.exception.Timeout):
            return SILENT
        except OSError as error:
            return UNREACHABLE if error.errno is not None else f"{type(error).__name__} {error}".strip()
        except (dns.exception.DNSException, EOFError) as error:
            return f"answers nonsense ({type(error).__name__})"
        if answer is not None:
            return answer
        assert isinstance(response, dns.message.Message)
        if response.rcode() == dns.rcode.FORMERR:
            question.edns = False  # a server from before EDNS (RFC 6891 section 7)
        return f"says {dns.rcode.to_text(response.rcode())}"

    def _read(self, response: Found | dns.message.Message) -> Answer | None:
        """What a response says; None when it is a failure and another server should be asked."""
        if isinstance(response, Found):
            return self._found(response.records, response.ttl)
        if response.rcode() not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
            return None
        if not isinstance(response, dns.message.QueryMessage):
            return None
        if not response.answer and not response.flags & (dns.flags.AA | dns.flags.RA):
            return None  # a server that neither owns the name nor asks others: its silence proves nothing
        chain = response.resolve_chaining()
        if chain.answer is not None:
            return self._found(tuple(chain.answer), chain.minimum_ttl)
        settings = self._settings
        ttl = min(max(chain.minimum_ttl, settings.min_ttl), settings.negative_ttl)
        missing = Outcome.NO_NAME if response.rcode() == dns.rcode.NXDOMAIN else Outcome.NO_DATA
        return Answer(missing, (), self._clock() + ttl)

    def _found(self, records: tuple[Rdata, ...], ttl: int) -> Answer:
        kept = min(max(ttl, self._settings.min_ttl), self._settings.max_ttl)
        return Answer(Outcome.FOUND, records, self._clock() + kept)


@dataclass(frozen=True, slots=True)
class Reach:
    """Whether a name server answers us, by either way: "" or why not."""

    server: str
    port: int
    udp: str
    tcp: str


def reach(servers: Sequence[str], name: str, seconds: float = 3.0) -> list[Awaitable[Reach]]:
    """Ask each of these, none for the system's, for the MX of a name: by UDP alone and by TCP alone. What they answer
    does not matter. Raises ConfigurationError."""
    found = [_server(text) for text in servers] or list(_system_servers())
    return [_reach(server, name, seconds) for server in found]


async def _reach(server: tuple[str, int], name: str, seconds: float) -> Reach:
    address, port = server
    query = dns.message.make_query(f"{name}.", dns.rdatatype.MX, use_edns=0, payload=UDP_PAYLOAD)
    by_udp = dns.asyncquery.udp(query, address, seconds, port, ignore_unexpected=True, ignore_errors=True)
    by_tcp = dns.asyncquery.tcp(query, address, seconds, port)
    udp, tcp = await asyncio.gather(_trouble(by_udp), _trouble(by_tcp))
    return Reach(address, port, udp, tcp)


async def _trouble(asking: Awaitable[dns.message.Message]) -> str:
    try:
        await asking
    except dns.exception.Timeout:
        return SILENT
    except OSError as error:
        return os.strerror(error.errno).lower() if error.errno else UNREACHABLE
    except (dns.exception.DNSException, EOFError) as error:
        return f"answers nonsense ({type(error).__name__})"
    return ""


def _server(text: str) -> tuple[str, int]:
    """Address and port of "ip", "ip:port", "[ipv6]:port" or a bare IPv6 address."""
    host, port = text, "53"
    bracketed = re.fullmatch(r"\[(.*)\](?::(.*))?", text)
    if bracketed is not None:
        host, port = bracketed[1], bracketed[2] or "53"
    elif text.count(":") == 1:
        host, port = text.split(":")
    if not dns.inet.is_address(host) or not port.isdecimal() or not 0 < int(port) < 65536:
        raise ConfigurationError(f"DNS server {text!r}: write an IP address, with or without a port")
    return host, int(port)


def _system_servers() -> tuple[tuple[str, int], ...]:
    try:
        system = dns.resolver.Resolver()
    except dns.resolver.NoResolverConfiguration as error:
        raise ConfigurationError(f"no DNS servers: {error}; name some in the settings") from error
    servers = tuple((str(server), system.port) for server in system.nameservers if dns.inet.is_address(str(server)))
    if not servers:
        raise ConfigurationError("the system names no DNS server by IP address; name some in the settings")
    return servers
