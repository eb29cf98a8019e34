"""What the steps of `workers/pipeline` share: collaborators of a process, a batch, a message on its way."""

import asyncio
import time
from concurrent.futures import Executor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from accounts.senders import Sender, SenderBook
from core.queues import Lane
from core.secrets import InstanceSecret
from messages.model import Claimed, StoredContent, StoredEmail
from mta.deliver import Courier
from mta.model import EgressIp, Envelope, Route
from mta.replies import RuleTable
from mta.resolve import Resolver
from outcomes.recorder import Recorder
from pools.model import Health, Pool
from pools.repository import PoolBook
from store.database import Database
from workers.budget import ByteBudget
from workers.leases import LeaseKeeper, Permit

LARGE_BYTES = 128 * 1024 * 1024
"""Content of large mails that one process has in memory at a time; as composed mail it is about a third more."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Figures of one worker process."""

    batch: int
    lease: timedelta
    batch_seconds: float
    connections: int


@dataclass(frozen=True, slots=True)
class Collaborators:
    """Everything a batch needs. Built once per process."""

    worker: UUID
    database: Database
    secret: InstanceSecret
    senders: SenderBook
    pools: PoolBook
    health: Health
    resolver: Resolver
    courier: Courier
    rules: RuleTable
    recorder: Recorder
    leases: LeaseKeeper
    signing: Executor
    limits: Limits
    turns: dict[tuple[UUID, str], int] = field(default_factory=dict)
    permits: set[Permit] = field(default_factory=set)
    admission: asyncio.Lock = field(default_factory=asyncio.Lock)
    large: ByteBudget = field(default_factory=lambda: ByteBudget(LARGE_BYTES))


@dataclass(slots=True)
class Job:
    """One claimed message on its way through the steps."""

    claimed: Claimed
    email: StoredEmail
    content: StoredContent | None
    sender: Sender
    route: Route
    pool: Pool
    ip: EgressIp
    envelope: Envelope | None = None


@dataclass(slots=True)
class Batch:
    """What the steps share."""

    lane: Lane
    permit: Permit
    emails: dict[UUID, tuple[StoredEmail, StoredContent | None]]
    claimed_at: datetime
    """By the database's clock."""
    asked: float
    """The same moment, or a little earlier, by `time.monotonic`."""
    failed: bool = False

    def now(self) -> datetime:
        """The database's time, which all processes share: this machine's clock may be wrong, or jump."""
        return self.claimed_at + timedelta(seconds=time.monotonic() - self.asked)
