"""The way of one batch of mail, from claim to outcome. Read this file first.

    1 claim      due messages of one lane and some destinations; suppression and expiry in the same statement
    2 route      destination → mail servers, mailbox provider and site
    3 choose     an IP for each message, within rests, rates and warm-up allowances     workers/assigning, pools/grants
    4 compose    MIME and signed return path
    5 sign       DKIM
    6 send       over a kept-open session of that IP and server; every reply → a Verdict
    7 reroute    throttled? the IP rests, the same message goes on through the next IP, now
    8 record     outcomes, many at a time, through the journal and the recorder              workers/concluding

What may not leave (test mail and more: `Claimed.capture`) goes aside behind 1, is composed, signed and kept:
workers/capturing.

`deliver_due` is called by the Celery task of a lane with a hint of destinations that have due mail; it knows neither
Celery nor Redis. All collaborators come in as one `Collaborators` value from `workers/wiring`.

A message leaves this file in exactly one of three ways: an outcome is put to the recorder, it is given back to the
queue untried or held for an IP, or the process dies and its lease runs out.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, aclosing
from datetime import datetime, timedelta
from uuid import UUID

from core.errors import UnavailableError
from core.logs import get_logger
from core.queues import Lane
from messages import claim, states
from messages.model import Claimed, MessageRef
from messages.personal import ERASED, Loaded
from messages.timeline import EventKind
from mta.deliver import Delivery, Gate, Load
from mta.model import Action, Envelope, Phase, Response, Route, Scope, Verdict
from mta.providers import OTHER
from mta.smtp_commands import UnsendableError
from pools.health import Evidence
from pools.model import EVERYWHERE, Wait
from pools.throttle_repository import Kind
from store.database import Connection
from workers import trail, watch
from workers.assigning import Ready, another_ip, assign, paced
from workers.batch import Batch, Collaborators, Job
from workers.capturing import capture
from workers.claims import Permit
from workers.concluding import (
    Throttled,
    conclude,
    end,
    facts_of,
    give_back,
    hold,
    rerouted,
    stumble,
    throttled_everywhere,
    written,
)
from workers.preparing import LargeEmail, grown, is_large, large_emails, prepare_chunk

_log = get_logger(__name__)

PREPARE_CHUNK = 20
"""Mails composed and signed in one go, while those before them are already being sent."""

YOUNG_BATCHES = 1.5
"""So many batches' worth of freshly claimed mail one process holds that is not on the wire yet: the next one is claimed
when half of the last is left. What waits longer has to be asked about again before it leaves."""

ADMISSION_PAUSE = 0.003
"""Seconds between two looks at that; a batch at full speed takes some hundred milliseconds."""

_BEFORE_MAIL = frozenset({Phase.RESOLVE, Phase.CONNECT, Phase.BANNER, Phase.EHLO, Phase.STARTTLS})


async def deliver_due(
    lane: Lane, destinations: Sequence[str], c: Collaborators, claims: Callable[[], Awaitable[None]] | None = None
) -> list[str]:
    """Send what is due for these destinations, one batch; returns the destinations that may have more. `claims`: called
    when its turn has come, right before the claim."""
    c.rules.refresh()
    await _admit(c)
    try:
        if claims is not None:
            await claims()
        asked = time.monotonic()
        claimed, emails, more = await _claim(lane, destinations, c)
    finally:
        c.admission.claiming -= 1
    watch.CLAIMED.labels(lane.value).inc(len(claimed))
    if not claimed:
        return []
    refs = [message.ref for message in claimed]
    permit = Permit(c.database, c.worker, refs, asked, asked + c.limits.batch_seconds)
    batch = Batch(lane, permit, emails, claimed[0].claimed_at, asked)
    c.permits.add(batch.permit)
    try:
        batch.trail = trail.begin(lane, claimed, asked)
        await _deliver(batch, claimed, c)
    except BaseException:
        batch.failed = True
        raise
    finally:
        try:
            await give_back(batch, c)
        finally:
            c.permits.discard(batch.permit)
            if batch.trail is not None:
                batch.trail.close()
    return [destination for destination in more if destination not in batch.limited]


async def _claim(
    lane: Lane, destinations: Sequence[str], c: Collaborators
) -> tuple[list[Claimed], dict[UUID, Loaded], list[str]]:
    async with c.database.connection() as connection:
        with watch.step(lane, "claim"):
            claimed, more = await claim.claim(connection, lane, destinations, c.worker, c.limits.batch, c.limits.lease)
        fresh = c.claims.hold(message.ref for message in claimed)
        claimed = [message for message in claimed if message.ref in fresh]
        try:
            return claimed, await _emails(connection, lane, claimed, c), more
        except BaseException:
            c.claims.let_go(fresh)  # nobody will work on them: let their leases run out
            raise


async def _emails(
    connection: Connection, lane: Lane, claimed: Sequence[Claimed], c: Collaborators
) -> dict[UUID, Loaded]:
    if not claimed:
        return {}
    with watch.step(lane, "load"):
        found = await claim.load(connection, {message.ref.email_id for message in claimed})
        return await c.personal.fill(connection, found)


async def _admit(c: Collaborators) -> None:
    """Wait until it is worth claiming more: outcomes are being committed, and what was claimed last is nearly sent.

    Mail that waits in a worker grows old, and old claims cost another look at the suppression list. Only young claims
    count, so that slow servers, which hold their mail for minutes, never keep others from being served.
    """
    await c.recorder.room()
    async with c.admission.turn:
        while _young(c) >= c.limits.batch * YOUNG_BATCHES:  # noqa: ASYNC110  # turns by time too: claims grow old
            await asyncio.sleep(ADMISSION_PAUSE)
        c.admission.claiming += 1


def _young(c: Collaborators) -> int:
    return sum(permit.young() for permit in c.permits) + c.admission.claiming * c.limits.batch


async def _deliver(batch: Batch, claimed: Sequence[Claimed], c: Collaborators) -> None:
    sendable = [message for message in claimed if not _ends_unsent(batch, message, c)]
    if captured := [message for message in sendable if _stays(batch, message)]:
        batch.start(capture(batch, captured, c))
        sendable = [message for message in sendable if not _stays(batch, message)]
    with watch.step(batch.lane, "route", batch.trail):
        routes = await _routes(sendable, c)
    with watch.step(batch.lane, "choose", batch.trail):
        jobs, slow = await assign(batch, sendable, routes, c)
    if slow:
        batch.start(_pace(batch, slow, c))
    try:
        await _start(batch, jobs, c)
    finally:
        for failure in await batch.settled():
            batch.failed = True
            _log.error("batch_failed", lane=batch.lane.value, error=str(failure), exc_info=failure)


async def _start(batch: Batch, jobs: Sequence[Job], c: Collaborators) -> None:
    """Prepare chunk after chunk, each on its way while the next one is prepared."""
    _start_large(batch, large_emails(batch, filter(is_large, jobs), c), c)
    small = [job for job in jobs if not is_large(job)]
    for start in range(0, len(small), PREPARE_CHUNK):
        chunk = small[start : start + PREPARE_CHUNK]
        if not c.ahead.has_room():
            _start_large(batch, large_emails(batch, chunk, c), c)
            continue
        chunk, large = grown(batch, await prepare_chunk(batch, chunk, c), c)
        _start_large(batch, large, c)
        c.ahead.take(sum(job.envelope.size for job in chunk if job.envelope))
        batch.start(_send_all(batch, [(job, None) for job in chunk], c))


def _start_large(batch: Batch, emails: Iterable[LargeEmail], c: Collaborators) -> None:
    for email in emails:
        batch.start(_send_all(batch, [(job, email.for_one) for job in email.jobs], c))


async def _pace(batch: Batch, slow: Sequence[Ready], c: Collaborators) -> None:
    """Send what a rate holds up, as it allows."""
    async with aclosing(paced(batch, slow, c)) as portions:
        async for jobs in portions:
            await _start(batch, jobs, c)


def _stays(batch: Batch, message: Claimed) -> bool:
    """Whether it may not leave. Its queue row says so, or its email as a whole."""
    return message.capture or batch.emails[message.ref.email_id][0].capture


def _ends_unsent(batch: Batch, message: Claimed, c: Collaborators) -> bool:
    """Record what the claim already decided: suppressed, expired, or its email is gone."""
    if message.suppressed is not None:
        end(batch, message, states.Event.SUPPRESS, EventKind.SUPPRESSED, f"suppressed: {message.suppressed}", c)
    elif message.expired:
        end(batch, message, states.Event.EXPIRE, EventKind.EXPIRED, "its expiry time has come", c)
    elif message.ref.email_id not in batch.emails:
        end(batch, message, states.Event.FAIL, EventKind.FAILED, "its email is no longer stored", c)
    elif _lacks_its_person(batch, message):
        end(batch, message, states.Event.CANCEL, EventKind.CANCELLED, ERASED, c)
    else:
        return False
    return True


def _lacks_its_person(batch: Batch, message: Claimed) -> bool:
    email, content = batch.emails[message.ref.email_id]
    return email.campaign_id is not None and content is None


# 2 route


async def _routes(messages: Iterable[Claimed], c: Collaborators) -> dict[str, Route | Response]:
    destinations = {message.destination for message in messages}
    families = await c.pools.families()
    routes: dict[str, Route | Response] = {}
    for destination in destinations:
        route = c.resolver.known(destination, families)
        if route is not None:
            routes[destination] = route
    unknown = sorted(destinations - routes.keys())
    if unknown:
        found = await asyncio.gather(*(c.resolver.route(destination, families) for destination in unknown))
        routes.update(zip(unknown, found, strict=True))
    return routes


# 6 send


_Large = Callable[[Job], AbstractAsyncContextManager[Load]]
"""What makes the envelope of a job once its session is ready, and may keep it in memory during the block."""


async def _send_prepared(batch: Batch, job: Job, c: Collaborators) -> None:
    # A batch lasts as long as its slowest server; mails that were sent need not stay in memory until then.
    envelope, job.envelope = job.envelope, None
    assert envelope is not None
    try:
        await _send(batch, job, envelope, c)
    finally:
        c.ahead.give_back(envelope.size)


async def _send_all(batch: Batch, mails: Sequence[tuple[Job, _Large | None]], c: Collaborators) -> None:
    """All at once; the sessions there may be bound it. None: it is prepared. A bug in one message's way does not hold
    up the others."""
    sending = [_send(batch, job, mail, c) if mail else _send_prepared(batch, job, c) for job, mail in mails]
    jobs = [job for job, _ in mails]
    del mails
    ended = await asyncio.gather(*sending, return_exceptions=True)
    for job, failure in zip(jobs, ended, strict=True):
        if failure is not None:
            stumble(batch, job.claimed, failure, c)


async def _send(batch: Batch, job: Job, mail: Envelope | _Large, c: Collaborators) -> None:
    """Through its IP, and when that is throttled through the next one, each at most once."""
    throttled: Throttled | None = None
    tried: frozenset[str] = frozenset()
    while await batch.permit.allows(job.claimed.ref):
        rested = _rests(batch, job, job.spoke, c)
        if not rested:
            delivery = await _try(batch, job, mail, c)
            if delivery is None:
                return
            rested = delivery.refused_by_gate or delivery.out_of_reach
            if delivery.refused_by_gate and not _rests(batch, job, delivery.provider, c):
                return  # not the IP: a suppression came, or the batch's time is up
            if not rested:
                throttled = await _replied(batch, job, delivery, c)
                if throttled is None:
                    return
                batch.permit.came_back(job.claimed.ref)
        tried |= {job.ip.address}
        if not await _moved(batch, job, tried, throttled, c):
            return
        throttled = None


async def _replied(batch: Batch, job: Job, delivery: Delivery, c: Collaborators) -> Throttled | None:
    """A server, or what stands for one, has answered. None: it is concluded."""
    verdict = c.rules.classify(delivery.response, delivery.provider)
    if batch.trail is not None:
        batch.trail.sent(job.claimed.ref, job.ip.address, delivery, verdict)
    facts = facts_of(job, delivery, verdict)
    if verdict.action is not Action.DELIVERED and _blames_us(verdict):
        replied = batch.now()
        await _let_rest(batch, job, delivery, verdict, replied, c)
        return Throttled(facts, replied)
    if verdict.action is Action.DELIVERED:
        _carried(batch, job, delivery, c)
    conclude(batch, job.claimed, job.email, delivery.response, verdict, facts, c)
    return None


def _rests(batch: Batch, job: Job, provider: str, c: Collaborators) -> bool:
    """Whether its IP rests at its site, or at the provider whose server it comes to: where servers of different owners
    are listed, the site is the set of them, and the provider's own server in it would take such mail for defiance."""
    ip = job.ip.address
    if c.throttles.untroubled(ip):
        return False
    now = batch.now()
    return any(c.throttles.rest(ip, place, now) for place in {job.route.site, provider})


