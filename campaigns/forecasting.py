"""What a forecast is made from: the people by provider, the IPs that their mail would leave through, and the plan.

The provider of a domain is whoever keeps its mail servers (`mta/providers`); of an audience the domains with the most
people are asked, the others count as "other". Reads only.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, Protocol
from uuid import UUID

from accounts import repository as accounts
from campaigns.forecast import Forecast, Given, Ip, Pace, PutOff, Ramp, Share, forecast
from campaigns.model import Campaign
from campaigns.plan import due_locally
from campaigns.states import RowState
from core.addresses import parse_mailbox
from core.errors import UnavailableError
from core.queues import Lane
from core.secrets import InstanceSecret
from core.settings import Settings
from mta.providers import OTHER, Providers
from mta.resolve import Resolver
from pools import health, throttle_repository
from pools.model import Pool
from pools.repository import Pools, read_pools
from store.clock import transaction_time
from store.database import Connection, Database
from warmup import repository as warmups
from warmup import status
from warmup.model import IpToday, WarmupState
from warmup.plan import Plan as RampPlan
from warmup.progress import TrackStatus

MOST_DOMAINS: Final = 500
"""Of an audience that are asked for their mail servers: nearly all people are at them."""
AT_ONCE: Final = 100
SECONDS: Final = 6.0
OF_LATE: Final = timedelta(minutes=10)
"""Over so long a pace is measured."""
_A_MINUTE: Final = timedelta(minutes=1)
_LOOKED_AT: Final = 10_000
"""Rows that were put off whose next try is asked for."""
_LONG: Final = timedelta(days=365)
"""A rest of which nobody knows the end."""

# Of a million rows most have ended long ago: they are neither sorted nor counted.
_OPEN: Final = """
SELECT destination, count(*) FILTER (WHERE state IN ('waiting', 'queued')),
       count(*) FILTER (WHERE state IN ('delivered', 'bounced'))
  FROM campaign_recipients
 WHERE campaign_id = %(campaign)s
   AND (state IN ('waiting', 'queued') OR (state IN ('delivered', 'bounced') AND ended_at > now() - %(late)s))
 GROUP BY 1
