"""Delivers one mail: walks the hosts of a route until one of them has answered.

Owns the order of hosts, the step to the next one, the replacement of a kept-open session that proves dead, the last
question before MAIL FROM (`gate`) and the moment at which a large mail is loaded. It resolves nothing (`mta/resolve`),
keeps no connections (`mta/session`) and does not interpret the answer (`mta/replies`). One `Courier` per process.
"""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from core.logs import get_logger
from core.records import record
from mta.connect import Connector, Session
from mta.connection_leases import ConnectionLeases
from mta.guard import PUBLIC, Guard
from mta.line import Place
from mta.memory import Memory
from mta.model import EgressIp, Envelope, Host, Phase, RelayLimits, Response, Route, Trouble
from mta.providers import OTHER, Limits, Providers, Tls
from mta.relay import Relays, relay_route
from mta.session import SessionPool
from mta.session_replies import ended_by_count, ended_the_session, wants_tls
from mta.session_slots import Ceiling, PoolStats
from mta.smtp_client import BLOCK
from mta.smtp_timeouts import Timeouts
from mta.tls import TlsPolicy

_log = get_logger(__name__)

HOSTS_TRIED = 5

SHUN_SECONDS = 60.0
"""How long an unreachable server is tried last: otherwise each mail would wait for its connect time-out again."""

HOSTS_KEPT = 10_000

CHUNKLESS_SECONDS = 86_400.0
"""How long a server that did badly by BDAT gets mail without it."""

Gate = Callable[[str], Awaitable[bool]]
"""Asked with the provider of the server whose session is ready: a set of servers may have several."""

Load = Callable[[], Awaitable[Envelope | None]]
"""Makes the envelope once its session is ready, so that a large mail is in memory only while it is sent. None: there is
nothing to send after all."""


@dataclass(frozen=True, slots=True)
class CourierSettings:
    """Settings of the sending side of one process."""

    port: int = 25
    timeouts: Timeouts = field(default_factory=Timeouts)
    connections_per_host: int = 10
    """From one source IP to one server; a provider's own limit holds when it is lower."""
    connections: int = 1000
    """Of this process, all together."""
    messages_per_connection: int = 500
    """A provider's own limit holds when it is lower."""
    idle_seconds: float = 30.0
    ca_file: Path | None = None
    relays_at: Guard = PUBLIC
    """CA bundle in place of the system's."""


@record(frozen=True, slots=True)
class Delivery:
    """What became of one mail at one server. Times are seconds of `time.monotonic`."""

    response: Response
    """The deciding answer. With `refused_by_gate` it says only that the session was ready."""
    host_name: str
    host_address: str
    provider: str
    """To whom the server belongs by its name, whatever the route's other servers are: its words are read by the rules
    of this provider, and blamed on it. A relay speaks for nobody else."""
    tls: str
    """"TLSv1.3 verified", "TLSv1.3 unverified", "none", "none (handshake failed)"; "" when no session came about."""
    started: float
    ready: float
    """When the session was ready for MAIL, waiting and connecting included; `ended` when none came about."""
    ended: float
    reuse_count: int = 0
    """Mails that the session had carried before this one."""
    refused_by_gate: bool = False
    """`gate` said no, or there was nothing to load: nothing about this mail was sent."""
    out_of_reach: bool = False
    """No server of the route has an address of the source's IP version: nothing was tried, and nobody is to blame."""

    @property
    def milliseconds(self) -> float:
        """From the call to the answer."""
        return (self.ended - self.started) * 1000

    @property
    def ready_milliseconds(self) -> float:
        """From the call until the session was ready."""
        return (self.ready - self.started) * 1000


