"""Who is calling, and from which domain and pool they may send: the look-ups every request needs, kept for 5 seconds.

Answers come from PostgreSQL and are remembered, the negative ones too, so that a busy application costs one query per
key in 5 seconds and process, and a wrong key that is tried in a loop costs no more. A change (a key deleted, a domain
verified) is therefore felt everywhere 5 seconds later at most; the process that made it calls `forget` and feels it at
once. Never changes an account, except for the time a key was last used, which is written beside the request and at most
once a minute.

When PostgreSQL is away, what is remembered stays good for its 5 seconds; after that every question raises
`store.database.DatabaseUnavailableError`: an answer that may be wrong is worse than a 503.
"""

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import Final, TypeVar
from uuid import UUID

from psycopg.rows import TupleRow

from accounts import capture_rules
from accounts.capture_rules import CaptureRules
from accounts.quotas import Quota
from core.queues import Lane
from core.remembered import Remembered
from store.database import Database, DatabaseUnavailableError

KEEP_SECONDS: Final = 5.0
"""How long an answer is believed: the longest time a deleted key still works in another process."""
REMEMBERED: Final = 10_000
"""Answers of one kind kept at most (about 2 MB); beyond that the oldest goes."""
USE_SECONDS: Final = 60.0
"""The time a key was last used is this fine: one small UPDATE a key and minute, not one a request."""
_LONGEST_TOKEN: Final = 200
"""Characters. Ours have 46; anything much longer is not a key and need not be hashed or remembered."""

OPERATOR: Final = "operator"
"""Permission of a key that runs pools, IPs, throttles and warm-up, and sees no application's mail."""

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class Caller:
    """An API key that was recognised."""

    application_id: UUID
    key_id: UUID
    permission: str
    """`full_access` or `sending_access`; `operator` for a key of the installation, which `Directory.operator` gives."""
    domain_id: UUID | None
    """The only domain the key may send from; None for every domain of the application."""
    test: bool = False
    """What it sends is captured, all of it: nothing leaves. It sees test mail only."""
    quota: Quota | None = None
    """How much it may bring in; None where nothing limits it, as with tests."""


@dataclass(frozen=True, slots=True)
class SenderDomain:
    """A domain of one application, in whatever state."""

    id: UUID
    name: str
    status: str
    """Mail may leave only when this is `verified`."""


def token_hash(token: str) -> bytes:
    """SHA-256 of an API key: what the database holds instead of it. A key is random, so no salt or stretching."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


class Directory:
    """The look-ups of one process; safe to share between tasks of one event loop."""

    def __init__(self, database: Database, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._monotonic = monotonic
        self._callers: Remembered[bytes, Caller | None] = _remembered(self._load_caller, monotonic)
        self._domains: Remembered[tuple[UUID, str], SenderDomain | None] = _remembered(self._load_domain, monotonic)
        self._pools: Remembered[str, tuple[UUID, Lane] | None] = _remembered(self._load_pool, monotonic)
        self._rules: Remembered[UUID, CaptureRules] = _remembered(self._load_rules, monotonic)
        self._used_at: dict[UUID, float] = {}
        self._writes: set[asyncio.Task[None]] = set()

    async def caller(self, token: str) -> Caller | None:
        """Whose key this is; None for a key that does not exist or is no application's. Raises
        `DatabaseUnavailableError`."""
        found = await self._key(token)
        return found if found is not None and found.permission != OPERATOR else None

    async def operator(self, token: str) -> Caller | None:
        """The key of an operator; None for every other. Apart from `caller`, so that whoever asks for an application
        can never be given an operator. Raises `DatabaseUnavailableError`."""
        found = await self._key(token)
        return found if found is not None and found.permission == OPERATOR else None

    async def _key(self, token: str) -> Caller | None:
        if not token or len(token) > _LONGEST_TOKEN:
            return None
        digest = token_hash(token)
        caller = await self._callers.get(digest)
        if caller is not None:
            self._note_use(caller.key_id)
        return caller

    async def sender_domain(self, application_id: UUID, name: str) -> SenderDomain | None:
        """The application's domain of that name (as `core.addresses.fold_domain` writes it). No parent is tried."""
        return await self._domains.get((application_id, name))

    async def capture_rules(self, application_id: UUID) -> CaptureRules:
        """Whose mail the application wants to be captured, whatever key sends it."""
        return await self._rules.get(application_id)

    async def pool_id(self, name: str) -> tuple[UUID, Lane] | None:
        """A pool by its name, with the lane it serves."""
        return await self._pools.get(name)

    def forget(self) -> None:
        """The next question of each kind goes to PostgreSQL. Call it after changing an account in this process."""
        self._callers.clear()
        self._domains.clear()
        self._pools.clear()
        self._rules.clear()

    async def settle(self) -> None:
        """Wait until noted uses of keys are written: at shutdown, so that no task is left behind."""
        await asyncio.gather(*self._writes)

    def _note_use(self, key_id: UUID) -> None:
        now = self._monotonic()
        if now - self._used_at.get(key_id, float("-inf")) < USE_SECONDS:
            return
        if len(self._used_at) >= REMEMBERED:
            del self._used_at[next(iter(self._used_at))]
        self._used_at[key_id] = now
        task = asyncio.create_task(self._write_use(key_id), name="key-used")
        self._writes.add(task)
        task.add_done_callback(self._writes.discard)

    async def _write_use(self, key_id: UUID) -> None:
        """The condition keeps it to one write a minute when several API processes serve the same key."""
        try:
            async with self._database.connection() as connection:
                await connection.execute(
                    "UPDATE api_keys SET last_used_at = now() WHERE id = %s"
                    " AND (last_used_at IS NULL OR last_used_at < now() - make_interval(secs => %s))",
                    [key_id, USE_SECONDS],
                )
        except DatabaseUnavailableError:
            # Only a courtesy to the operator; the next use tries again.
            self._used_at.pop(key_id, None)

    async def _load_caller(self, digest: bytes) -> Caller | None:
        row = await self._one(
            "SELECT k.application_id, k.id, k.permission, k.domain_id, k.test, a.messages_per_day,"
            " a.messages_per_second FROM api_keys k JOIN applications a ON a.id = k.application_id"
            " WHERE k.token_hash = %s",
            digest,
        )
        if row is None:
            return None
        application_id, key_id, permission, domain_id, test, per_day, per_second = row
        quota = None if test else Quota(per_day, per_second) or None
        return Caller(application_id, key_id, permission, domain_id, test, quota)

    async def _load_domain(self, key: tuple[UUID, str]) -> SenderDomain | None:
        row = await self._one("SELECT id, name, status FROM domains WHERE application_id = %s AND name = %s", *key)
        return SenderDomain(*row) if row else None

    async def _load_pool(self, name: str) -> tuple[UUID, Lane] | None:
        row = await self._one("SELECT id, lane FROM pools WHERE name = %s", name)
        return (row[0], Lane(row[1])) if row else None

    async def _load_rules(self, application_id: UUID) -> CaptureRules:
        async with self._database.connection() as connection:
            return CaptureRules.of(await capture_rules.patterns(connection, application_id))

    async def _one(self, statement: str, *parameters: object) -> TupleRow | None:
        async with self._database.connection() as connection:
            cursor = await connection.execute(statement, parameters)
            return await cursor.fetchone()


def _remembered(load: Callable[[K], Awaitable[V]], monotonic: Callable[[], float]) -> Remembered[K, V]:
    return Remembered(load, KEEP_SECONDS, most=REMEMBERED, monotonic=monotonic)
