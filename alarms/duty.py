"""One round of judging: settings, evidence, findings, alarms; and breakers for streams with too many complaints.

One process at a time does it (an advisory lock). Each rule is judged in a transaction of its own: one that cannot be
judged keeps no other from it, and its alarms stay as they are.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from alarms import breakers, evidence, judging, seeds
from alarms.model import AlarmKind, Severity
from alarms.public_host import PublicHost
from alarms.repository import open_of, settle
from alarms.rule_settings import rules
from core.logs import get_logger
from store import heartbeats
from store.database import Connection, Database, DatabaseUnavailableError
from store.locks import Lock

_log = get_logger(__name__)

JUDGE: Final = "the judge of complaints"


@dataclass(frozen=True, slots=True)
class Certificates:
    """Where those are that people and servers see."""

    folder: Path
    """Of our listeners."""
    public: PublicHost | None = None
    """What our TLS proxy shows."""


@dataclass(frozen=True, slots=True)
class Bench:
    """What a judge works with."""

    connection: Connection
    values: Mapping[str, float]
    open: Mapping[str, Severity]
    certificates: Certificates


async def judge_all(database: Database, certificates: Certificates) -> None:
    """Judge every rule that is enabled."""
    if certificates.public is not None:
        await certificates.public.look()
    async with database.connection() as connection:
        states = await rules(connection)
    for kind, state in states.items():
        try:
            async with database.transaction() as connection:
                await _judge(connection, kind, state.values, certificates)
        except DatabaseUnavailableError:
            raise
        except Exception as error:
            # A bug in one judge must not silence the others.
            _log.error("alarm_rule_failed", rule=kind.value, exc_info=error)


async def _judge(
    connection: Connection, kind: AlarmKind, values: Mapping[str, float], certificates: Certificates
) -> None:
    cursor = await connection.execute("SELECT pg_try_advisory_xact_lock(%s)", [Lock.JUDGING_ALARMS])
    row = await cursor.fetchone()
    if not row or not row[0]:
        return
    if not values["enabled"]:
        await settle(connection, kind, [])
        return
    await _JUDGES[kind](Bench(connection, values, await open_of(connection, kind), certificates))


async def _complaints(b: Bench) -> None:
    ended = await breakers.ended_since(b.connection)
    counts = await evidence.counts(b.connection, b.values["hours"], ended, by_provider=True)
    findings, stops = judging.complaints(counts, b.values, b.open)
    await settle(b.connection, AlarmKind.COMPLAINTS, findings)
    for stop in stops:
        stream = stop.stream
        key = (stream.application_id, stream.lane, stream.provider)
        if await breakers.trip(b.connection, key, stop.hours, stop.reason, JUDGE):
            _log.warning("stream_stopped", stream=stream.named, reason=stop.reason, hours=stop.hours)


async def _hard_bounces(b: Bench) -> None:
    counts = await evidence.counts(b.connection, b.values["hours"], by_provider=False)
    await settle(b.connection, AlarmKind.HARD_BOUNCES, judging.hard_bounces(counts, b.values, b.open))


async def _delivered_share(b: Bench) -> None:
    topics = await evidence.topic_names(b.connection)
    shares = await evidence.shares(b.connection, b.values["hours"], topics)
    await settle(b.connection, AlarmKind.DELIVERED_SHARE, judging.delivered_share(shares, b.values, b.open))


async def _queue_age(b: Bench) -> None:
    waiting = await evidence.overdue(b.connection)
    await settle(b.connection, AlarmKind.QUEUE_AGE, judging.queue_age(waiting, b.values, b.open))


async def _ip_resting(b: Bench) -> None:
    resting = await evidence.resting(b.connection)
    await settle(b.connection, AlarmKind.IP_RESTING, judging.ip_resting(resting, b.values, datetime.now(UTC)))


async def _pool_resting(b: Bench) -> None:
    resting = await evidence.pools_resting(b.connection)
    findings = judging.pool_resting(resting, b.values, b.open, datetime.now(UTC))
    await settle(b.connection, AlarmKind.POOL_RESTING, findings)


async def _seed_missing(b: Bench) -> None:
    await settle(b.connection, AlarmKind.SEED_MISSING, await seeds.findings(b.connection))


async def _certificate(b: Bench) -> None:
    public = b.certificates.public
    ends = await asyncio.to_thread(evidence.certificate_ends, b.certificates.folder)
    found = judging.certificates({**ends, **(public.ends if public else {})}, b.values, datetime.now(UTC))
    await settle(b.connection, AlarmKind.CERTIFICATE, [*found, *(public.broken if public else [])])


async def _dns_record(b: Bench) -> None:
    _, broken = await evidence.lost_domains(b.connection)
    await settle(b.connection, AlarmKind.DNS_RECORD, broken)


async def _domain_lost(b: Bench) -> None:
    lost, _ = await evidence.lost_domains(b.connection)
    await settle(b.connection, AlarmKind.DOMAIN_LOST, lost)


async def _process_silent(b: Bench) -> None:
    found = await heartbeats.processes(b.connection)
    await settle(b.connection, AlarmKind.PROCESS_SILENT, judging.process_silent(found, b.values, datetime.now(UTC)))


_JUDGES: Final[Mapping[AlarmKind, Callable[[Bench], Awaitable[None]]]] = {
    AlarmKind.COMPLAINTS: _complaints,
    AlarmKind.HARD_BOUNCES: _hard_bounces,
    AlarmKind.DELIVERED_SHARE: _delivered_share,
    AlarmKind.QUEUE_AGE: _queue_age,
    AlarmKind.IP_RESTING: _ip_resting,
    AlarmKind.POOL_RESTING: _pool_resting,
    AlarmKind.SEED_MISSING: _seed_missing,
    AlarmKind.CERTIFICATE: _certificate,
    AlarmKind.DNS_RECORD: _dns_record,
    AlarmKind.DOMAIN_LOST: _domain_lost,
    AlarmKind.PROCESS_SILENT: _process_silent,
}
