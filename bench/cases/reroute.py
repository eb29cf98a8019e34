"""How long a mail that meets a throttle takes to be delivered through another IP of its pool.

A marketing pool of three IPs sends to the practice internet's Gmail as fast as it may; in the middle of a round that
Gmail begins to refuse one of the IPs, in the words and at the place (after the final dot) the real one is known for.
What is measured stands in the table of events: of each mail that was refused so, the time from its first throttle reply
(`rerouted`, or `deferred` when it had to wait after all) to its `delivered`.

Two stacks take turns. One has the limits that are shipped for Gmail, whose rate then is used up all the time; the other
an own providers file without the rate, so that more mail is on its way when the throttle comes. Connections and TLS are
Gmail's in both. The figures are of all rounds together, so that neither hides the other; the settings tell them apart.

A round throttles one IP, and ends with all mail delivered. Then the rest is taken back in the table `throttles`, which
all workers follow, and the next round takes the next IP.
"""

import asyncio
import itertools
import time
import urllib.request
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

from psycopg.rows import args_row

from bench import load, mail, rows
from bench.cases.throughput import full_shape
from bench.databases import pool_addresses
from bench.figures import percentile
from bench.session import Session, expect
from bench.world import Own, Running
from core.ids import uuid7
from core.queues import Lane
from pools import throttle_repository
from simulator import client
from simulator.world import PROVIDERS_FILE
from store.database import Database

KEYS = ("reroute_ms_p50", "reroute_ms_p99")

PROVIDER, DOMAIN = "gmail", "gmail.sim"
NO_RATE = "\n[default]\nmessages_per_second = 0\n"
"""Added to the practice internet's providers: no shipped row has a rate that Gmail's would not share."""
POSTED_AT_ONCE = 500
WARM_UP = 600
_PATIENCE = 120.0
_LOOK_SECONDS = 0.05
_QUIET_SECONDS = 0.7
"""Longer than workers collect what they tell the table (`pools/throttle.FLUSH_SECONDS`)."""

_EVENTS = """
SELECT email_id, position, kind, at, ip FROM events
 WHERE email_id > %s AND kind IN ('rerouted', 'delivered', 'deferred') ORDER BY at
"""


@dataclass(frozen=True, slots=True)
class Step:
    """One event of one message."""

    message: tuple[UUID, int]
    kind: str
    at: datetime
    ip: str


@dataclass(frozen=True, slots=True)
class Shift:
    """What one throttle did."""

    milliseconds: Sequence[float]
    """Of each mail that met it: from the first throttle reply to the delivery, in the order of those replies."""
    rerouted: int
    """Mails that went on at once."""
    waited: int
    """Mails that no other IP could take at once: they were deferred."""
    same_ip: int
    """Mails that went on at once, through the IP that had throttled them."""
    lost: int
    """Mails that met the throttle and were not delivered."""


@dataclass(frozen=True, slots=True)
class _Round:
    shift: Shift
    held: int
    """Mails that went back to the queue untried, because the rates of all IPs were used up."""
    per_second: float
    name: str = ""
    """Of the stack."""


def shift_of(steps: Iterable[Step]) -> Shift:
    """What the events of one round tell, in any order."""
    first: dict[tuple[UUID, int], Step] = {}
    delivered: dict[tuple[UUID, int], Step] = {}
    waited = set()
    for step in sorted(steps, key=lambda step: step.at):
        if step.kind == "delivered":
            delivered[step.message] = step
            continue
        first.setdefault(step.message, step)
        if step.kind == "deferred":
            waited.add(step.message)
    pairs = [(told, delivered[message]) for message, told in first.items() if message in delivered]
    return Shift(
        [(done.at - told.at).total_seconds() * 1000 for told, done in pairs],
        len(first.keys() - waited),
        len(waited),
        sum(told.ip == done.ip for told, done in pairs if told.message not in waited),
        len(first) - len(pairs),
    )


