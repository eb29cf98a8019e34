"""Mail that does not leave: composed and signed as any other, then kept in the sandbox instead of being sent.

No DNS, no IP, no rate, no allowance of a warming IP: nothing of the wire is touched, and no figure of real mail is
moved. What its recipient would have said is here: real ones take everything, simulated ones do what their name says
(`messages/simulated`), judged by the same reply rules.

The mail and its outcome are written in one transaction. So a worker that is killed has either done both or neither, and
whoever does it again finds the message ended. No journal is needed: nothing has left the machine.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import psycopg

from core.logs import get_logger
from messages import claim, simulated, states
from messages.entries import Words
from messages.model import Claimed, MessageRef
from messages.simulated import Behaviour
from messages.timeline import EventKind
from mta.model import Phase, Response, Verdict
from outcomes.kinds import AttemptFacts, Outcome
from outcomes.record import record
from sandbox import complaints, mailbox
from sandbox.mailbox import CapturedMail
from workers import trail, watch
from workers.assigning import sender_of
from workers.batch import Batch, Collaborators, Composable
from workers.concluding import end, stumble
from workers.preparing import ROOM_SECONDS, prepare_chunk

_log = get_logger(__name__)

CHUNK: Final = 20
"""Mails composed, and committed, together."""
SITE: Final = "sandbox"
"""What stands for the mailbox provider in the timeline of a simulated recipient."""
DELAY: Final = timedelta(seconds=10)
"""How long `delayed@` puts a mail off. Shorter than the retry clock: somebody is waiting for his test."""

_CAPTURED: Final = Response(Phase.DOT, 250, "2.0.0", "OK (captured)")
_TAKEN: Final = Response(Phase.DOT, 250, "2.0.0", "OK (simulated)")
_REPLIES: Final[Mapping[Behaviour, Response]] = {
    Behaviour.DELIVERED: _TAKEN,
    Behaviour.COMPLAINED: _TAKEN,
    Behaviour.BOUNCED: Response(
        Phase.RCPT, 550, "5.1.1", "The email account that you tried to reach does not exist (simulated)"
    ),
    Behaviour.FULL: Response(
        Phase.RCPT, 552, "5.2.2", "The email account that you tried to reach is over quota (simulated)"
    ),
    Behaviour.DELAYED: Response(Phase.RCPT, 450, "4.2.0", "Greylisted, please try again later (simulated)"),
}
"""In the words of a large provider, so that a rule of ours knows them."""

_REFUSED: Final = (psycopg.DataError, psycopg.IntegrityError, ValueError, TypeError)
"""One mail that cannot be stored as it is."""


@dataclass(frozen=True, slots=True)
class _Done:
    """One message with its outcome, and whether its mail was taken."""

    mail: Composable
    outcome: Outcome
    complains: bool = False

    @property
    def taken(self) -> bool:
        return self.outcome.state is states.State.DELIVERED


async def capture(batch: Batch, messages: Sequence[Claimed], c: Collaborators) -> None:
    """Bring these messages to their end, or to their next attempt. Who is told of nothing is given back."""
    mails = [mail for message in messages if (mail := await _mail(batch, message, c)) is not None]
    small = [mail for mail in mails if mail.content is not None]
    for start in range(0, len(small), CHUNK):
        await _capture(batch, small[start : start + CHUNK], c)
    for large in (mail for mail in mails if mail.content is None):
        await _capture_large(batch, large, c)


async def _mail(batch: Batch, message: Claimed, c: Collaborators) -> Composable | None:
    if simulated.behaviour(message.address, c.simulated_domain) is Behaviour.SUPPRESSED:
        end(batch, message, states.Event.SUPPRESS, EventKind.SUPPRESSED, "suppressed: simulated", c)
        return None
    email, content = batch.emails[message.ref.email_id]
    sender = await sender_of(batch, message, c)
    return Composable(message, email, content, sender) if sender is not None else None


async def _capture_large(batch: Batch, mail: Composable, c: Collaborators) -> None:
    """One at a time, within the memory that large mail may take."""
    if not await c.large.take(SITE, mail.email.size, ROOM_SECONDS):
        return
    try:
        async with c.database.connection() as connection:
            mail.content = await claim.load_content(connection, mail.email.content_id)
        await _capture(batch, [mail], c)
    finally:
        mail.content = mail.envelope = None
        c.large.give_back(SITE, mail.email.size)


async def _capture(batch: Batch, mails: Sequence[Composable], c: Collaborators) -> None:
    prepared = await prepare_chunk(batch, mails, c)
    allowed = [mail for mail in prepared if await batch.permit.allows(mail.claimed.ref)]
    await _commit(batch, [_done(batch, mail, c) for mail in allowed], c)


def _done(batch: Batch, mail: Composable, c: Collaborators) -> _Done:
    behaviour = simulated.behaviour(mail.claimed.address, c.simulated_domain)
    if behaviour is None:
        by = "it was sent with a test key" if mail.email.capture else "a capture rule names its recipient"
        return _Done(mail, _outcome(batch, mail, _CAPTURED, f"captured, nothing left: {by}", c))
    waited = behaviour is Behaviour.DELAYED and mail.claimed.attempts > 0
    response = _TAKEN if waited else _REPLIES[behaviour]
    outcome = _outcome(batch, mail, response, "simulated, nothing left", c)
    return _Done(mail, outcome, behaviour is Behaviour.COMPLAINED)


def _outcome(batch: Batch, mail: Composable, response: Response, detail: str, c: Collaborators) -> Outcome:
    message, now = mail.claimed, batch.now()
    verdict = c.rules.classify(response, SITE)
    state = states.move(states.State.QUEUED, states.event_for(verdict))
    later = min(filter(None, (now + DELAY, message.expires_at))) if state is states.State.DEFERRED else None
    return Outcome(
        message.ref, message.address, batch.lane, now, EventKind(state.value), state, message.attempts + 1, c.worker,
        _facts(response, verdict, c), later, detail, capture=True,
        words=Words(message.recipient, batch.lane, mail.email),
    )  # fmt: skip


def _facts(response: Response, verdict: Verdict, c: Collaborators) -> AttemptFacts:
    return AttemptFacts(
        ip="",
        provider=SITE,
        mx=c.simulated_domain,
        tls="",
        phase=response.phase.value,
        code=response.code,
        enhanced=response.enhanced,
        reply=response.text,
        action=verdict.action.value,
        klass=verdict.klass,
        scope=verdict.scope.value,
        rule=verdict.rule,
        duration_ms=0,
    )


async def _commit(batch: Batch, done: Sequence[_Done], c: Collaborators) -> None:
    """All together; when one cannot be stored, each by itself, and that one waits by the retry clock."""
    if not done:
        return
    started = time.monotonic()
    try:
        await _record(done, c)
    except _REFUSED as error:
        if len(done) == 1:
            stumble(batch, done[0].mail.claimed, error, c)
            return
        for one in done:
            await _commit(batch, [one], c)
        return
    refs = [one.outcome.ref for one in done]
    if batch.trail is not None:
        for one in done:
            batch.trail.decided(one.outcome)
    for ref in refs:
        batch.permit.done(ref)
    trail.recorded([one.outcome for one in done], time.monotonic() - started)
    c.claims.let_go(refs)
    watch.CAPTURED.labels(batch.lane.value).inc(len(refs))
    _log.info("captured", lane=batch.lane.value, messages=len(refs))


async def _record(done: Sequence[_Done], c: Collaborators) -> None:
    async with c.database.transaction() as connection:
        recorded = await record(connection, [one.outcome for one in done])
        moved = frozenset(recorded.moved)
        taken = [one for one in done if one.taken and one.outcome.ref in moved]
        await mailbox.keep(connection, [_captured(one.mail) for one in taken])
        await complaints.plan(connection, [one.outcome.ref for one in taken if one.complains])


def _captured(mail: Composable) -> CapturedMail:
    envelope, ref = mail.envelope, MessageRef(*mail.claimed.ref)
    assert envelope is not None
    return CapturedMail(ref, mail.email.application_id, envelope.mail_from, envelope.rcpt_to, envelope.whole)
