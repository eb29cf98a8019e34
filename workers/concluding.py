"""What became of a message, as an outcome for the recorder.

A message leaves a batch in one of three ways: with an outcome that ends or defers it, held for an IP (no attempt
counted), or given back untried. A throttled mail that changes its IP leaves only a note in its timeline.
"""

import contextlib
import random
from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Final, NamedTuple
from uuid import UUID

from core.logs import get_logger
from messages import claim, retry, states
from messages.claim import Held
from messages.clocks import begin_anew
from messages.entries import Words
from messages.model import Claimed, MessageRef, StoredEmail
from messages.timeline import EventKind
from mta.deliver import Delivery
from mta.model import Action, Response, Scope, Verdict
from outcomes.kinds import AttemptFacts, Outcome
from pools.model import Wait
from store.counters import Origin, origin
from store.database import Connection, DatabaseUnavailableError
from suppression.rules import suppression_for
from workers import watch
from workers.batch import Batch, Collaborators, Job

_log = get_logger(__name__)

NO_IP_RETRY = timedelta(seconds=30)
"""Mail that no IP can take is looked at again after this, when nobody says when one can."""

ANEW_AFTER = timedelta(hours=24)
"""How old a campaign's mail that waits untried for an IP grows before its clock is set anew."""

FAILURE_PAUSE = timedelta(minutes=1)
"""Mail whose batch failed through a bug of ours comes back after this, not in a tight circle."""

_KINDS: Final = {state: EventKind(state.value) for state in (*states.TERMINAL, states.State.DEFERRED)}
"""How each state that a message can come into stands in its timeline."""

DETAIL_LENGTH = 500
"""Characters of an internal error, or of a reason to wait, that are kept."""


def facts_of(job: Job, delivery: Delivery, verdict: Verdict) -> AttemptFacts:
    """What is kept of one attempt."""
    response = delivery.response
    return AttemptFacts(
        job.ip.address, job.route.provider, delivery.host_name, delivery.tls, response.phase.value, response.code,
        response.enhanced, response.text or (response.trouble.value if response.trouble else ""),
        verdict.action.value, verdict.klass, verdict.scope.value, verdict.rule, round(delivery.milliseconds),
        _text_of(job.pool.id),
    )  # fmt: skip


@lru_cache
def _text_of(pool: UUID) -> str:
    """Few pools, and a mail for each of these texts."""
    return str(pool)


def written(response: Response) -> str:
    """The reply as it stands in a log, or what was seen instead of one."""
    if response.trouble is not None:
        return f"{response.trouble.value}: {response.text}" if response.text else response.trouble.value
    return " ".join(part for part in (str(response.code), response.enhanced, response.text) if part)


def unrouted(batch: Batch, message: Claimed, response: Response, c: Collaborators) -> None:
    """DNS gave no server to try: that is an attempt too."""
    verdict = c.rules.classify(response, "")
    facts = AttemptFacts(
        "", "", "", "", response.phase.value, 0, response.enhanced,
        response.text or (response.trouble.value if response.trouble else ""),
        verdict.action.value, verdict.klass, verdict.scope.value, verdict.rule, 0,
    )  # fmt: skip
    conclude(batch, message, batch.emails[message.ref.email_id][0], response, verdict, facts, c)


def conclude(
    batch: Batch,
    message: Claimed,
    email: StoredEmail,
    response: Response,
    verdict: Verdict,
    facts: AttemptFacts,
    c: Collaborators,
) -> None:
    """Verdict → outcome: ended, or deferred until its next time."""
    now, begun = batch.now(), accepted_at(email)
    attempts = message.attempts + 1
    event = states.event_for(verdict)
    due = None
    if event is states.Event.DEFER:
        due = retry.next_attempt(attempts, begun, now, verdict, message.expires_at, random.random())
        if due is None:
            event = states.Event.EXPIRE
    state = states.move(states.State.QUEUED, event)
    waited = max(0.0, (now - begun).total_seconds()) if state is states.State.DELIVERED else None
    outcome = Outcome(
        message.ref, message.address, batch.lane, now, _KINDS[state], state, attempts, c.worker, facts, due,
        suppress=suppression_for(verdict, response.phase, batch.lane, facts.reply), origin=_whose(email, message),
        waited=waited, words=Words(message.recipient, batch.lane, email),
    )  # fmt: skip
    _put(batch, outcome, c)
    if verdict.uncertain:
        watch.UNCERTAIN.labels(batch.lane.value).inc()
    watch.attempt(batch.lane, facts, waited)
    _log_attempt(batch, message, facts, state.value, c)