async def measure(session: Session) -> None:
    """Both figures of this module."""
    world, options = session.world, session.options
    runs: list[list[_Round]] = [[] for _ in range(options.runs)]
    with ExitStack() as stack:
        sides = {
            "shipped rate": _start(session, stack, "bench_rated", PROVIDERS_FILE, 0),
            "no rate": _start(session, stack, "bench_unrated", _no_rate_file(session), 1),
        }
        session.say("re-routing: warming up")
        for running in sides.values():
            await _send(session, running, WARM_UP, None)
        ips = itertools.cycle(pool_addresses(Lane.MARKETING))
        for turn, number in itertools.product(range(options.runs), range(options.reroute_rounds)):
            ip = next(ips)
            for name, running in sides.items():
                session.say(f"re-routing, {name}: run {turn + 1}, round {number + 1} of {options.reroute_rounds}")
                found = await _send(session, running, options.reroute_messages, ip)
                runs[turn].append(replace(found, name=name))
                await _recover(running, ip)
    _add(session, runs)
    for running in sides.values():
        world.databases.drop(running.database.name)


def _start(session: Session, stack: ExitStack, name: str, providers: Path, redis_database: int) -> Running:
    world = session.world
    smtp_port = str(world.practice.smtp_port)
    own = Own({"POSTLANE_PROVIDERS_FILE": str(providers), "POSTLANE_SMTP_PORT": smtp_port}, redis_database)
    return stack.enter_context(world.stack(world.databases.copy(name), lambda port: full_shape(session, port), own))


def _no_rate_file(session: Session) -> Path:
    file = session.options.folder.resolve() / "no-gmail-rate.toml"
    file.write_text(PROVIDERS_FILE.read_text("utf-8") + NO_RATE, "utf-8")
    return file


def _add(session: Session, runs: list[list[_Round]]) -> None:
    rounds = [one for run in runs for one in run]
    shifts = [one.shift for one in rounds]
    expect(all(any(one.shift.rerouted for one in run) for run in runs), "no mail was re-routed in a whole run")
    expect(not any(one.lost for one in shifts), "mail that met a throttle was not delivered")
    expect(not any(one.same_ip for one in shifts), "re-routed mail left through the IP that had throttled it")
    values = [[ms for one in run for ms in one.shift.milliseconds] for run in runs]
    settings = {
        "rerouted": sum(one.rerouted for one in shifts),
        "waited": sum(one.waited for one in shifts),
        "rounds": {
            name: _told([one for one in rounds if one.name == name])
            for name in dict.fromkeys(one.name for one in rounds)
        },
        "messages_per_round": session.options.reroute_messages,
        "ips": len(pool_addresses(Lane.MARKETING)),
        "provider": "the practice internet's Gmail: 421 4.7.28 after the dot; TLS, 5 connections from an IP",
        "no_rate": f"own providers file: the practice internet's and {NO_RATE!r}",
        "note": "from the events: `at` of a mail's first throttle reply to `at` of its `delivered`; lists: by round",
    }
    for key, share in zip(KEYS, (0.5, 0.99), strict=True):
        session.add(key, [percentile(found, share) for found in values], **settings)


def _told(rounds: Sequence[_Round]) -> dict[str, object]:
    """The rounds of one stack, a value for each."""
    shifts = [one.shift for one in rounds]
    return {
        "rerouted": [one.rerouted for one in shifts],
        "waited": [one.waited for one in shifts],
        "held_untried": [one.held for one in rounds],
        "first_ms": [round(one.milliseconds[0], 1) if one.milliseconds else None for one in shifts],
        "max_ms": [round(max(one.milliseconds, default=0.0), 1) for one in shifts],
        "delivered_per_s": [round(one.per_second) for one in rounds],
    }