async def _try(batch: Batch, job: Job, mail: Envelope | _Large, c: Collaborators) -> Delivery | None:
    """One IP. None when there is no answer to judge: the message may not be sent, or the process has no room."""
    ref = job.claimed.ref
    try:
        if isinstance(mail, Envelope):
            delivery = await c.courier.deliver(job.route, job.ip, mail, _gate(batch, job, batch.permit.departs, c))
        else:
            delivery = await _loaded(batch, job, mail, c)
    except UnsendableError as error:
        end(batch, job.claimed, states.Event.FAIL, EventKind.FAILED, f"it may not be sent: {error}", c)
        return None
    except UnavailableError as error:
        batch.permit.came_back(ref)
        batch.failed = not batch.permit.stopped()  # out of sockets, or stopping: the rest of the batch is given back
        _log.warning("courier_unavailable", lane=batch.lane.value, error=str(error))
        return None
    if delivery.refused_by_gate or delivery.out_of_reach:
        batch.permit.came_back(ref)
    else:
        watch.SEND[batch.lane].note(delivery.ended - delivery.ready)
        if job.ticket is not None and delivery.response.phase not in _BEFORE_MAIL:
            batch.tickets[job.ticket] -= 1
            job.ticket = None
    return delivery


def _gate(batch: Batch, job: Job, may: Callable[[MessageRef], Awaitable[bool]], c: Collaborators) -> Gate:
    """The questions that stand between a ready session and MAIL FROM; `may` is the last of them."""

    async def gate(provider: str) -> bool:
        # Others of this IP may have been throttled while this mail waited for its session.
        job.spoke = provider
        return not _rests(batch, job, provider, c) and await c.recorder.ready() and await may(job.claimed.ref)

    return gate