@dataclass(slots=True)
class _Mail:
    """One call of `deliver`, whichever host it comes to."""

    source: EgressIp
    envelope: Envelope | Load
    gate: Gate | None
    started: float
    shares: bool
    """It is at hand, small, and may go by BDAT behind others."""

    async def cleared(self, provider: str) -> Envelope | None:
        """The envelope, when the gate lets it through at this moment. Loaded once: it is kept for a second host."""
        if self.gate is not None and not await self.gate(provider):
            return None
        if isinstance(self.envelope, Envelope):
            return self.envelope
        envelope = await self.envelope()
        if envelope is not None:
            self.envelope = envelope
        return envelope


class _Terms(NamedTuple):
    """What is known of a server by its name."""

    provider: str
    """To whom it belongs."""
    ceiling: Ceiling
    encrypted_only: bool


class Courier:
    """The sending side of one process, used in one event loop."""

    def __init__(self, settings: CourierSettings, providers: Providers, leases: ConnectionLeases | None = None) -> None:
        """Builds the TLS contexts, which costs some 40 ms. OSError when `ca_file` cannot be read."""
        self._settings = settings
        self._providers = providers
        self._tls = TlsPolicy(settings.ca_file)
        relays = Relays(settings.timeouts, settings.ca_file, settings.relays_at)
        connector = Connector(settings.port, settings.timeouts, self._tls, providers.tls_of, relays)
        self._pool = SessionPool(connector.open, settings.idle_seconds, settings.connections, leases)
        self._known_terms: dict[str, _Terms] = {}
        self._shunned: Memory[tuple[str, str], bool] = Memory(HOSTS_KEPT)
        self._chunkless: Memory[tuple[str, str], bool] = Memory(HOSTS_KEPT)

    async def deliver(
        self,
        route: Route,
        source: EgressIp,
        envelope: Envelope | Load,
        gate: Gate | None = None,
        *,
        shares: bool = False,
    ) -> Delivery:
        """Send one mail over `route` from `source` and return the deciding answer; never raises for what a server does.

        `shares`: what will be loaded is at hand and `may_share`; an envelope says so itself.

        `gate` is awaited once the session is ready, right before MAIL FROM, and again before a session that replaces a
        dead one; False sends nothing. A `Load` is awaited after it, once. What either raises comes out here, and
        nothing is sent. Cancelling drops the connection and leaves open whether the mail was taken.

        UnsendableError for an envelope that may not be sent; UnavailableError when the process is out of sockets or
        closing.
        """
        if source.is_relay:
            route = relay_route(route, source)
        shares = may_share(envelope) if isinstance(envelope, Envelope) else shares
        mail = _Mail(source, envelope, gate, time.monotonic(), shares)
        if not route.hosts:
            raise ValueError(f"the route to {route.destination} has no hosts")
        best: Delivery | None = None
        for host in self._order(route, source):
            delivery = await self._try(host, mail)
            response = delivery.response
            if delivery.refused_by_gate or not _next_host_may_help(response):
                return delivery
            if delivery.tls == "":
                self._shun(source, host)
            if best is None or (best.response.code == 0 and response.code != 0):
                best = delivery  # what a server said tells more than that another one said nothing
        return best or _out_of_reach(route, mail)

    async def close(self) -> None:
        """End all sessions; a few seconds at most. Mails still under way are cut off, so stop giving out work first."""
        await self._pool.close()

    def stats(self) -> PoolStats:
        """Open, idle, waited-for and reused sessions."""
        return self._pool.stats()

    async def _try(self, host: Host, mail: _Mail) -> Delivery:
        """One host. Where only the session stood in the way, the mail goes on through a new one at once."""
        terms = self._terms(host, mail.source.limits)
        session = await self._session(host, terms, mail)
        ended_after = 0
        while isinstance(session, Session):
            delivery = await self._send(session, host, terms.provider, mail)
            if session.client.misbehaved and self._gave_up_bdat(session, host, delivery):
                pass
            elif delivery.reuse_count and ended_the_session(delivery.response):
                ended_after = _counted(session, delivery)
                if not ended_after:
                    self._pool.drop_idle(mail.source, host)  # it probably restarted
            elif session.encryptable and wants_tls(delivery.response):
                self._tls.demanded(host)
            else:
                self._pool.give_back(session)
                self._learn(host, mail, delivery, ended_after)
                return delivery
            session = await self._pool.replace(session, mail.source, host, behind=mail.shares)
        ended = time.monotonic()
        return Delivery(session, host.name, host.address, terms.provider, "", mail.started, ended, ended)

    async def _session(self, host: Host, terms: _Terms, mail: _Mail) -> Session | Response:
        behind = mail.shares and not self._is_chunkless(host)
        session = await self._pool.take(mail.source, host, terms.ceiling, behind=behind)
        while terms.encrypted_only and isinstance(session, Session) and _is_too_plain(session, host):
            self._pool.retire(session)
            session = await self._pool.take(mail.source, host, terms.ceiling)
        return session

    def _is_chunkless(self, host: Host) -> bool:
        return bool(self._chunkless and self._chunkless.get((host.name, host.address)))

    def _gave_up_bdat(self, session: Session, host: Host, delivery: Delivery) -> bool:
        """The server did badly by BDAT and gets no more of it for a day. Whether that alone is why this mail was not
        taken: then it goes again at once."""
        if not self._chunkless.get((host.name, host.address)):
            _log.warning("bdat_given_up", host=host.name, address=host.address, why=session.client.misbehaved)
            self._chunkless.note((host.name, host.address), True, CHUNKLESS_SECONDS)
        return delivery.response.phase is Phase.DATA and delivery.response.code // 100 in (4, 5)

    def _learn(self, host: Host, mail: _Mail, delivery: Delivery, ended_after: int) -> None:
        """A session was ready, so the host can be reached; and one that was ended after so many mails, while the next
        one took this mail, was ended because of their number."""
        if self._shunned:
            self._shunned.forget((mail.source.address, host.address))
        if ended_after and delivery.response.code // 100 == 2:
            self._pool.learn_length(mail.source, host, ended_after)

    async def _send(self, session: Session, host: Host, provider: str, mail: _Mail) -> Delivery:
        """Through a session to this address, which some other domain's name for it may have opened, and which is still
        the caller's to give back."""
        ready = time.monotonic()
        carried = session.carried
        place = session.client.stand()
        try:
            first = place.first
            envelope = await (mail.cleared(provider) if first else self._behind(session, host, provider, mail, place))
            if envelope is None:
                response = Response(Phase.MAIL)
            else:
                session.carried += 1
                chunked = self._by_chunk(session, host, envelope, place)
                response = await session.client.send(envelope, place, chunked=chunked)
                if chunked and self._chunkless and response.code // 100 == 2 and not session.client.misbehaved:
                    self._chunkless.forget((host.name, host.address))  # it was noted meanwhile, by another session
        except BaseException:
            if place.touched:
                self._pool.discard(session)
            else:
                self._pool.give_back(session)  # it is as it was, and others may have mail under way on it
            raise
        finally:
            place.leave()
        ended = time.monotonic()
        return Delivery(
            response, host.name, host.address, provider, session.tls,
            mail.started, ready, ended, carried, envelope is None,
        )  # fmt: skip

    async def _behind(self, session: Session, host: Host, provider: str, mail: _Mail, place: Place) -> Envelope | None:
        """The envelope of a mail behind others, asked for at the moment when it can be written: an answer that waits
        grows old."""
        await (place.behind() if mail.shares else place.turn())
        envelope = await mail.cleared(provider)
        if envelope is None or place.first or self._by_chunk(session, host, envelope, place):
            return envelope
        await place.turn()
        return await mail.cleared(provider)

    def _by_chunk(self, session: Session, host: Host, envelope: Envelope, place: Place) -> bool:
        return envelope.chunked and session.client.by_chunk(envelope, place) and not self._is_chunkless(host)

    def _order(self, route: Route, source: EgressIp) -> list[Host]:
        """Hosts to try: unreachable ones last, then by preference; among equals first the one with a session open."""
        hosts = hosts_within_reach(source, route)
        if len(hosts) > 1:
            if self._shunned:
                hosts.sort(key=lambda host: self._is_shunned(source, host))
            first = hosts[0]
            if not self._pool.has_idle(source, first):
                for host in hosts[1:]:
                    if host.preference == first.preference and self._pool.has_idle(source, host):
                        hosts.remove(host)
                        hosts.insert(0, host)
                        break
        return hosts[:HOSTS_TRIED]

    def _shun(self, source: EgressIp, host: Host) -> None:
        self._shunned.note((source.address, host.address), True, SHUN_SECONDS)

    def _is_shunned(self, source: EgressIp, host: Host) -> bool:
        return self._shunned.get((source.address, host.address)) is not None

    def _terms(self, host: Host, relay: RelayLimits | None) -> _Terms:
        """To whom a server belongs, and what it takes. Found by its name, which never changes within a process."""
        if relay is not None:
            return _Terms(OTHER, Ceiling(relay.connections, self._settings.messages_per_connection), False)
        terms = self._known_terms.get(host.name)
        if terms is None:
            if len(self._known_terms) >= HOSTS_KEPT:
                self._known_terms.clear()
            provider = self._providers.provider_of([host.name])
            limits = self._providers.limits(provider)
            terms = _Terms(provider, _ceiling_of(provider, limits, self._settings), limits.tls is Tls.REQUIRED)
            self._known_terms[host.name] = terms
        return terms