async def _send(session: Session, running: Running, messages: int, throttled: str | None) -> _Round:
    """Post mail at full speed, have one IP throttled in the middle, wait until all is delivered."""
    practice = session.world.practice
    marker, name = uuid7(), str(uuid7())
    held = await asyncio.to_thread(_held, running)
    begun = time.monotonic()
    posting = asyncio.create_task(_post(session, running, messages, name))
    try:
        with running.database.connect() as connection:
            if throttled is not None:
                await _until(running, posting, lambda: _delivered(connection, marker) >= messages // 3)
                rule = {"behaviour": "throttle", "provider": PROVIDER, "client": throttled}
                await client.call_async(practice, "rule.set", rule=rule)
            await _until(running, posting, lambda: _delivered(connection, marker) >= messages)
            took = time.monotonic() - begun
            await posting
            expect(rows.queued(connection) == 0, "mail is left in the queue")
            steps = _steps(connection, marker)
    finally:
        posting.cancel()
        await client.call_async(practice, "rule.clear", name=None)
    return _Round(shift_of(steps), await asyncio.to_thread(_held, running) - held, messages / took)


async def _post(session: Session, running: Running, messages: int, run: str) -> None:
    bodies = mail.MailBodies("marketing")
    people = [(number, f"{mail.local_part(number, run)}@{DOMAIN}") for number in range(messages)]
    batches = (bodies.batch(people[start : start + POSTED_AT_ONCE]) for start in range(0, messages, POSTED_AT_ONCE))
    token = session.world.databases.tenant.token
    async with load.clients(running.api_url, token, session.options.batch_clients) as connections:
        await load.post_all(connections, "/emails/batch", batches)


async def _until(running: Running, posting: asyncio.Task[None], condition: Callable[[], bool]) -> None:
    """BenchError when a process ended, a batch was refused, or it takes too long."""
    deadline = time.monotonic() + _PATIENCE
    while not condition():
        running.check()
        if posting.done():
            posting.result()  # raises what went wrong with it
        expect(time.monotonic() < deadline, f"the mail of a round was not delivered within {_PATIENCE:.0f} s")
        await asyncio.sleep(_LOOK_SECONDS)


def _delivered(connection: rows.Connection, marker: UUID) -> int:
    row = connection.execute(
        "SELECT count(*) FROM events WHERE email_id > %s AND kind = 'delivered'", [marker]
    ).fetchone()
    return int(str(row[0])) if row else 0


def _steps(connection: rows.Connection, marker: UUID) -> list[Step]:
    with connection.cursor(row_factory=args_row(lambda *row: Step((row[0], row[1]), *row[2:]))) as cursor:
        return cursor.execute(_EVENTS, [marker]).fetchall()


def _held(running: Running) -> int:
    """Mails that the marketing workers gave back to the queue for want of an IP, by their own count."""
    names = [name for name in running.stack.metrics if name.startswith("worker-marketing")]
    return sum(_held_by(running.stack.metrics[name]) for name in names)


def _held_by(url: str) -> int:
    with urllib.request.urlopen(url, timeout=5) as answer:
        return held_in(answer.read().decode("utf-8"))


def held_in(metrics: str) -> int:
    """`postlane_held_total` of the marketing lane in a text of metrics; 0 before the first."""
    for line in metrics.splitlines():
        if line.startswith('postlane_held_total{lane="marketing"}'):
            return round(float(line.split()[-1]))
    return 0


async def _recover(running: Running, ip: str) -> None:
    """Take the rest of an IP back, once everything about it is written, in the way that all workers hear of."""
    key = throttle_repository.Key("ip", ip, PROVIDER)
    database = Database(running.database.url, size=1, name="bench")
    await database.open()
    try:
        await asyncio.sleep(_QUIET_SECONDS)
        async with database.transaction() as connection:
            stored = (await throttle_repository.read(connection, [key])).get(key)
            expect(stored is not None, f"{ip} was throttled, and no rest of it is stored")
            now = datetime.now(UTC)
            await throttle_repository.move(connection, key, lambda _: None, now, "bench", "the next round begins")
        await asyncio.sleep(_QUIET_SECONDS)
        async with database.connection() as connection:
            expect(not await throttle_repository.read(connection), "something rests after all was taken back")
    finally:
        await database.close()
