"""Every message of a batch gets its pool and its IP, or waits, and says for what.

What no IP can take within the next moments goes back to the queue with the reason. What only a rate holds up for less
than that is paced: it stays in the batch and is sent as the rate allows, so that a slow provider costs no database
work.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from accounts.senders import Sender
from core.errors import ConfigurationError, UnavailableError
from core.queues import Lane
from messages.model import Claimed, MessageRef, StoredEmail
from messages.states import Event
from messages.timeline import EventKind
from mta.model import Response, Route
from outcomes.engagement import last_engaged
from pools.grants import Ask, Grant, Granted, deal
from pools.model import Pool, Rest, Wait
from warmup.engagement import order_for_warming
from workers.batch import Batch, Collaborators, Job
from workers.concluding import end, hold, stumble, unrouted

PACE_SECONDS = 5.0
"""A batch sends at a limited rate for so long; then what is left goes back to the queue."""

SHORT_SECONDS = 2.0
"""A wait up to this is sat out in the batch, a longer one in the queue."""

PORTION_SECONDS = 0.05
"""What a rate lets through in this time is sent together: asking for each token by itself costs more than sending."""

SOONEST = timedelta(seconds=1)
"""Mail that goes back to the queue is not claimed again before this."""


class Ready(NamedTuple):
    """A message with all that is known before it gets an IP."""

    message: Claimed
    route: Route
    pool: Pool
    sender: Sender


_Group = tuple[UUID, str, str, frozenset[int]]


async def assign(
    batch: Batch, messages: Sequence[Claimed], routes: dict[str, Route | Response], c: Collaborators
) -> tuple[list[Job], list[Ready]]:
    """Jobs with an IP, and messages that a rate holds up for a moment: `paced` makes jobs of those. Messages without a
    route or a sender domain end here; messages without an IP go back to the queue."""
    ready = await _ready(batch, messages, routes, c)
    waiting: list[tuple[Claimed, Wait]] = []
    free: list[Ready] = []
    now = batch.now()
    for one in ready:
        wait = _stopped(batch, one, now, c)
        if wait is None:
            free.append(one)
        else:
            waiting.append((one.message, wait))
    jobs, left = await _same_ips(batch, free, c)
    more, slow = await _shares(batch, left, c)
    paced = _admit_to_pace(batch, slow, c)
    kept = {one.message.ref for one in paced}
    waiting.extend(_later(batch, (pair for pair in slow if pair[0].message.ref not in kept)))
    try:
        await hold(batch, waiting, c)
    except BaseException:
        _end_pace(batch, paced, c)  # nobody will: without it no batch would be paced there any more
        raise
    return jobs + more, paced


async def paced(batch: Batch, slow: Sequence[Ready], c: Collaborators) -> AsyncGenerator[list[Job]]:
    """Jobs for these messages as their rates allow. What is left after `PACE_SECONDS` goes back to the queue."""
    until = time.monotonic() + PACE_SECONDS
    left, waits = list(slow), {}
    try:
        pause = 0.0
        while left and time.monotonic() + pause < until and not batch.permit.stopped():
            await asyncio.sleep(pause)
            jobs, late = await _shares(batch, left, c)
            # Before the others grant: whoever ends this here returns what is left, and only that.
            left, waits = [one for one, _ in late], {one.message.ref: wait for one, wait in late}
            if jobs:
                yield jobs
            pause = max(min((_seconds(batch, wait) for wait in waits.values()), default=0.0), PORTION_SECONDS)
            if pause > SHORT_SECONDS:
                break
    finally:
        _end_pace(batch, slow, c)
        await hold(batch, _later(batch, ((one, waits[one.message.ref]) for one in left if waits)), c)


async def another_ip(batch: Batch, job: Job, avoid: frozenset[str], c: Collaborators) -> Grant | Wait:
    """The next IP for a mail whose IP was throttled under it."""
    rest = c.throttles.domain_rest(job.sender.name, job.route.site, batch.now())
    if rest is not None:
        return Wait(rest.until, rest.reason)
    ask = _ask(job.pool, job.route, 1, _limited(job.sender, job.route, batch.now(), c))
    try:
        granted = (await c.granter.grant([replace(ask, avoid=avoid, urgent=True)], batch.lane, batch.now()))[0]
    except UnavailableError as error:
        # No bug, and not the mail's fault: the ledger of warming IPs is in the database.
        return Wait(batch.now() + SOONEST, f"no other IP can be granted just now: {error}")
    if granted.grants:
        _count_tickets(batch, granted)
        return granted.grants[0]
    assert granted.wait is not None
    return _with_rests(granted.wait, job, avoid, batch, c)


def _with_rests(wait: Wait, job: Job, avoid: frozenset[str], batch: Batch, c: Collaborators) -> Wait:
    """The IPs that were tried in this round return too, and one of them may be the first."""
    places = (job.route.site, job.spoke)
    rests = {ip: rest for ip in sorted(avoid) for at in places if (rest := c.throttles.rest(ip, at, batch.now()))}
    ends = [rest.until for rest in rests.values() if rest.until]
    if wait.until is not None:
        ends.append(wait.until)
    tried = "; ".join(f"{ip}: {rest.reason}" for ip, rest in rests.items())
    return Wait(min(ends, default=None), f"{wait.reason} (tried: {tried})" if tried else wait.reason)


async def _ready(
    batch: Batch, messages: Sequence[Claimed], routes: Mapping[str, Route | Response], c: Collaborators
) -> list[Ready]:
    """Those with a route, a sender domain and a pool, which are asked for once for all mail of one origin; the others
    end here."""
    ready: list[Ready] = []
    known: dict[tuple[UUID, UUID, UUID | None], tuple[Pool, Sender]] = {}
    for message in messages:
        route = routes[message.destination]
        if isinstance(route, Response):
            unrouted(batch, message, route, c)
            continue
        email = batch.emails[message.ref.email_id][0]
        origin = email.domain_id, email.application_id, email.pool_id
        found = known.get(origin) or await _origin(batch, message, email, c)
        if found is not None:
            known[origin] = found
            ready.append(Ready(message, route, *found))
    return ready


async def _origin(batch: Batch, message: Claimed, email: StoredEmail, c: Collaborators) -> tuple[Pool, Sender] | None:
    """Pool and sender domain of a message. None when it has none: it is concluded."""
    sender = await sender_of(batch, message, c)
    if sender is None:
        return None
    try:
        pool = await c.pools.pool_for(batch.lane, email.pool_id, email.domain_id, email.application_id)
    except ConfigurationError as error:
        stumble(batch, message, error, c)
        return None
    return pool, sender


async def sender_of(batch: Batch, message: Claimed, c: Collaborators) -> Sender | None:
    """Its sender domain. None when there is no such domain any more, or its keys cannot be read: it is concluded."""
    try:
        sender = await c.senders.sender(batch.emails[message.ref.email_id][0].domain_id)
    except ConfigurationError as error:
        stumble(batch, message, error, c)
        return None
    if sender is None:
        end(batch, message, Event.FAIL, EventKind.FAILED, "its sender domain was deleted", c)
    return sender


async def _same_ips(batch: Batch, ready: Sequence[Ready], c: Collaborators) -> tuple[list[Job], list[Ready]]:
    """A greylisted message goes back through the IP it was greylisted on, if that can take it; and all others."""
    returning: dict[_Group, list[Ready]] = defaultdict(list)
    others: list[Ready] = []
    for one in ready:
        if one.message.last_ip is None:
            others.append(one)
        else:
            returning[one.pool.id, one.route.site, one.message.last_ip, one.route.families].append(one)
    if not returning:
        return [], others
    asks = [
        replace(_ask(group[0].pool, group[0].route, len(group), ""), only=ip)
        for (_, _, ip, _), group in returning.items()
    ]
    jobs: list[Job] = []
    answers = await c.granter.grant(asks, batch.lane, batch.now())
    for group, granted in zip(returning.values(), answers, strict=True):
        jobs.extend(_jobs(batch, group, granted, {}))
        others.extend(group[len(granted.grants) :])
    return jobs, others


async def _shares(batch: Batch, ready: Sequence[Ready], c: Collaborators) -> tuple[list[Job], list[tuple[Ready, Wait]]]:
    """An IP for each message, and those that got none with the reason."""
    groups: dict[_Group, list[Ready]] = defaultdict(list)
    now = batch.now()
    for one in ready:
        _, route, pool, sender = one
        groups[pool.id, route.site, _limited(sender, route, now, c), route.families].append(one)
    if not groups:
        return [], []
    asks = [_ask(group[0].pool, group[0].route, len(group), domain) for (_, _, domain, _), group in groups.items()]
    jobs: list[Job] = []
    late: list[tuple[Ready, Wait]] = []
    answers = await c.granter.grant(asks, batch.lane, batch.now())
    pairs = list(zip(groups.values(), answers, strict=True))
    engaged = await _engaged(batch, [one for group, granted in pairs if _warms(batch, granted) for one in group], c)
    for group, granted in pairs:
        jobs.extend(_jobs(batch, group, granted, engaged))
        if granted.wait is not None:
            late.extend((one, granted.wait) for one in group[len(granted.grants) :])
    return jobs, late


def _ask(pool: Pool, route: Route, n: int, domain: str) -> Ask:
    return Ask(pool, route.provider, route.site, n, domain, families=route.families)


def _limited(sender: Sender, route: Route, now: datetime, c: Collaborators) -> str:
    """The sender domain when it has a rate of its own at this site, else ""."""
    return sender.name if c.throttles.domain_rate(sender.name, route.site, now) is not None else ""


def _warms(batch: Batch, granted: Granted) -> bool:
    """Whether some of it goes through a young IP, and there is a choice who."""
    return batch.lane is Lane.MARKETING and any(grant.ticket is not None for grant in granted.grants)


async def _engaged(batch: Batch, ready: Sequence[Ready], c: Collaborators) -> dict[MessageRef, datetime]:
    """When these recipients last opened, clicked or were active; asked for warming IPs only. Without an answer the
    order stays as it is: mail is not kept waiting for it."""
    emails = batch.emails
    whom = {o.message.ref: (emails[o.message.ref.email_id][0].application_id, o.message.address) for o in ready}
    if len(whom) < 2:
        return {}
    try:
        async with c.database.connection() as connection:
            found = await last_engaged(connection, list(set(whom.values())))
    except UnavailableError:
        return {}
    return {ref: found[one] for ref, one in whom.items() if one in found}


def _engaged_at(message: Claimed, engaged: Mapping[MessageRef, datetime]) -> datetime | None:
    """The later of what the queue says and of what was seen since."""
    known = [at for at in (message.engaged_at, engaged.get(message.ref)) if at is not None]
    return max(known, default=None)


def _jobs(batch: Batch, group: list[Ready], granted: Granted, engaged: Mapping[MessageRef, datetime]) -> list[Job]:
    """The first messages of the group with what was granted; the most engaged recipients on warming IPs, which come
    first. Sorts `group`."""
    grants = deal(granted.grants)
    if grants and grants[0].ticket is not None and batch.lane is Lane.MARKETING:
        group[:] = order_for_warming(group, lambda one: _engaged_at(one.message, engaged), batch.now())
    _count_tickets(batch, granted)
    return [_job(batch, one, grant) for one, grant in zip(group, grants, strict=False)]


def _job(batch: Batch, one: Ready, grant: Grant) -> Job:
    email, content = batch.emails[one.message.ref.email_id]
    return Job(one.message, email, content, one.sender, one.route, one.pool, grant.ip, grant.ticket)


def _count_tickets(batch: Batch, granted: Granted) -> None:
    batch.tickets.update(grant.ticket for grant in granted.grants if grant.ticket is not None)


def _admit_to_pace(batch: Batch, slow: Sequence[tuple[Ready, Wait]], c: Collaborators) -> list[Ready]:
    """Of one lane and site one batch at a time is paced; what others claim meanwhile goes back to the queue."""
    paced: list[Ready] = []
    mine: set[tuple[Lane, str]] = set()
    for one, wait in slow:
        place = (batch.lane, one.route.site)
        if _seconds(batch, wait) <= SHORT_SECONDS and (place in mine or place not in c.pacing):
            mine.add(place)
            paced.append(one)
    c.pacing.update(mine)
    batch.permit.aside = len(paced)
    return paced


def _end_pace(batch: Batch, paced: Sequence[Ready], c: Collaborators) -> None:
    """Others may be paced to these sites."""
    c.pacing.difference_update((batch.lane, one.route.site) for one in paced)
    batch.permit.aside = 0


def _later(batch: Batch, slow: Iterable[tuple[Ready, Wait]]) -> list[tuple[Claimed, Wait]]:
    """Messages that go back to the queue, for a second at least: what is due at once would be claimed at once."""
    soonest = batch.now() + SOONEST
    return [(one.message, replace(wait, until=max(wait.until, soonest)) if wait.until else wait) for one, wait in slow]


def _seconds(batch: Batch, wait: Wait) -> float:
    return float("inf") if wait.until is None else max(0.0, (wait.until - batch.now()).total_seconds())


def _stopped(batch: Batch, one: Ready, now: datetime, c: Collaborators) -> Wait | None:
    """Why no IP may carry it: a breaker holds for its stream, or its sending domain rests."""
    email, _ = batch.emails[one.message.ref.email_id]
    breaker = c.shared.breakers.stopped(email.application_id, batch.lane.value, one.route.provider, now)
    if breaker is not None:
        return Wait(breaker.until, breaker.why, breaker.provider)
    rest = c.throttles.domain_rest(one.sender.name, one.route.site, now)
    return None if rest is None else _domain_wait(one, rest)


def _domain_wait(one: Ready, rest: Rest) -> Wait:
    return Wait(rest.until, f"mail from {one.sender.name} rests at {one.route.site}: {rest.reason}")