def may_share(envelope: Envelope) -> bool:
    """Whether a mail may go behind others on a connection: by BDAT, in one write."""
    return envelope.chunked and envelope.size <= BLOCK


def hosts_within_reach(source: EgressIp, route: Route) -> list[Host]:
    """The hosts that `source` can speak to: those with an address of its own IP version; a relay is its own host."""
    families = source.families
    return [host for host in route.hosts if host.family in families]


def _counted(session: Session, delivery: Delivery) -> int:
    """After how many mails the server had enough of this session; 0 when their number was not why. Those behind the
    first that it refused were carried by our count only."""
    if not ended_by_count(delivery.response):
        return 0
    session.ended_after = session.ended_after or delivery.reuse_count
    return session.ended_after


def _is_too_plain(session: Session, host: Host) -> bool:
    """True for plain text: where TLS is required, such a session was opened by another name of the same address."""
    return session.host.name != host.name and session.tls.startswith("none")


def _out_of_reach(route: Route, mail: _Mail) -> Delivery:
    """What there is to say before the first host was tried."""
    text = f"{mail.source.address} reaches no server of {route.destination}: different IP versions"
    response = Response(Phase.CONNECT, text=text, trouble=Trouble.UNREACHABLE)
    return Delivery(response, "", "", OTHER, "", mail.started, mail.started, mail.started, out_of_reach=True)


def _ceiling_of(provider: str, limits: Limits, settings: CourierSettings) -> Ceiling:
    return Ceiling(
        connections=min(limits.connections, settings.connections_per_host),
        messages=min(limits.messages_per_connection, settings.messages_per_connection),
        provider=provider if limits.provider_wide else "",
        provider_connections=limits.connections,
    )


def _next_host_may_help(response: Response) -> bool:
    """True when no host has yet answered MAIL, and another one could answer differently (RFC 5321 section 5.1)."""
    if response.phase is Phase.DOT:
        return False
    if response.trouble in (Trouble.LOCAL_ADDRESS, Trouble.PROXY):
        return False  # our own end is broken, for every host alike
    if response.phase in (Phase.CONNECT, Phase.BANNER, Phase.EHLO, Phase.STARTTLS):
        return response.code // 100 in (0, 4)
    return response.phase is Phase.MAIL and response.trouble in (Trouble.CLOSED, Trouble.TIMEOUT)
