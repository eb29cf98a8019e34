"""The way of one batch of mail, from claim to outcome. Read this file first.

    1 claim      due messages of one lane and some destinations; suppression and expiry in the same statement
    2 route      destination → mail servers and mailbox provider
    3 choose     pool IPs for the batch
    4 compose    MIME and signed return path
    5 sign       DKIM
    6 send       over a kept-open session of that IP and server; every reply → a Verdict
    7 record     outcomes, many at a time, through the journal and the recorder

`deliver_due` is called by the Celery task of a lane with a hint of destinations that have due mail; it knows neither
Celery nor Redis. All collaborators come in as one `Collaborators` value from `workers/wiring`.

A message leaves this file in exactly one of three ways: an outcome is put to the recorder, it is given back to the
queue untried, or the process dies and its lease runs out.
"""

import asyncio
import random
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from accounts.senders import Sender
from core.errors import ConfigurationError, UnavailableError
from core.logs import get_logger
from core.queues import Lane
from messages import claim, prepare, retry, states
from messages.model import Claimed, StoredContent, StoredEmail
from mta.deliver import Delivery
from mta.model import Action, EgressIp, Response, Route, Scope, Verdict
from outcomes.kinds import AttemptFacts, EventKind, Outcome
from pools.choose import choose, same_ip
from pools.model import Pool, Wait
from store.database import Connection, DatabaseUnavailableError
from suppression.rules import suppression_for
from workers import watch
from workers.batch import Batch, Collaborators, Job
from workers.leases import Permit

_log = get_logger(__name__)

PREPARE_CHUNK = 20
"""Mails composed and signed in one go, while those before them are already being sent."""

YOUNG_BATCHES = 2
"""So many batches' worth of freshly claimed mail one process holds: one being prepared, one being sent."""

ADMISSION_PAUSE = 0.003
"""Seconds between two looks at that; a batch at full speed takes some hundred milliseconds."""

NO_IP_RETRY = timedelta(seconds=30)
"""Mail that no IP can take is looked at again after this, when the pool does not say when."""

FAILURE_PAUSE = timedelta(minutes=1)
"""Mail whose batch failed through a bug of ours comes back after this, not in a tight circle."""

DETAIL_LENGTH = 500
"""Characters of an internal error that are kept in the timeline."""


async def deliver_due(lane: Lane, destinations: Sequence[str], c: Collaborators) -> list[str]:
    """Send what is due for these destinations, one batch; returns the destinations that may have more."""
    await _admit(c)
    with watch.step(lane, "claim"):
        asked = time.monotonic()
        async with c.database.connection() as connection:
            claimed, more = await claim.claim(connection, lane, destinations, c.worker, c.limits.batch, c.limits.lease)
            fresh = c.leases.hold(message.ref for message in claimed)
            claimed = [message for message in claimed if message.ref in fresh]
            emails = await _emails(connection, claimed, c)
    watch.CLAIMED.labels(lane.value).inc(len(claimed))
    if not claimed:
        return []
    refs = [message.ref for message in claimed]
    permit = Permit(c.database, c.worker, refs, asked, asked + c.limits.batch_seconds)
    batch = Batch(lane, permit, emails, claimed[0].claimed_at, asked)
    c.permits.add(batch.permit)
    try:
        await _deliver(batch, claimed, c)
    except BaseException:
        batch.failed = True
        raise
    finally:
        c.permits.discard(batch.permit)
        await _give_back(batch, c)
    return more


async def _emails(
    connection: Connection, claimed: Sequence[Claimed], c: Collaborators
) -> dict[UUID, tuple[StoredEmail, StoredContent | None]]:
    try:
        return await claim.load(connection, {message.ref.email_id for message in claimed}) if claimed else {}
    except BaseException:
        c.leases.let_go(message.ref for message in claimed)  # nobody will work on them: let their leases run out
        raise


async def _admit(c: Collaborators) -> None:
    """Wait until it is worth claiming more: outcomes are being committed, and what was claimed last is nearly sent.

    Mail that waits in a worker grows old, and old claims cost another look at the suppression list. Only young claims
    count, so that slow servers, which hold their mail for minutes, never keep others from being served.
    """
    await c.recorder.room()
    async with c.admission:
        while _young(c) >= c.limits.batch * YOUNG_BATCHES:  # noqa: ASYNC110  # turns by time too: claims grow old
            await asyncio.sleep(ADMISSION_PAUSE)


def _young(c: Collaborators) -> int:
    return sum(permit.young() for permit in c.permits)


