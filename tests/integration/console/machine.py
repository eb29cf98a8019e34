"""An installation whose pages of operation have something to show: pools, IPs at rest, warming and paused, figures."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

from accounts import repository as accounts
from core.ids import uuid7
from core.queues import Lane
from mta.model import EgressIp
from pools import administration, ips
from pools.administration import NewPool
from store import counters, folding
from store.counters import Counted, Origin
from store.database import Connection, Database
from store.durations import bucket
from warmup import repository as warmup
from warmup.presets import preset

REST, WARM, PAUSED, FINE, COLD = "203.0.113.5", "203.0.113.7", "203.0.113.9", "203.0.113.6", "203.0.113.8"
"""One that rests at gmail, one that warms up, one that is paused, two without trouble."""
REPLY = "421 4.7.28 Gmail has detected an unusual rate of mail <b>from your IP</b>"
"""What decided, with markup that no page may run."""

_THROTTLE = """
INSERT INTO throttles (kind, subject, site, state, since, rest_until, rate, good, strikes, rule, class, reply,
stepped_at) VALUES ('ip', %s, %s, %s, %s, %s, %s, 3, 2, %s, 'rate_limited', %s, %s)
"""
_CHANGED = """
INSERT INTO throttle_changes (id, at, kind, subject, site, was, became, reason, rule, reply, rest_until, rate, by)
VALUES (%s, %s, 'ip', %s, %s, %s, %s, %s, %s, %s, %s, %s, '')
"""


async def fill(database: Database, hours: int = 2, volume: int = 40, *, name: str = "shop") -> UUID:
    """Everything; returns the application's id. `hours` of figures before now, so many mails an hour and provider."""
    now = datetime.now(UTC)
    async with database.transaction() as connection:
        made = await accounts.create_application(connection, name)
        assert made is not None
        await _pools(connection)
        await ips.pause_ip(connection, PAUSED, "the rack is being moved", "ada@acme.example")
        await _throttles(connection, now)
        await warmup.start(connection, WARM, preset("stages-29", target=20_000), by="ada@acme.example")
        await _days(connection, now)
        for n in range(hours):
            await counters.add(connection, _counts(made.id, now - timedelta(hours=n), volume))
    await folding.fold(database)
    return made.id


async def _pools(connection: Connection) -> None:
    for name, lane, inside in (
        ("marketing", Lane.MARKETING, (REST, FINE, WARM)),
        ("transactional", Lane.TRANSACTIONAL, (COLD, PAUSED)),
    ):
        await administration.create_pool(connection, NewPool(name, lane))
        for address in inside:
            host = f"mta{address.rpartition('.')[2]}.acme.example"
            await ips.add_ip(connection, EgressIp(address, address, host), None)
            await administration.attach(connection, name, address)


async def _throttles(connection: Connection, now: datetime) -> None:
    began, until = now - timedelta(minutes=18), now + timedelta(minutes=12)
    await connection.execute(_THROTTLE, [REST, "gmail", "throttled", began, until, 0.5, "gmail-rate", REPLY, began])
    await connection.execute(
        _THROTTLE, [FINE, "yahoo", "recovering", began, began, 2.5, "yahoo-ts", "421 4.7.0 [TSS04] deferred", began]
    )
    story: Sequence[tuple[int, str, str, str, str, str, str]] = (
        (95, REST, "gmail", "healthy", "throttled", "gmail asked for less", REPLY),
        (65, REST, "gmail", "throttled", "probing", "the rest is over", ""),
        (18, REST, "gmail", "probing", "throttled", "gmail asked for less again", REPLY),
        (40, FINE, "yahoo", "healthy", "throttled", "yahoo asked for less", "421 4.7.0 [TSS04] deferred"),
        (18, FINE, "yahoo", "probing", "recovering", "5 mails were delivered", ""),
    )
    for minutes, ip, site, was, became, reason, reply in story:
        at = now - timedelta(minutes=minutes)
        rule = ("gmail-rate" if site == "gmail" else "yahoo-ts") if reply else ""
        rest = at + timedelta(minutes=30) if became == "throttled" else None
        await connection.execute(_CHANGED, [uuid7(), at, ip, site, was, became, reason, rule, reply, rest, 0.5])


async def _days(connection: Connection, now: datetime) -> None:
    """The warm-up began five days ago, and went on a stage a day but one."""
    plan = (await warmup.get(connection, WARM)).plan
    await connection.execute("UPDATE warmups SET started_at = now() - interval '5 days' WHERE ip = %s", [WARM])
    for back, stage, used in ((5, 1, 1.0), (4, 2, 1.0), (3, 3, 0.54), (2, 3, 0.98)):
        day = (now - timedelta(days=back)).date()
        for track in plan.weights:
            cap = plan.cap(stage, track)
            granted = int(cap * used)
            await connection.execute(
                "INSERT INTO warmup_days (ip, track, day, stage, cap, granted) VALUES (%s, %s, %s, %s, %s, %s)",
                [WARM, track, day, stage, cap, granted],
            )
            stages = (stage, stage if used < 0.9 else stage + 1)
            change, told = "hold" if used < 0.9 else "advance", f"{granted:,} of {cap:,} delivered"
            await warmup.note(connection, WARM, track, change, told, by="the clock", day=day, stages=stages)
    await connection.execute("UPDATE warmup_tracks SET stage = 4, last_used = current_date WHERE ip = %s", [WARM])
    for track in plan.weights:
        cap = plan.cap(4, track)
        await connection.execute(
            "INSERT INTO warmup_days (ip, track, day, stage, cap, granted) VALUES (%s, %s, %s, 4, %s, %s)"
            " ON CONFLICT (ip, track, day) DO UPDATE SET stage = 4, cap = excluded.cap, granted = excluded.granted",
            [WARM, track, now.date(), cap, cap * 62 // 100],
        )


def _counts(application: UUID, at: datetime, volume: int) -> dict[tuple[Counted, Origin | None], int]:
    """An hour of mail; gmail defers more of it lately."""
    found: dict[tuple[Counted, Origin | None], int] = {}
    origin = Origin(application, application)
    busy = volume * (1 + (at.hour % 12) / 8)
    for part, ip in ((1.0, REST), (0.9, FINE), (0.2, WARM), (0.4, COLD)):
        lane = "transactional" if ip == COLD else "marketing"
        for share, provider in ((1.0, "gmail"), (0.6, "microsoft"), (0.4, "yahoo"), (0.3, "other")):
            n = int(busy * part * share)
            late = provider == "gmail" and (datetime.now(UTC) - at) < timedelta(hours=3)
            for outcome, kind, count in (
                ("accepted", "", n),
                ("delivered", bucket(2.0), n * 8 // 10),
                ("delivered", bucket(40.0), n // 10),
                ("deferred", "rate_limited", n // (4 if late else 60)),
                ("bounced", "mailbox_unknown", n // 90),
                ("complained", "", n // 2000),
            ):
                if count:
                    found[Counted(lane, provider, ip, outcome, kind, hour=at), origin] = count
    return found
