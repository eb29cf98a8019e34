"""`Idempotency-Key`: the same request twice is one email, and two requests under one key are a mistake of the caller.

The key lives in the transaction that accepts the mail (`messages/accept`), for 24 hours. So only answers of accepted
requests are kept: never a 4xx, a 429 or a 5xx. This module reads the header, names the request by a hash, and turns
what the `Acceptor` said into an answer.

A request is the same when method, path, batch mode and JSON are: the order of keys, and blanks, do not count.
"""

import hashlib
from dataclasses import dataclass
from uuid import UUID

import orjson
from fastapi import Request

from accounts.directory import Caller
from accounts.quotas import OverQuota
from api.errors import ApiError
from messages.accept import Acceptance, KeyInFlight, KeyReused, Replay, find_answer, kept_key
from messages.model import Idempotency
from store.database import Database

MAX_KEY = 256


@dataclass(frozen=True, slots=True)
class Keyed:
    """A request that came with a key."""

    application_id: UUID
    key: str
    request_hash: bytes

    def with_answer(self, answer: bytes) -> Idempotency:
        """What is stored beside the emails."""
        return Idempotency(self.key, self.request_hash, answer)


def idempotency_key(request: Request) -> str | None:
    """The key of this request, None without one. Raises 400 for a key that cannot be one."""
    key = request.headers.get("idempotency-key")
    if key is not None and not 1 <= len(key) <= MAX_KEY:
        raise ApiError("invalid_idempotency_key", f"The Idempotency-Key must have 1 to {MAX_KEY} characters.")
    return key


def keyed(request: Request, who: Caller, raw: bytes) -> Keyed | None:
    """The request with its key and hash, None when it has no key."""
    key = idempotency_key(request)
    if key is None:
        return None
    mode = request.headers.get("x-batch-validation", "")
    digest = hashlib.sha256(f"{request.method} {request.url.path}\n{mode}\n".encode())
    digest.update(_canonical(raw))
    return Keyed(who.application_id, kept_key(key, who.test), digest.digest())


def _canonical(raw: bytes) -> bytes:
    try:
        return orjson.dumps(orjson.loads(raw), option=orjson.OPT_SORT_KEYS)
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):
        return raw


async def earlier_answer(database: Database, request: Keyed) -> bytes | None:
    """The answer given to this request before; None when the key is free. Raises 409 for a key of another request.

    Asked when a request does not pass validation: what was accepted before must be answered as before, even when its
    `scheduled_at` is in the past by now or its domain has been removed.
    """
    async with database.connection() as connection:
        found = await find_answer(connection, request.application_id, request.key, request.request_hash)
    return None if found is None else settled(found, b"")


def settled(acceptance: Acceptance, answer: bytes) -> bytes:
    """The bytes to answer with: `answer` for what was just accepted. Raises 409 for a key that cannot be used, 429
    where the application brings in more than it may."""
    if isinstance(acceptance, Replay):
        return acceptance.response
    if isinstance(acceptance, KeyReused):
        raise ApiError(
            "invalid_idempotent_request",
            "This Idempotency-Key was used for a different request in the last 24 hours. Take a new key for a new one.",
        )
    if isinstance(acceptance, OverQuota):
        raise ApiError(acceptance.code, acceptance.reason, {"retry-after": str(acceptance.retry_after)})
    if isinstance(acceptance, KeyInFlight):
        raise ApiError(
            "concurrent_idempotent_requests",
            "A request with this Idempotency-Key is being worked on. Ask again in a moment.",
            {"retry-after": "1"},
        )
    return answer
