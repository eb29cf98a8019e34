"""Mails a second from the first POST to the last 250, in turn with Postfix and OpenDKIM, so that both see the same
machine. Memory of the workers before and after comes with it."""

import asyncio
import contextlib
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Protocol

from bench import load, mail, postfix, processor, rows, rsa, steps
from bench.options import BATCH, Options
from bench.postfix import Milter, Postfix
from bench.session import Session, expect
from bench.sink import wait_for_count
from bench.world import Running
from cli.running.stack import Shape

POSTLANE_KEYS = ("delivered_per_s", "cpu_ms_per_mail", "steps_cpu_us", "rsa_limit_share", "worker_memory_growth_mb")
PEERS = {
    Milter.UNIX: ("postfix_opendkim_per_s", "ratio"),
    Milter.INET: ("postfix_opendkim_inet_per_s", "ratio_inet"),
}
"""Figures of each peer: its own, and ours against it."""
KEYS = (*POSTLANE_KEYS, *(key for keys in PEERS.values() for key in keys))

WARM_UP = 3_000
"""Mails before each run: connections, prepared statements and DNS answers are there then, as in any other hour. While
a peer is measured they run out: the benchmark's own DNS records are kept for half a minute."""
RSA_SECONDS = 2.0
_PATIENCE = 300.0
_COMMIT_SECONDS = 10.0
_NOBODY: Mapping[str, int] = MappingProxyType({})


class Bodies(Protocol):
    """Makes bodies of `POST /emails/batch`."""

    def batch(self, numbered: Iterable[tuple[int, str]]) -> bytes:
        """Of these mails: number and recipient."""


@dataclass(frozen=True, slots=True)
class Pass:
    """One run of Postlane."""

    per_second: float
    accepted_per_second: float
    cpu: dict[str, float]
    """Processor microseconds of a message by process."""


@dataclass(slots=True)
class _Rival:
    """One peer while it is measured."""

    milter: Milter
    server: Postfix
    messages: int
    """Of one run."""
    size: int
    """Bytes of a mail on the wire."""
    turns: list[postfix.Turn] = field(default_factory=list)


async def measure(session: Session) -> None:
    """All figures of this module."""
    ratios = [ratio for _, ratio in PEERS.values()]
    ours = session.wants(*POSTLANE_KEYS, *ratios, "suppression_cost")
    why = postfix.missing()
    with contextlib.ExitStack() as stack:
        running = stack.enter_context(_postlane(session)) if ours else None
        rivals = []
        for milter, keys in PEERS.items():
            wanted = [key for key in keys if session.wants(key)]
            if why:
                session.omitted |= dict.fromkeys(wanted, why)
            elif wanted:
                server = stack.enter_context(postfix.running(session.world, milter))
                size = await server.check_signature()
                rivals.append(_Rival(milter, server, peer_messages(session.options, milter), size))
        await _take_turns(session, running, rivals)


def peer_messages(options: Options, milter: Milter) -> int:
    """Mails of one run of a peer."""
    return options.postfix_messages if milter is Milter.UNIX else options.postfix_inet_messages


async def _take_turns(session: Session, running: Running | None, rivals: list[_Rival]) -> None:
    options = session.options
    passes: list[Pass] = []
    limits: list[float] = []
    memory: list[float] = []
    for turn in range(options.runs):
        if running is not None:
            session.say(f"run {turn + 1} of {options.runs}: signatures that the cores can make")
            limits.append(await rsa.signatures_per_second(RSA_SECONDS))
            session.say(f"run {turn + 1} of {options.runs}: warming up")
            await deliver(session, running, WARM_UP, f"warm-up{turn}")
            session.say(f"run {turn + 1} of {options.runs}: {options.messages:,} mails through Postlane")
            passes.append(await deliver(session, running, options.messages, f"run{turn}"))
            memory.append(_worker_memory(running))
        for rival in rivals:
            said = f"{rival.messages:,} mails through Postfix ({rival.milter.value})"
            session.say(f"run {turn + 1} of {options.runs}: {said}")
            rival.turns.append(await rival.server.run(session.world.sink, rival.messages))
    if running is not None:
        _add_ours(session, passes, limits, memory)
        await _add_steps(session, running)
    for rival in rivals:
        _add_peer(session, rival, passes)


def _add_peer(session: Session, rival: _Rival, ours: list[Pass]) -> None:
    own, ratio = PEERS[rival.milter]
    turns = rival.turns
    session.add(
        own, [turn.per_second for turn in turns], messages=rival.messages,
        accepted_per_s=[turn.accepted_per_second for turn in turns], version=rival.server.version,
        milter=rival.milter.value, sessions=postfix.SESSIONS, bytes_on_the_wire=rival.size,
        signature="rsa-sha256 2048, relaxed/relaxed, verified by dkimpy",
        cpu_microseconds_per_message=turns[-1].cpu,
        note="Postlane's processes are idle meanwhile; one destination, kept-open sessions, queue synced to disk",
    )  # fmt: skip
    if ours:
        session.add(ratio, [one.per_second / turn.per_second for one, turn in zip(ours, turns, strict=True)])


