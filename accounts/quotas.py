"""How much mail an application may bring in: messages a day and a second. Off unless an operator sets one.

What the API and SMTP submission accept is counted, in the transaction that accepts it (`messages/accept`): a message is
one recipient. Mail of test keys does not count, since nothing leaves; nor does that of campaigns and automations, which
people start. The day is that of UTC. The second is a bucket that holds one second's worth: a request that is larger
passes when the bucket is full, and what it took too much is waited for by those behind it. Another quota for the second
begins with a full bucket.

Exact over all processes: the row of an application in `application_use` is locked until the commit, so only mail of
that application waits for it. Without a quota there is no row to lock, and nothing is counted.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from math import ceil
from typing import Final
from uuid import UUID

from core.refusal import invalid, not_found
from store.database import Connection

MOST_PER_DAY: Final = 1_000_000_000
MOST_PER_SECOND: Final = 1_000_000
DAY_IS_OVER: Final = "daily_quota_exceeded"
"""Code; so is the next. Both are Resend's names."""
TOO_FAST: Final = "rate_limit_exceeded"
_RAISED: Final = "An operator can raise it: `postlane applications update NAME`, or in the console."


@dataclass(frozen=True, slots=True)
class Quota:
    """None: as much as it likes."""

    per_day: int | None = None
    per_second: int | None = None

    def __bool__(self) -> bool:
        return self.per_day is not None or self.per_second is not None


@dataclass(frozen=True, slots=True)
class Use:
    """What an application has brought in."""

    day: date
    accepted: int
    """On that day."""
    tokens: float
    """Of its bucket, at `at`; below zero when a large request took more than there was."""
    at: datetime | None
    """None: nothing yet, or without a quota for the second, so the bucket is full."""


@dataclass(frozen=True, slots=True)
class OverQuota:
    """Nothing was accepted."""

    code: str
    reason: str
    """Sentences: what was too much, and what to do."""
    retry_after: int
    """Seconds."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Messages that an application with a quota brings in at once."""

    application_id: UUID
    quota: Quota
    messages: int


_LOCK: Final = """
INSERT INTO application_use AS u (application_id)
SELECT id FROM applications WHERE id = ANY(%s) ORDER BY id
ON CONFLICT (application_id) DO UPDATE SET accepted = u.accepted
RETURNING application_id, day, accepted, tokens, at, clock_timestamp()
"""
# Sorted, so that two groups of submissions never wait for each other in a circle.
_WRITE: Final = "UPDATE application_use SET day = %s, accepted = %s, tokens = %s, at = %s WHERE application_id = %s"
# What was owed was owed to the quota before.
_FULL_BUCKET: Final = """
UPDATE application_use u SET tokens = 0, at = NULL FROM applications a
 WHERE a.id = u.application_id AND a.id = %(application)s AND a.messages_per_second IS DISTINCT FROM %(per_second)s
"""
_SET: Final = """
UPDATE applications SET messages_per_day = %(per_day)s, messages_per_second = %(per_second)s WHERE id = %(application)s
"""


def quota_of(per_day: int | None, per_second: int | None) -> Quota:
    """As somebody wishes it; 0 and None are none. Raises Refused."""
    for field, given, most in (
        ("messages_per_day", per_day, MOST_PER_DAY),
        ("messages_per_second", per_second, MOST_PER_SECOND),
    ):
        if given is not None and not 0 <= given <= most:
            raise invalid(field, f"it must be from 1 to {most:,}, or 0 for no quota")
    return Quota(per_day or None, per_second or None)


async def set_quota(connection: Connection, application_id: UUID, quota: Quota) -> None:
    """From now on; other processes know within `directory.KEEP_SECONDS`. Raises Refused."""
    names = {"per_day": quota.per_day, "per_second": quota.per_second, "application": application_id}
    await connection.execute(_FULL_BUCKET, names)
    if not (await connection.execute(_SET, names)).rowcount:
        raise not_found(f"there is no application {application_id}")


async def take(connection: Connection, wanted: Sequence[Wanted]) -> list[OverQuota | None]:
    """Count each of these, in order, in the caller's transaction; what is over its quota is not counted, and its answer
    says why."""
    uses, now = await _locked(connection, {one.application_id for one in wanted})
    changed: dict[UUID, Use] = {}
    answers: list[OverQuota | None] = []
    for one in wanted:
        use = changed.get(one.application_id) or uses.get(one.application_id)
        found = taken(use, one.quota, one.messages, now) if use else None  # None: deleted meanwhile
        answers.append(found if isinstance(found, OverQuota) else None)
        if isinstance(found, Use):
            changed[one.application_id] = found
    for application_id, use in changed.items():
        await connection.execute(_WRITE, [use.day, use.accepted, use.tokens, use.at, application_id])
    return answers


async def _locked(connection: Connection, applications: set[UUID]) -> tuple[dict[UUID, Use], datetime]:
    rows = await (await connection.execute(_LOCK, [sorted(applications)])).fetchall()
    return {row[0]: Use(*row[1:5]) for row in rows}, max((row[5] for row in rows), default=datetime.now(UTC))


def taken(use: Use, quota: Quota, messages: int, now: datetime) -> Use | OverQuota:
    """What an application has used after this, or why it may not. Pure."""
    today = now.astimezone(UTC).date()
    if use.day != today:
        use = replace(use, day=today, accepted=0)
    if quota.per_day is not None and use.accepted + messages > quota.per_day:
        return _day_is_over(use, quota.per_day, messages, now)
    if quota.per_second is None:
        return replace(use, accepted=use.accepted + messages, tokens=0.0, at=None)
    tokens, needed = _tokens(use, quota.per_second, now), min(messages, quota.per_second)
    if tokens < needed:
        return _too_fast(quota.per_second, needed - tokens)
    return replace(use, accepted=use.accepted + messages, tokens=tokens - messages, at=now)


def _tokens(use: Use, rate: int, now: datetime) -> float:
    if use.at is None:
        return float(rate)
    return min(float(rate), use.tokens + max(0.0, (now - use.at).total_seconds()) * rate)


def _day_is_over(use: Use, most: int, messages: int, now: datetime) -> OverQuota:
    midnight = datetime.combine(use.day + timedelta(days=1), datetime.min.time(), UTC)
    left = max(0, most - use.accepted)
    reason = (
        f"This application may bring in {most:,} messages a day (UTC); {left:,} are left today, and this would be"
        f" {messages:,}. Try again after midnight UTC. {_RAISED}"
    )
    return OverQuota(DAY_IS_OVER, reason, ceil((midnight - now).total_seconds()))


def _too_fast(rate: int, lacking: float) -> OverQuota:
    reason = f"This application may bring in {rate:,} messages a second. Send more slowly. {_RAISED}"
    return OverQuota(TOO_FAST, reason, max(1, ceil(lacking / rate)))


def quota_face(quota: Quota) -> dict[str, object]:
    """A quota as JSON, and for the audit log."""
    return {"messages_per_day": quota.per_day, "messages_per_second": quota.per_second}
