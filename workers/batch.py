"""What the steps of `workers/pipeline` share: collaborators of a process, a batch, a message on its way."""

import asyncio
import time
from collections import Counter
from collections.abc import Coroutine
from concurrent.futures import Executor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from accounts.senders import Sender, SenderBook
from alarms.breakers import BreakerBook
from core.queues import Lane
from core.secrets import InstanceSecret
from flags.watch import FlagWatch
from messages.model import Claimed, StoredContent, StoredEmail
from messages.personal import Loaded, Personal, PersonalMail
from mta.deliver import Courier
from mta.model import EgressIp, Envelope, Route
from mta.resolve import Resolver
from mta.rule_book import RuleBook
from outcomes.recorder import Recorder
from pools.connections import SharedConnections
from pools.grants import Granter, Ticket
from pools.model import Pool
from pools.rates import Rates
from pools.repository import PoolBook
from pools.throttle import ThrottleBook
from store.database import Database
from warmup.ledger import Ledger
from workers.budget import Ahead, ByteBudget
from workers.claims import ClaimKeeper, Permit
from workers.trail import Trail


@dataclass(frozen=True, slots=True)
class Limits:
    """Figures of one worker process."""

    batch: int
    lease: timedelta
    batch_seconds: float


@dataclass(slots=True)
class Admission:
    """Whose turn it is to claim."""

    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    claiming: int = 0
    """Claims under way: what they bring is counted nowhere else yet."""


@dataclass(frozen=True, slots=True)
class Shared:
    """What all workers know in common: who rests where, and how much may be sent."""

    throttles: ThrottleBook
    rates: Rates
    ledger: Ledger
    connections: SharedConnections
    breakers: BreakerBook

    async def start(self) -> None:
        """Read what is known. A server that is away is no error: each part has its own careful answer then."""
        for part in (self.throttles, self.rates, self.ledger, self.connections, self.breakers):
            await part.start()

    async def stop(self) -> None:
        """After the last mail, before the database is closed."""
        for part in (self.breakers, self.connections, self.ledger, self.rates, self.throttles):
            await part.stop()


@dataclass(frozen=True, slots=True)
class Collaborators:
    """Everything a batch needs. Built once per process."""

    worker: UUID
    database: Database
    secret: InstanceSecret
    senders: SenderBook
    pools: PoolBook
    granter: Granter
    shared: Shared
    resolver: Resolver
    courier: Courier
    rules: RuleBook
    recorder: Recorder
    claims: ClaimKeeper
    signing: Executor
    limits: Limits
    personal: PersonalMail
    flags: FlagWatch
    public_url: str = ""
    """Where recipients unsubscribe; "" where there are no public pages."""
    permits: set[Permit] = field(default_factory=set)
    admission: Admission = field(default_factory=Admission)
    large: ByteBudget = field(default_factory=ByteBudget)
    ahead: Ahead = field(default_factory=Ahead)
    simulated_domain: str = ""
    """Where recipients are only simulated."""
    pacing: set[tuple[Lane, str]] = field(default_factory=set)
    """Lanes and sites that a batch is sending to as fast as a limited rate allows."""

    @property
    def idle(self) -> bool:
        """Whether nothing is under way: a claim would be made at once. May be asked by any thread."""
        return not self.permits and not self.admission.claiming

    @property
    def throttles(self) -> ThrottleBook:
        """Who rests where."""
        return self.shared.throttles


@dataclass(slots=True)
class Composable:
    """One claimed message with all that composing needs, whether it leaves or not."""

    claimed: Claimed
    email: StoredEmail
    content: StoredContent | Personal | None
    sender: Sender
    envelope: Envelope | None = field(default=None, kw_only=True)


@dataclass(slots=True)
class Job(Composable):
    """One claimed message on its way out through the steps. What is captured never becomes one."""

    route: Route
    pool: Pool
    ip: EgressIp
    ticket: Ticket | None = None
    """Allowance of a warming IP, until it is used."""
    spoke: str = ""
    """Provider of the server that it came to last: among servers of different owners the site does not tell."""

    def __post_init__(self) -> None:
        if self.claimed.capture or self.email.capture:
            raise AssertionError(f"{self.claimed.ref} may not leave")


@dataclass(slots=True)
class Batch:
    """What the steps share."""

    lane: Lane
    permit: Permit
    emails: dict[UUID, Loaded]
    claimed_at: datetime
    """By the database's clock."""
    asked: float
    """The same moment, or a little earlier, by `time.monotonic`."""
    failed: bool = False
    limited: set[str] = field(default_factory=set)
    """Destinations of which some mail waits for an IP: they are not claimed again at once."""
    tickets: Counter[Ticket] = field(default_factory=Counter)
    """Allowances of warming IPs that were drawn for this batch and not used so far."""
    trail: Trail | None = None
    """Of its traced mail."""
    sending: set["asyncio.Task[None]"] = field(default_factory=set)
    """Everything that may have mail on the wire; the batch ends after the last of them."""

    def start(self, sending: Coroutine[Any, Any, None]) -> None:
        """Let something send beside the others."""
        self.sending.add(asyncio.create_task(sending))

    async def settled(self) -> list[BaseException]:
        """Wait until nothing sends any more, also what was started meanwhile; returns what failed. Being cancelled it
        stops the batch and waits all the same: what is on the wire cannot be called back."""
        failures: list[BaseException] = []
        cancelled = False
        while self.sending:
            try:
                ended, _ = await asyncio.wait(self.sending, return_when=asyncio.FIRST_COMPLETED)
            except asyncio.CancelledError:
                cancelled = True
                self.permit.stop()
                continue
            self.sending -= ended
            failures.extend(error for task in ended if not task.cancelled() and (error := task.exception()))
        if cancelled:
            raise asyncio.CancelledError
        return failures

    def now(self) -> datetime:
        """The database's time, which all processes share: this machine's clock may be wrong, or jump."""
        return self.claimed_at + timedelta(seconds=time.monotonic() - self.asked)
