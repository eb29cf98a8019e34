"""The door of SMTP submission: an API key and a mail in, a reply line out. Behind `mta/inbound` as two callables.

Owns who may send what over SMTP, by the rules of the API: the domain of From is a verified domain of the key's
application (and the key's own domain, if it has one), the pool exists and serves the stream. A 250 leaves here only
after `Acceptor.accept` has returned, which is after the commit. `DatabaseUnavailableError` passes through.
"""

import asyncio
from typing import Final
from uuid import UUID

import orjson

from accounts.directory import Caller, Directory
from core.clock import Clock
from core.ids import uuid7
from messages.accept import Acceptance, Accepted, Acceptor, KeyInFlight, KeyReused, Replay
from messages.model import Submission
from messages.submission import (
    Refusal,
    SubmissionFacts,
    SubmittedEmail,
    idempotency_of,
    new_email,
    read_submission,
)
from mta.inbound import SubmittedMail

_AT_ONCE: Final = 64 * 1024
"""Octets of a mail that are read in the event loop: about a millisecond, less than a thread costs under load."""
_KEY_GONE: Final = Refusal("535 5.7.8 The API key you logged in with is no longer valid")


class SubmissionDoor:
    """One per inbound process."""

    def __init__(self, directory: Directory, acceptor: Acceptor, clock: Clock, hostname: str) -> None:
        self._directory = directory
        self._acceptor = acceptor
        self._clock = clock
        self._hostname = hostname

    async def log_in(self, token: str) -> str | None:
        """The token if it is an API key, else None. The key is looked up again for each mail of the session, so that
        one that was deleted ends with it (the directory remembers answers for seconds)."""
        return token if await self._directory.caller(token) else None

    async def submit(self, token: str, mail: SubmittedMail) -> str:
        """Make the mail durable, or say why not."""
        caller = await self._directory.caller(token)
        if caller is None:
            return _KEY_GONE.reply
        read = await _read(mail)
        if isinstance(read, Refusal):
            return read.reply
        facts = await self._facts(caller, read)
        if isinstance(facts, Refusal):
            return facts.reply
        submission = Submission(caller.application_id, (new_email(read, facts),), idempotency_of(read, facts.id))
        return _reply(await self._acceptor.accept(submission), facts.id)

    async def _facts(self, caller: Caller, mail: SubmittedEmail) -> SubmissionFacts | Refusal:
        name = mail.sender.domain
        domain = await self._directory.sender_domain(caller.application_id, name)
        if domain is None or domain.status != "verified":
            return Refusal(f"550 5.7.1 The domain {name} of the From header is not a verified domain of this API key")
        if caller.domain_id is not None and caller.domain_id != domain.id:
            return Refusal(f"550 5.7.1 This API key may not send from the domain {name} of the From header")
        pool_id = None
        if mail.pool:
            pool = await self._directory.pool_id(mail.pool)
            if pool is None or pool[1] is not mail.lane:
                return Refusal(f"550 5.6.0 X-Postlane-Pool: there is no pool {mail.pool} for {mail.lane} mail")
            pool_id = pool[0]
        return SubmissionFacts(uuid7(), caller.application_id, domain.id, pool_id, self._clock.now(), self._hostname)


async def _read(mail: SubmittedMail) -> SubmittedEmail | Refusal:
    """A large mail is read in a thread: re-encoding it takes long enough for other clients to notice."""
    if len(mail.content) <= _AT_ONCE:
        return read_submission(mail.content, mail.recipients)
    return await asyncio.to_thread(read_submission, mail.content, mail.recipients)


def _reply(acceptance: Acceptance, email_id: UUID) -> str:
    match acceptance:
        case Accepted():
            return f"250 2.0.0 Accepted as {email_id}"
        case Replay(response):
            return f"250 2.0.0 Accepted before as {orjson.loads(response)['id']}"
        case KeyReused():
            return "550 5.6.0 The idempotency key was used for another mail"
        case KeyInFlight():
            return "451 4.5.0 A mail with this idempotency key is being taken, try again later"