async def _loaded(batch: Batch, job: Job, mail: _Large, c: Collaborators) -> Delivery:
    """Handed to the courier, to be loaded once its session is ready."""
    async with mail(job) as load:

        async def depart() -> Envelope | None:
            envelope = await load()
            leaves = envelope is not None and await c.recorder.ready() and await batch.permit.departs(job.claimed.ref)
            return envelope if leaves else None

        return await c.courier.deliver(job.route, job.ip, depart, _gate(batch, job, batch.permit.allows, c))


# 7 reroute


def _blames_us(verdict: Verdict) -> bool:
    """Whether the verdict is about our IP or sending domain, and not about this message."""
    return verdict.action in _THROTTLES or (verdict.action, verdict.scope) == _IP_BLOCKED


def _carried(batch: Batch, job: Job, delivery: Delivery, c: Collaborators) -> None:
    """Its IP and its sending domain carried a mail: that counts where one of them comes back."""
    if c.throttles.untroubled(job.ip.address, job.sender.name):
        return
    now = batch.now()
    for place in _answerable(job.route, delivery):
        c.throttles.delivered(job.ip.address, job.sender.name, place, now)


async def _let_rest(
    batch: Batch, job: Job, delivery: Delivery, verdict: Verdict, now: datetime, c: Collaborators
) -> None:
    """The IP or the sending domain rests, at once."""
    relayed = job.ip.is_relay  # whatever a relay says of its load or of us, it says for all sites
    by_domain = verdict.action is Action.THROTTLE_DOMAIN and not relayed
    sent_at = now - timedelta(seconds=delivery.ended - delivery.ready)
    kind: Kind = "domain" if by_domain else "ip"
    subject = job.sender.name if by_domain else job.ip.address
    everywhere = relayed or verdict.scope is Scope.LOCAL
    for place in (EVERYWHERE,) if everywhere else _answerable(job.route, delivery):
        observed = await _observed(batch, job.ip.address, place, c)
        evidence = Evidence(verdict.rule, verdict.klass, written(delivery.response), verdict.wait, observed)
        c.throttles.throttled(kind, subject, place, evidence, sent_at, now)