class Throttled(NamedTuple):
    """An attempt that throttled its IP or its sending domain, and when its reply came."""

    facts: AttemptFacts
    at: datetime


def rerouted(batch: Batch, message: Claimed, throttled: Throttled, c: Collaborators) -> None:
    """An IP was throttled under this message, which goes on through another one: a note, no outcome."""
    facts, at = throttled
    c.recorder.note(
        Outcome(
            message.ref, message.address, batch.lane, at, EventKind.REROUTED, states.State.QUEUED, message.attempts,
            c.worker, facts, origin=_origin(batch, message),
        )
    )  # fmt: skip
    watch.attempt(batch.lane, facts, None)
    _log_attempt(batch, message, facts, EventKind.REROUTED.value, c)


def throttled_everywhere(
    batch: Batch, message: Claimed, email: StoredEmail, throttled: Throttled, wait: Wait, c: Collaborators
) -> None:
    """The last IP that could take it was throttled, or its sending domain was: deferred until one returns. That was
    not the message's fault and costs it no attempt."""
    facts, at = throttled
    due = _held_until(batch, message, email, wait)
    state = states.State.DEFERRED if due else states.State.EXPIRED
    outcome = Outcome(
        message.ref, message.address, batch.lane, at, _KINDS[state], state, message.attempts,
        c.worker, facts, due, wait.reason[:DETAIL_LENGTH], origin=_origin(batch, message),
        words=_words(batch, message),
    )  # fmt: skip
    _put(batch, outcome, c)
    watch.attempt(batch.lane, facts, None)
    _log_attempt(batch, message, facts, state.value, c)


def end(batch: Batch, message: Claimed, event: states.Event, kind: EventKind, detail: str, c: Collaborators) -> None:
    """End a message that was not tried."""
    state = states.move(states.State.QUEUED, event)
    _put(
        batch,
        Outcome(
            message.ref, message.address, batch.lane, batch.now(), kind, state, message.attempts, c.worker,
            detail=detail, origin=_origin(batch, message), capture=message.capture, words=_words(batch, message),
        ),
        c,
    )  # fmt: skip
    _log.info("ended_unsent", message_id=str(message.ref), lane=batch.lane.value, state=state.value, detail=detail)


def stumble(batch: Batch, message: Claimed, error: BaseException, c: Collaborators) -> None:
    """A bug of ours, or a setting that is wrong for this message: it waits by the retry clock, for a repaired worker
    can send it. When it is on the wire its server may have taken it, and a quick repeat would be a flood."""
    _log.error("send_failed", message_id=str(message.ref), lane=batch.lane.value, exc_info=error)
    if message.ref not in batch.permit.left():
        return  # its outcome had been put before
    email, _ = batch.emails[message.ref.email_id]
    now, attempts = batch.now(), message.attempts + 1
    verdict = Verdict(
        Action.RETRY_LATER, "internal", Scope.LOCAL, "internal_error", uncertain=batch.permit.on_wire(message.ref)
    )
    due = retry.next_attempt(attempts, accepted_at(email), now, verdict, message.expires_at, random.random())
    state = states.State.DEFERRED if due else states.State.FAILED
    outcome = Outcome(
        message.ref, message.address, batch.lane, now, _KINDS[state], state, attempts, c.worker,
        next_attempt_at=due, detail=f"internal error: {type(error).__name__}: {error}"[:DETAIL_LENGTH],
        origin=_origin(batch, message), capture=message.capture, words=_words(batch, message),
    )  # fmt: skip
    _put(batch, outcome, c)


