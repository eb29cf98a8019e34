"""The door of SMTP submission: an API key and a mail in, a reply line out. Behind `mta/inbound` as two callables.

Who may send what is as over HTTP (`accounts/permission`, `messages/capture`); the wording of replies is owned here. A
250 leaves only after `Acceptor.accept` has returned, which is after the commit. `DatabaseUnavailableError` passes
through.
"""

import asyncio
import time
from dataclasses import dataclass
from typing import Final
from uuid import UUID

import orjson

from accounts import permission
from accounts.directory import Caller, Directory
from accounts.permission import NOT_ALLOWED
from accounts.quotas import OverQuota
from audience.topics import Topic, TopicBook, of_mail
from core.clock import Clock
from core.queues import Lane
from core.refusal import Refused, invalid
from core.tracing import mail_id
from messages.accept import Acceptance, Accepted, Acceptor, KeyInFlight, KeyReused, Replay
from messages.capture import marked
from messages.model import Submission
from messages.submission import (
    LOOP,
    SubmissionFacts,
    SubmittedEmail,
    idempotency_of,
    new_email,
    read_submission,
)
from messages.traced import accepted
from mta.inbound import SubmittedMail

_AT_ONCE: Final = 64 * 1024
"""Octets of a mail that are read in the event loop: about a millisecond, less than a thread costs under load."""
_KEY_GONE: Final = "535 5.7.8 The API key you logged in with is no longer valid"
_QUEUED: Final = "250 2.0.0 Ok: queued as {}"
"""As Postfix says it, with the id that the API knows the email by. The same to a repeated mail: it is that email."""
_WRONG: Final = "550 5.6.0"
_CODES: Final = {NOT_ALLOWED: "550 5.7.1", LOOP: "554 5.4.6"}
"""Codes of refusals that say more than that something about the mail is wrong."""


@dataclass(frozen=True, slots=True)
class Host:
    """What the door knows of its server."""

    name: str
    simulated_domain: str
    tracks: bool = False
    """There are public pages, which tracked links lead to."""


class SubmissionDoor:
    """One per inbound process."""

    def __init__(self, directory: Directory, topics: TopicBook, acceptor: Acceptor, clock: Clock, host: Host) -> None:
        self._directory = directory
        self._topics = topics
        self._acceptor = acceptor
        self._clock = clock
        self._host = host

    async def log_in(self, token: str) -> str | None:
        """The token if it is an API key, else None. The key is looked up again for each mail of the session, so that
        one that was deleted ends with it (the directory remembers answers for seconds)."""
        return token if await self._directory.caller(token) else None

    async def submit(self, token: str, mail: SubmittedMail) -> str:
        """Make the mail durable, or say why not."""
        caller = await self._directory.caller(token)
        if caller is None:
            return _KEY_GONE
        try:
            read = await _read(mail)
            facts = await self._facts(caller, read)
        except Refused as error:
            return refusal(error)
        email = new_email(read, facts)
        submission = Submission(caller.application_id, (email,), idempotency_of(read, facts), caller.quota)
        begun = time.time_ns()
        acceptance = await self._acceptor.accept(submission)
        if isinstance(acceptance, Accepted):
            accepted([email], begun)
        return _reply(acceptance, facts.id)

    async def _facts(self, caller: Caller, mail: SubmittedEmail) -> SubmissionFacts:
        directory = self._directory
        if not self._host.tracks and (mail.open_tracking or mail.click_tracking):
            option = "open-tracking" if mail.open_tracking else "click-tracking"
            raise invalid(option, "this server has no public pages that a tracked link could lead to")
        domain = await permission.sender_domain(directory, caller, mail.sender.domain)
        topic = await self._topic(caller, mail)
        lane = mail.lane or (topic.lane if topic else Lane.TRANSACTIONAL)
        pool_id = await permission.pool(directory, mail.pool, lane) if mail.pool else None
        rules = await directory.capture_rules(caller.application_id)
        return SubmissionFacts(
            id=mail_id(),
            application_id=caller.application_id,
            domain_id=domain.id,
            lane=lane,
            topic_id=topic.id if topic else None,
            pool_id=pool_id,
            created_at=self._clock.now(),
            hostname=self._host.name,
            recipients=marked(mail.recipients, rules, self._host.simulated_domain),
            test=caller.test,
        )

    async def _topic(self, caller: Caller, mail: SubmittedEmail) -> Topic | None:
        """The topic that the mail names by its id, or by its name."""
        if not mail.topic:
            return None
        try:
            wanted: UUID | str = UUID(mail.topic)
        except ValueError:
            wanted = mail.topic
        return await of_mail(self._topics, caller.application_id, wanted, mail.lane, "topic")


def refusal(error: Refused) -> str:
    """The reply line to a mail that is not taken."""
    reason = f"X-Postlane-{error.field.title()}: {error.reason}" if error.field else error.reason
    told = f"{reason[:1].upper()}{reason[1:]}".rstrip(".")
    return f"{_CODES.get(error.code, _WRONG)} {told}" + (f". {error.hint}" if error.hint else "")


async def _read(mail: SubmittedMail) -> SubmittedEmail:
    """A large mail is read in a thread: re-encoding it takes long enough for other clients to notice."""
    if len(mail.content) <= _AT_ONCE:
        return read_submission(mail.content, mail.recipients)
    return await asyncio.to_thread(read_submission, mail.content, mail.recipients)


def _reply(acceptance: Acceptance, email_id: UUID) -> str:
    match acceptance:
        case Accepted():
            return _QUEUED.format(email_id)
        case Replay(response):
            return _QUEUED.format(orjson.loads(response)["id"])
        case OverQuota(reason=reason):
            return f"451 4.7.1 {reason}"
        case KeyReused():
            return "550 5.6.0 The idempotency key was used for another mail"
        case KeyInFlight():
            return "451 4.5.0 A mail with this idempotency key is being taken, try again later"