def _answerable(route: Route, delivery: Delivery) -> tuple[str, ...]:
    """The sites that a reply speaks for. Among servers of different owners it is the provider whose server spoke, and
    the set as such; never another owner in it, for a domain's owner may list whom he likes."""
    return tuple(dict.fromkeys(site for site in (delivery.provider, route.site) if site != OTHER))


_THROTTLES = frozenset({Action.THROTTLE_IP, Action.THROTTLE_DOMAIN})
_IP_BLOCKED = (Action.BLOCK, Scope.IP)


async def _observed(batch: Batch, ip: str, site: str, c: Collaborators) -> float:
    """Mails a second that all workers sent through this IP to this site lately. Asked for the first throttle reply
    only: those that follow belong to the same throttle."""
    if site == EVERYWHERE or c.throttles.rest(ip, site, batch.now()) is not None:
        return 0.0
    return (await c.shared.rates.observed([f"{ip}|{site}"]))[0]


async def _moved(batch: Batch, job: Job, tried: frozenset[str], throttled: Throttled | None, c: Collaborators) -> bool:
    """Give the message its next IP. False: nobody can take it, and it waits for the first that returns.

    `throttled` is what its last IP was told, None when that rested before this message was tried on it.
    """
    grant = await another_ip(batch, job, tried, c)
    if isinstance(grant, Wait):
        if throttled is not None:
            throttled_everywhere(batch, job.claimed, job.email, throttled, grant, c)
        else:
            await hold(batch, [(job.claimed, grant)], c)
        return False
    if throttled is not None:
        rerouted(batch, job.claimed, throttled, c)
    job.ip, job.ticket = grant
    return True