async def hold(batch: Batch, waiting: Sequence[tuple[Claimed, Wait]], c: Collaborators) -> None:
    """No IP can take these now: back to the queue until one can, saying why. No attempt, and no event: a long queue
    behind a limit would fill the timeline with nothing new. The reason is kept with the queue row."""
    held: list[Held] = []
    anew: list[UUID] = []
    for message, wait in waiting:
        if not batch.permit.withdraw(message.ref):
            continue
        email, _ = batch.emails[message.ref.email_id]
        due = _held_until(batch, message, email, wait)
        if due is None:
            end(batch, message, states.Event.EXPIRE, EventKind.EXPIRED, f"its time is over: {wait.reason}", c)
            continue
        held.append(Held(message.ref, due, wait.reason[:DETAIL_LENGTH], wait.breaker))
        batch.limited.add(message.destination)
        if _begins_anew(message, email) and batch.now() - accepted_at(email) > ANEW_AFTER:
            anew.append(email.id)
    if not held:
        return
    watch.HELD.labels(batch.lane.value).inc(len(held))
    async with _released([one.ref for one in held], c) as connection:
        await claim.hold(connection, held, c.worker)
        await begin_anew(connection, anew)


async def give_back(batch: Batch, c: Collaborators) -> None:
    """Return what was claimed and not tried (time was up, a suppression came, a step failed), and allowances of
    warming IPs that were not used."""
    untried = [ref for ref in batch.permit.left() if batch.permit.withdraw(ref)]
    if untried:
        async with _released(untried, c) as connection:
            due = batch.now() + (FAILURE_PAUSE if batch.failed else timedelta(0))
            await claim.give_back(connection, untried, c.worker, due)
    if batch.tickets:
        with contextlib.suppress(DatabaseUnavailableError):  # at worst a warming IP carries less today
            await c.granter.give_back((ticket, n) for ticket, n in batch.tickets.items() if n > 0)


@contextlib.asynccontextmanager
async def _released(refs: Sequence[MessageRef], c: Collaborators) -> AsyncIterator[Connection]:
    """A connection to return these messages on. They are let go of afterwards, whatever came of it: what could not be
    returned becomes due when its lease ends. Not before: claimed anew meanwhile, it would be sent and returned."""
    try:
        async with c.database.connection() as connection:
            yield connection
    except DatabaseUnavailableError as error:
        _log.warning("leases_left_to_expire", messages=len(refs), error=str(error))
    finally:
        c.claims.let_go(refs)


def accepted_at(email: StoredEmail) -> datetime:
    """When a message's clock began."""
    return email.scheduled_at or email.created_at


def _origin(batch: Batch, message: Claimed) -> Origin | None:
    """Whose mail it is, for the figures; None when its email is no longer stored."""
    email, _ = batch.emails.get(message.ref.email_id, (None, None))
    return _whose(email, message) if email is not None else None


def _whose(email: StoredEmail, message: Claimed) -> Origin:
    return origin(email.application_id, email.domain_id, email.topic_id, email.tags, message.capture)


def _words(batch: Batch, message: Claimed) -> Words | None:
    """What is told of it; None when its email is no longer stored."""
    email, _ = batch.emails.get(message.ref.email_id, (None, None))
    return Words(message.recipient, batch.lane, email) if email is not None else None


def _held_until(batch: Batch, message: Claimed, email: StoredEmail, wait: Wait) -> datetime | None:
    now = batch.now()
    begun = now if _begins_anew(message, email) else accepted_at(email)
    return retry.hold_until(wait.until or now + NO_IP_RETRY, begun, now, message.expires_at)


def _begins_anew(message: Claimed, email: StoredEmail) -> bool:
    """A campaign takes as long as its IPs need: what waits for one of them, never tried, is not too old. Its 72 hours
    begin when it is tried."""
    return email.campaign_id is not None and message.attempts == 0


def _put(batch: Batch, outcome: Outcome, c: Collaborators) -> None:
    c.recorder.put(outcome)
    if batch.trail is not None:
        batch.trail.decided(outcome)
    batch.permit.done(outcome.ref)  # its lease is kept until the outcome is committed


def _log_attempt(batch: Batch, message: Claimed, facts: AttemptFacts, state: str, c: Collaborators) -> None:
    _log.info(
        "attempt", message_id=str(message.ref), lane=batch.lane.value, recipient=message.recipient, ip=facts.ip,
        mx=facts.mx, provider=facts.provider, tls=facts.tls, code=facts.code, enhanced=facts.enhanced,
        reply=facts.reply, verdict=facts.action, rule=facts.rule, state=state, attempt=message.attempts + 1,
    )  # fmt: skip