async def _deliver(batch: Batch, claimed: Sequence[Claimed], c: Collaborators) -> None:
    sendable = [message for message in claimed if not _ends_unsent(batch, message, c)]
    with watch.step(batch.lane, "route"):
        routes = await _routes(sendable, c)
    jobs = await _assign(batch, sendable, routes, c)
    small = [job for job in jobs if job.content is not None]
    sending = [asyncio.create_task(_send_large(batch, group, c)) for group in _large(jobs)]
    try:
        for start in range(0, len(small), PREPARE_CHUNK):
            chunk = await _prepare(batch, small[start : start + PREPARE_CHUNK], c)
            sending.append(asyncio.create_task(_send_all(batch, chunk, c)))
    finally:
        # Also when a step broke: mail on the wire that was given back would be sent a second time.
        ended = await asyncio.gather(*sending, return_exceptions=True)
    for failure in ended:
        if isinstance(failure, Exception):
            batch.failed = True
            _log.error("batch_failed", lane=batch.lane.value, error=str(failure), exc_info=failure)


def _ends_unsent(batch: Batch, message: Claimed, c: Collaborators) -> bool:
    """Record what the claim already decided: suppressed, expired, or its email is gone."""
    if message.suppressed is not None:
        _end(batch, message, states.Event.SUPPRESS, EventKind.SUPPRESSED, f"suppressed: {message.suppressed}", c)
    elif message.expired:
        _end(batch, message, states.Event.EXPIRE, EventKind.EXPIRED, "its expiry time has come", c)
    elif message.ref.email_id not in batch.emails:
        _end(batch, message, states.Event.FAIL, EventKind.FAILED, "its email is no longer stored", c)
    else:
        return False
    return True


# 2 route


async def _routes(messages: Iterable[Claimed], c: Collaborators) -> dict[str, Route | Response]:
    destinations = sorted({message.destination for message in messages})
    found = await asyncio.gather(*(c.resolver.route(destination) for destination in destinations))
    return dict(zip(destinations, found, strict=True))


# 3 choose


async def _assign(
    batch: Batch, messages: Sequence[Claimed], routes: dict[str, Route | Response], c: Collaborators
) -> list[Job]:
    """Give every message its IP. Those without a route, a sender domain or an IP end here or wait."""
    groups: dict[tuple[UUID, str], list[tuple[Claimed, Route, Pool, Sender]]] = defaultdict(list)
    for message in messages:
        route = routes[message.destination]
        if isinstance(route, Response):
            _judge_unrouted(batch, message, route, c)
            continue
        email, _ = batch.emails[message.ref.email_id]
        try:
            sender = await c.senders.sender(email.domain_id)
            pool = await c.pools.pool_for(batch.lane, email.pool_id)
        except ConfigurationError as error:
            _stumble(batch, message, error, c)
            continue
        if sender is None:
            _end(batch, message, states.Event.FAIL, EventKind.FAILED, "its sender domain was deleted", c)
            continue
        groups[pool.id, route.provider].append((message, route, pool, sender))
    return [job for group in groups.values() for job in _spread(batch, group, c)]


def _spread(batch: Batch, group: list[tuple[Claimed, Route, Pool, Sender]], c: Collaborators) -> list[Job]:
    """Equal shares of the pool's IPs; a greylisted message goes back through the IP it was greylisted on."""
    _, route, pool, _ = group[0]
    jobs: list[Job] = []
    free: list[tuple[Claimed, Route, Pool, Sender]] = []
    for message, route, pool, sender in group:
        ip = same_ip(pool, route.provider, message.last_ip, c.health) if message.last_ip else None
        if ip is None:
            free.append((message, route, pool, sender))
        else:
            jobs.append(_job(batch, message, route, pool, sender, ip))
    if not free:
        return jobs
    turn = c.turns.setdefault((pool.id, route.provider), random.randrange(1 << 20))
    grants = choose(pool, route.provider, len(free), c.health, c.limits.connections, turn)
    if isinstance(grants, Wait):
        for message, *_ in free:
            _wait(batch, message, grants, c)
        return jobs
    c.turns[pool.id, route.provider] = turn + len(free)
    # Dealt out one by one, so that no IP gets all its mail at the end of the batch.
    shares = [[grant.ip] * grant.count for grant in grants]
    ips = [share.pop() for _ in range(max(map(len, shares))) for share in shares if share]
    jobs.extend(_job(batch, m, r, p, s, ip) for (m, r, p, s), ip in zip(free, ips, strict=True))
    return jobs


def _job(batch: Batch, message: Claimed, route: Route, pool: Pool, sender: Sender, ip: EgressIp) -> Job:
    email, content = batch.emails[message.ref.email_id]
    return Job(message, email, content, sender, route, pool, ip)


# 4 compose, 5 sign