"""


class MailServers(Protocol):
    """What is asked of DNS; `mta.resolve.Resolver` answers."""

    async def mx(self, name: str) -> list[tuple[int, str]]:
        """MX records as (preference, host name). Raises UnavailableError."""
        ...


@dataclass(frozen=True, slots=True)
class Tools:
    """What checks and forecasts ask with."""

    settings: Settings
    secret: InstanceSecret
    database: Database
    resolver: Resolver
    providers: Providers


@dataclass(frozen=True, slots=True)
class Sending:
    """How mail of a campaign would leave."""

    pool: str
    """Name of its pool, "" when there is none."""
    ips: tuple[Ip, ...]


async def of_running(tools: Tools, campaign: Campaign, within: float = SECONDS) -> Forecast | None:
    """When a campaign that has begun will be out, as it goes now and as it went of late; None: nobody waits for it any
    more."""
    async with tools.database.connection() as connection:
        domains, left = await open_people(connection, campaign)
        later = await _put_off(connection, campaign)
        if not domains and later is None:
            return None
        name = parse_mailbox(campaign.words.sender).domain
        domain = await accounts.domain_named(connection, campaign.application_id, name)
        leaving = await sending(connection, tools.secret, campaign, domain.id if domain else None)
        now = await transaction_time(connection)
    people = await by_provider(tools.resolver, tools.providers, domains, within)
    found = await asyncio.to_thread(forecast, given(campaign, people, leaving.ips, tools.providers, now))
    return replace(found, pace=pace_of(left, campaign.started_at, now), put_off=later)


async def open_people(connection: Connection, campaign: Campaign) -> tuple[dict[str, int], int]:
    """By domain, those of a campaign that has begun whose mail has not left yet; and how many it left for of late."""
    cursor = await connection.execute(_OPEN, {"campaign": campaign.id, "late": OF_LATE})
    rows = await cursor.fetchall()
    return {name: waiting for name, waiting, _ in rows if waiting}, sum(left for _, _, left in rows)


def pace_of(left: int, started_at: datetime | None, now: datetime) -> Pace | None:
    """From how many it left for in `OF_LATE`, or since it began; None for nobody, or in its first minute. Pure."""
    over = min(OF_LATE, now - started_at) if started_at is not None else OF_LATE
    return Pace(left, over) if left and over >= _A_MINUTE else None


async def _put_off(connection: Connection, campaign: Campaign) -> PutOff | None:
    """Whose server said later, and when the last of them is tried again: of at most `_LOOKED_AT`."""
    people = campaign.tallies.get(RowState.DEFERRED.value, 0)
    if not people:
        return None
    cursor = await connection.execute(
        "SELECT max(q.due_at) FROM (SELECT email_id FROM campaign_recipients WHERE campaign_id = %s"
        " AND state = 'deferred' LIMIT %s) r JOIN delivery_queue q ON q.email_id = r.email_id",
        [campaign.id, _LOOKED_AT],
    )
    row = await cursor.fetchone()
    return PutOff(people, row[0] if row else None)


async def by_provider(
    servers: MailServers, providers: Providers, domains: Mapping[str, int], within: float = SECONDS
) -> dict[str, int]:
    """People by provider, of people by domain."""
    most = sorted(domains, key=lambda domain: (-domains[domain], domain))[:MOST_DOMAINS]
    room = asyncio.Semaphore(AT_ONCE)
    tasks = {domain: asyncio.create_task(_provider(servers, providers, domain, room)) for domain in most}
    if tasks:
        await asyncio.wait(tasks.values(), timeout=within)
    found: Counter[str] = Counter()
    for domain, people in domains.items():
        task = tasks.get(domain)
        found[task.result() if task is not None and task.done() else OTHER] += people
    for task in tasks.values():
        task.cancel()
    return dict(found)


async def _provider(servers: MailServers, providers: Providers, domain: str, room: asyncio.Semaphore) -> str:
    async with room:
        try:
            hosts = [host for _, host in await servers.mx(domain) if host]
        except UnavailableError:
            return OTHER
    return providers.provider_of(hosts or [domain])


async def sending(
    connection: Connection, secret: InstanceSecret, campaign: Campaign, domain_id: UUID | None
) -> Sending:
    """The pool of its mail with what takes its overflow, each IP with its ramp and its rests."""
    pools = await read_pools(connection, secret)
    pool = pools.choose(Lane.MARKETING, campaign.pool_id, domain_id, campaign.application_id)
    if pool is None:
        return Sending("", ())
    now = await transaction_time(connection)
    ramps, rests = await _ramps(connection, now), await _rests(connection, now)
    members = {member.ip.address: member for one in _chain(pools, pool) for member in one.members}
    return Sending(
        pool.name,
        tuple(
            Ip(ramps.get(address), rests.get(address, {}))
            for address, member in members.items()
            if member.active and member.weight
        ),
    )


def given(
    campaign: Campaign, people: Mapping[str, int], ips: Sequence[Ip], providers: Providers, now: datetime,
    zones: Mapping[str, int] | None = None,
) -> Given:  # fmt: skip
    """What the forecast of a campaign is made from. `people` by provider; `zones`: how many live in each. Pure."""
    share = 1.0 - campaign.experiment.hold_out if campaign.started_at is None else 1.0
    begins = campaign.plan.begins(campaign.scheduled_at) if campaign.started_at is None else None
    starts = max(begins or now, now)
    shares = [Share(name, round(n * share), _per_hour(providers, name)) for name, n in sorted(people.items())]
    return Given(
        starts,
        tuple(shares),
        tuple(ips),
        campaign.plan.pace(sum(one.people for one in shares)),
        campaign.plan.window,
        _times(campaign, starts, zones or {}),
    )


def _times(campaign: Campaign, starts: datetime, zones: Mapping[str, int]) -> tuple[tuple[datetime, float], ...]:
    """When which part of the people may get it; none where all may at once."""
    local, tested, total = campaign.plan.local, campaign.experiment, sum(zones.values())
    if local is not None and total:
        found: Counter[datetime] = Counter()
        for zone, n in zones.items():
            found[max(starts, due_locally(local, zone))] += n
        return tuple((at, n / total) for at, n in sorted(found.items()))
    if tested.waits:
        decided = (campaign.started_at or starts) + timedelta(hours=tested.after_hours)
        return ((starts, tested.test_share), (max(starts, decided), 1.0 - tested.test_share))
    return ()


def _per_hour(providers: Providers, provider: str) -> float | None:
    """What one IP may send there; of small domains each has servers, and limits, of its own."""
    limits = providers.limits(provider)
    rates = [float(limits.messages_per_hour), limits.messages_per_second * 3600]
    known = [rate for rate in rates if rate > 0]
    return min(known) if known and provider != OTHER else None


def _chain(pools: Pools, pool: Pool) -> list[Pool]:
    """The pool and those that take its overflow, as `pools/grants` goes through them."""
    chain = [pool]
    while chain[-1].overflow_id is not None:
        more = pools.by_id.get(chain[-1].overflow_id)
        if more is None or more in chain or more.lane is not pool.lane or more.reserved:
            break
        chain.append(more)
    return chain


async def _ramps(connection: Connection, now: datetime) -> dict[str, Ramp]:
    """Of each IP that has caps."""
    today = {one.ip: one for one in await status.status(connection, now)}
    every = await warmups.every(connection) if today else []
    return {one.ip: _ramp(one.plan, today[one.ip]) for one in every if one.ip in today}


def _ramp(plan: RampPlan, today: IpToday) -> Ramp:
    stages = {one.track: None if one.state is TrackStatus.COMPLETE else one.stage for one in today.tracks}
    used = {one.track: one.used for one in today.tracks}
    return Ramp(plan, stages, used, today.state is WarmupState.ACTIVE)


async def _rests(connection: Connection, now: datetime) -> dict[str, dict[str, datetime]]:
    """Until when each IP rests, by site."""
    found: dict[str, dict[str, datetime]] = {}
    for key, stored in (await throttle_repository.read(connection)).items():
        condition = health.at(stored, now)
        if key.kind == "ip" and condition.state is health.State.THROTTLED:
            found.setdefault(key.subject, {})[key.site] = condition.rest_until or now + _LONG
    return found