def _add_ours(session: Session, passes: list[Pass], limits: list[float], memory: list[float]) -> None:
    options = session.options
    rates = [one.per_second for one in passes]
    session.add(
        "delivered_per_s", rates, messages=options.messages, batch=BATCH, http_clients=options.batch_clients,
        accepted_per_s=[one.accepted_per_second for one in passes], marketing_workers=options.marketing_workers,
        recipient_domains=options.domains, suppressions=options.suppressions, warm_up_messages=WARM_UP,
        cpu_microseconds_per_message=passes[-1].cpu,
        note="RSA-2048 only; every other process of `postlane up` runs as well; default settings, log level info",
    )  # fmt: skip
    session.add(
        "cpu_ms_per_mail", [processor.ours(one.cpu) / 1000 for one in passes], messages=options.messages,
        microseconds_by_process=passes[-1].cpu, not_counted=processor.BESIDE,
        note="user and system time of every process of `postlane up`, PostgreSQL and Valkey, until all is recorded",
    )  # fmt: skip
    session.add(
        "rsa_limit_share",
        [rate / limit for rate, limit in zip(rates, limits, strict=True)],
        signatures_per_s=limits,
        processes=os.cpu_count(),
    )
    _add_memory(session, memory)


async def _add_steps(session: Session, running: Running) -> None:
    """One more run, in which workers are looked at."""
    if not session.wants("steps_cpu_us"):
        return
    if why := steps.missing():
        session.omitted["steps_cpu_us"] = why
        return
    messages = session.options.messages
    session.say(f"{messages:,} mails while workers are sampled")
    workers = {name: pid for name, pid in running.pids().items() if name.startswith("worker-marketing")}
    watches = [steps.Watch(pid, session.options.folder) for pid in workers.values()]
    try:
        await asyncio.sleep(steps.ATTACHED_SECONDS)
        one = await deliver(session, running, messages, "sampled")
    finally:
        seen = [watch.end() for watch in watches]
    table = steps.by_step(
        seen, {name: used for name, used in one.cpu.items() if name not in processor.BESIDE}, messages, list(workers)
    )
    session.tables.append(steps.shown(table))
    session.add(
        "steps_cpu_us", [sum(table.values())], by_step=table, messages=messages, samples_per_s=steps.SAMPLES,
        all_processes_us=processor.ours(one.cpu), samples=[worker.samples for worker in seen],
        note="each thread's time by Linux, by the steps that it was seen in; other processes whole",
    )  # fmt: skip


def _add_memory(session: Session, memory: list[float]) -> None:
    """Growth between the end of the first run and the end of the last; with one run there is nothing to compare."""
    if len(memory) < 2:
        if session.wants("worker_memory_growth_mb"):
            session.omitted["worker_memory_growth_mb"] = "needs two runs at least: --runs 2"
        return
    session.add(
        "worker_memory_growth_mb", [memory[-1] - memory[0]], after_each_run_mb=memory,
        messages_between=(session.options.messages + WARM_UP) * (len(memory) - 1),
        note="resident memory of the largest marketing worker",
    )  # fmt: skip


@contextlib.contextmanager
def _postlane(session: Session) -> Iterator[Running]:
    database = session.world.databases.copy("bench_throughput")
    with session.world.stack(database, lambda port: full_shape(session, port)) as running:
        yield running
    session.world.databases.drop(database.name)


def full_shape(session: Session, port: int) -> Shape:
    """Every process of `postlane up`, with as many marketing workers as asked for."""
    return Shape(marketing=session.options.marketing_workers, api_port=port)


async def deliver(
    session: Session,
    running: Running,
    messages: int,
    run: str,
    bodies: Bodies | None = None,
    *,
    ended: bool = True,
    beside: Mapping[str, int] = _NOBODY,
) -> Pass:
    """Post `messages` marketing mails in batches and wait for the last 250; checks that every one arrived once, and,
    where all mail in the database has `ended`, that each is recorded as delivered. `beside`: processes whose time is
    looked at too, by name."""
    world, options = session.world, session.options
    bodies = bodies or mail.MailBodies("marketing")
    people = (mail.recipient(number, mail.BULK_ZONE, options.domains, run) for number in range(messages))
    numbered = list(enumerate(people))
    batches = (bodies.batch(numbered[start : start + BATCH]) for start in range(0, messages, BATCH))
    before = world.sink.count()
    pids = {**running.pids(), **world.server_pids(), **beside}
    async with load.clients(running.api_url, world.databases.tenant.token, options.batch_clients) as connections:
        cpu = processor.sample(pids)
        begun = time.monotonic()
        posting = asyncio.create_task(load.post_all(connections, "/emails/batch", batches))
        try:
            arrived = await wait_for_count(world.sink, before + messages, _PATIENCE, lambda: _check(running, posting))
        except BaseException:
            posting.cancel()
            raise
        answers = await posting
        if ended:
            await _recorded(running)
        used = processor.sample(pids).since(cpu)
    accepted = max(answer.answered for answer in answers)
    if ended:
        _check_counts(running)
    count = world.sink.count()
    expect(count == before + messages, f"the sink took {count:,} mails and not {before + messages:,}")
    return Pass(
        messages / (arrived - begun),
        messages / (accepted - begun),
        processor.microseconds_per_message(used, messages),
    )


def _check(running: Running, posting: asyncio.Task[list[load.Answer]]) -> None:
    running.check()
    if posting.done():
        posting.result()  # raises what went wrong with it


async def _recorded(running: Running) -> None:
    """Wait until the queue is empty: what has arrived is recorded a moment later."""
    with running.database.connect() as connection:
        for _ in range(int(_COMMIT_SECONDS / 0.05)):
            if not rows.queued(connection):
                return
            await asyncio.sleep(0.05)


def _check_counts(running: Running) -> None:
    """Everything accepted is recorded as delivered."""
    with running.database.connect() as connection:
        stored = connection.execute("SELECT count(*), count(*) FILTER (WHERE state = 'delivered') FROM messages")
        row = stored.fetchone()
        expect(row is not None and row[0] == row[1], f"not everything was delivered: {row}", rows.outcomes(connection))


def _worker_memory(running: Running) -> float:
    pids = running.pids()
    return max(processor.memory_mb(pid) for name, pid in pids.items() if name.startswith("worker-marketing"))