async def _prepare(batch: Batch, jobs: Sequence[Job], c: Collaborators) -> list[Job]:
    """Compose and sign a chunk in a thread: RSA releases the interpreter lock, so sending goes on meanwhile."""
    work = [(job.claimed, job.email, job.content, job.sender) for job in jobs]
    try:
        with watch.step(batch.lane, "prepare"):
            prepared = await asyncio.get_running_loop().run_in_executor(
                c.signing, prepare.prepare_many, work, batch.lane, c.secret, batch.now()
            )
    except Exception as error:
        # A bug that one mail brings to light must not hold up the others.
        if len(jobs) > 1:
            return [ready for job in jobs for ready in await _prepare(batch, [job], c)]
        _stumble(batch, jobs[0].claimed, error, c)
        return []
    ready = []
    for job, envelope in zip(jobs, prepared, strict=True):
        if isinstance(envelope, str):
            _end(batch, job.claimed, states.Event.FAIL, EventKind.FAILED, envelope, c)
        else:
            job.envelope, job.content = envelope, None
            ready.append(job)
    return ready


# 6 send


def _large(jobs: Iterable[Job]) -> Iterable[list[Job]]:
    """Mails whose content did not come with the claim, those of one email together."""
    groups: dict[UUID, list[Job]] = defaultdict(list)
    for job in jobs:
        if job.content is None:
            groups[job.email.id].append(job)
    return groups.values()


async def _send_large(batch: Batch, jobs: Sequence[Job], c: Collaborators) -> None:
    """Load and compose one email when there is room for it, so that a batch of large mails never fills the memory."""
    async with c.large.take(jobs[0].email.size):
        jobs = [job for job in jobs if await batch.permit.allows(job.claimed.ref)]
        if not jobs:
            return
        async with c.database.connection() as connection:
            content = await claim.load_content(connection, jobs[0].email.content_id)
        for job in jobs:
            job.content = content
        await _send_all(batch, await _prepare(batch, jobs, c), c)


async def _send_all(batch: Batch, jobs: Sequence[Job], c: Collaborators) -> None:
    """All at once; the sessions there may be bound it. A bug in one message's way does not hold up the others."""
    ended = await asyncio.gather(*(_send(batch, job, c) for job in jobs), return_exceptions=True)
    for job, failure in zip(jobs, ended, strict=True):
        if isinstance(failure, Exception):
            _stumble(batch, job.claimed, failure, c, sent=True)


async def _send(batch: Batch, job: Job, c: Collaborators) -> None:
    # A batch lasts as long as its slowest server; mails that were sent need not stay in memory until then.
    envelope, job.envelope = job.envelope, None
    assert envelope is not None
    ref = job.claimed.ref
    if not await batch.permit.allows(ref):
        return
    try:
        delivery = await c.courier.deliver(job.route, job.ip, envelope, lambda: batch.permit.allows(ref))
    except ValueError as error:
        _end(batch, job.claimed, states.Event.FAIL, EventKind.FAILED, f"it may not be sent: {error}", c)
        return
    except UnavailableError as error:
        batch.failed = not batch.permit.stopped()  # out of sockets, or stopping: the rest of the batch is given back
        _log.warning("courier_unavailable", lane=batch.lane.value, error=str(error))
        return
    if delivery.refused_by_gate:
        return
    watch.SEND[batch.lane].observe(delivery.ended - delivery.ready)
    verdict = c.rules.classify(delivery.response, job.route.provider)
    _judge(batch, job, delivery, verdict, c)


# 7 record


def _judge(batch: Batch, job: Job, delivery: Delivery, verdict: Verdict, c: Collaborators) -> None:
    response = delivery.response
    facts = AttemptFacts(
        ip=job.ip.address,
        provider=job.route.provider,
        mx=delivery.host_name,
        tls=delivery.tls,
        phase=response.phase.value,
        code=response.code,
        enhanced=response.enhanced,
        reply=response.text or (response.trouble.value if response.trouble else ""),
        action=verdict.action.value,
        klass=verdict.klass,
        scope=verdict.scope.value,
        rule=verdict.rule,
        duration_ms=round(delivery.milliseconds),
    )
    _conclude(batch, job.claimed, job.email, response, verdict, facts, c)


def _judge_unrouted(batch: Batch, message: Claimed, response: Response, c: Collaborators) -> None:
    """DNS gave no server to try: that is an attempt too."""
    verdict = c.rules.classify(response, "")
    facts = AttemptFacts(
        "", "", "", "", response.phase.value, 0, response.enhanced,
        response.text or (response.trouble.value if response.trouble else ""),
        verdict.action.value, verdict.klass, verdict.scope.value, verdict.rule, 0,
    )  # fmt: skip
    _conclude(batch, message, batch.emails[message.ref.email_id][0], response, verdict, facts, c)


def _conclude(
    batch: Batch,
    message: Claimed,
    email: StoredEmail,
    response: Response,
    verdict: Verdict,
    facts: AttemptFacts,
    c: Collaborators,
) -> None:
    """Verdict → outcome: ended, or deferred until its next time."""
    now = batch.now()
    attempts = message.attempts + 1
    event = states.event_for(verdict)
    accepted = email.scheduled_at or email.created_at
    due = None
    if event is states.Event.DEFER:
        due = retry.next_attempt(attempts, accepted, now, verdict, message.expires_at, random.random())
        if due is None:
            event = states.Event.EXPIRE
    state = states.move(states.State.QUEUED, event)
    outcome = Outcome(
        ref=message.ref,
        address=message.address,
        lane=batch.lane,
        at=now,
        kind=EventKind(state.value),
        state=state,
        attempts=attempts,
        worker=c.worker,
        attempt=facts,
        next_attempt_at=due,
        suppress=suppression_for(verdict, response.phase, batch.lane, facts.reply),
    )
    _put(batch, outcome, c)
    if verdict.uncertain:
        watch.UNCERTAIN.labels(batch.lane.value).inc()
    watch.attempt(batch.lane, facts, (now - accepted).total_seconds() if state is states.State.DELIVERED else None)
    _log.info(
        "attempt", message_id=str(message.ref), lane=batch.lane.value, recipient=message.recipient, ip=facts.ip,
        mx=facts.mx, provider=facts.provider, tls=facts.tls, code=facts.code, enhanced=facts.enhanced,
        reply=facts.reply, verdict=facts.action, rule=facts.rule, state=state.value, attempt=attempts,
    )  # fmt: skip


def _end(batch: Batch, message: Claimed, event: states.Event, kind: EventKind, detail: str, c: Collaborators) -> None:
    """End a message that was not tried."""
    state = states.move(states.State.QUEUED, event)
    _put(
        batch,
        Outcome(
            message.ref, message.address, batch.lane, batch.now(), kind, state, message.attempts, c.worker,
            detail=detail,
        ),
        c,
    )  # fmt: skip
    _log.info("ended_unsent", message_id=str(message.ref), lane=batch.lane.value, state=state.value, detail=detail)


def _wait(batch: Batch, message: Claimed, wait: Wait, c: Collaborators) -> None:
    """No IP can take it: due again when one can, without an attempt counted."""
    now = batch.now()
    due: datetime = wait.until or now + NO_IP_RETRY
    outcome = Outcome(
        message.ref, message.address, batch.lane, now, EventKind.DEFERRED, states.State.DEFERRED, message.attempts,
        c.worker, next_attempt_at=due, detail=wait.reason,
    )  # fmt: skip
    _put(batch, outcome, c)


def _stumble(batch: Batch, message: Claimed, error: Exception, c: Collaborators, *, sent: bool = False) -> None:
    """A bug of ours, or a setting that is wrong for this message: it waits by the retry clock, for a repaired worker
    can send it. With `sent` its server may have taken it, and a quick repeat would be a flood."""
    _log.error("send_failed", message_id=str(message.ref), lane=batch.lane.value, exc_info=error)
    if message.ref not in batch.permit.left():
        return  # its outcome had been put before
    email, _ = batch.emails[message.ref.email_id]
    now, attempts, accepted = batch.now(), message.attempts + 1, email.scheduled_at or email.created_at
    verdict = Verdict(Action.RETRY_LATER, "internal", Scope.LOCAL, "internal_error", uncertain=sent)
    due = retry.next_attempt(attempts, accepted, now, verdict, message.expires_at, random.random())
    state = states.State.DEFERRED if due else states.State.FAILED
    outcome = Outcome(
        message.ref, message.address, batch.lane, now, EventKind(state.value), state, attempts, c.worker,
        next_attempt_at=due, detail=f"internal error: {type(error).__name__}: {error}"[:DETAIL_LENGTH],
    )  # fmt: skip
    _put(batch, outcome, c)


def _put(batch: Batch, outcome: Outcome, c: Collaborators) -> None:
    c.recorder.put(outcome)
    batch.permit.done(outcome.ref)  # its lease is kept until the outcome is committed


async def _give_back(batch: Batch, c: Collaborators) -> None:
    """Return what was claimed and not tried: time was up, a suppression came, or a step failed."""
    untried = batch.permit.left()
    if not untried:
        return
    c.leases.let_go(untried)
    try:
        async with c.database.connection() as connection:
            due = batch.now() + (FAILURE_PAUSE if batch.failed else timedelta(0))
            await claim.give_back(connection, list(untried), c.worker, due)
    except DatabaseUnavailableError as error:
        _log.warning("leases_left_to_expire", messages=len(untried), error=str(error))
