"""How many bounce reports a second one inbound and one background process take, understand and record.

From the first MAIL to the last result in the database, committed: each report is read, placed by its token, judged,
and moves a delivered message to bounced with event, counters and suppression. Reports come over a few connections, as
from a large provider; each is about another message.
"""

import asyncio
import time
from collections.abc import Sequence
from functools import partial
from typing import Final
from uuid import UUID

from bench import processor, rows
from bench.databases import BenchDatabase
from bench.session import Session, expect
from bench.world import Running
from cli.running.free_ports import take
from cli.running.stack import Shape
from core.secrets import InstanceSecret
from mta import return_path

KEYS = ("dsn_per_s",)

CONNECTIONS: Final = 8
_EACH: Final = 150
"""Reports of one connection; the listener lets one carry 200."""
_GIVE_UP_SECONDS: Final = 300.0

_TEXT: Final = (
    "This is the mail system at mx.bench.sim. Your message could not be delivered to one or more recipients.\r\n" * 6
)
_HEADERS: Final = "".join(f"X-Trace-{n}: {'0123456789abcdef' * 4}\r\n" for n in range(24))


async def measure(session: Session) -> None:
    """The figure of this module."""
    options, world = session.options, session.world
    database = world.databases.copy("bench_reports")
    paths = delivered(session, database, options.reports * options.runs)
    port = take(1)[0]
    rates: list[float] = []
    cpu: dict[str, float] = {}
    shape = partial(Shape, 0, 0, 1, True, inbound_port=port)
    with world.stack(database, lambda api_port: shape(api_port=api_port)) as running:
        pids = running.pids() | world.server_pids()
        for turn in range(options.runs):
            session.say(f"bounce reports: run {turn + 1} of {options.runs}")
            mine = paths[turn * options.reports : (turn + 1) * options.reports]
            mails = [(path, report(path)) for path in mine]
            before, begun = processor.sample(pids), time.monotonic()
            await send(port, mails)
            taken = time.monotonic() - begun
            await worked_through(running, database, (turn + 1) * options.reports)
            rates.append(options.reports / (time.monotonic() - begun))
            cpu = processor.microseconds_per_message(processor.sample(pids).since(before), options.reports)
    check(database, len(paths))
    session.add(
        "dsn_per_s", rates, reports=options.reports, connections=CONNECTIONS, bytes=len(mails[0][1]),
        taken_per_s=round(options.reports / taken), microseconds_per_report=cpu,
        note="one inbound and one background process; every report moves its message and suppresses its address",
    )  # fmt: skip
    world.databases.drop(database.name)


def delivered(session: Session, database: BenchDatabase, count: int) -> list[str]:
    """So many messages that were delivered; their return paths."""
    with database.connect() as connection:
        for first, last in rows.chunks(count):
            rows.add_mail(connection, database.rows, (first, last), "reports", queued=False)
        rows.deliver(connection)
        rows.settle(connection)
        found = connection.execute(
            "SELECT e.id, d.return_path_domain FROM emails e JOIN domains d ON d.id = e.domain_id ORDER BY e.id"
        ).fetchall()
    session.world.databases.checkpoint()
    ours = InstanceSecret.from_text(session.world.secret)
    return [return_path.make(ours, UUID(str(email)), 0, str(domain)) for email, domain in found]


def report(path: str) -> bytes:
    """A bounce report to this return path, of a common kind and size."""
    return (
        f"From: MAILER-DAEMON@mx.bench.sim (Mail Delivery System)\r\nTo: {path}\r\n"
        "Subject: Undelivered Mail Returned to Sender\r\nMIME-Version: 1.0\r\n"
        'Content-Type: multipart/report; report-type=delivery-status; boundary="b/mx.bench.sim"\r\n\r\n'
        f"--b/mx.bench.sim\r\nContent-Type: text/plain\r\n\r\n{_TEXT}\r\n"
        "--b/mx.bench.sim\r\nContent-Type: message/delivery-status\r\n\r\n"
        "Reporting-MTA: dns; mx.bench.sim\r\n\r\nAction: failed\r\nStatus: 5.1.1\r\n"
        "Diagnostic-Code: smtp; 550 5.1.1 User unknown\r\n\r\n"
        f"--b/mx.bench.sim\r\nContent-Type: message/rfc822\r\n\r\nReturn-Path: <{path}>\r\n{_HEADERS}"
        "Subject: News\r\n\r\n--b/mx.bench.sim--\r\n"
    ).encode()


async def send(port: int, mails: Sequence[tuple[str, bytes]]) -> None:
    """Hand in these reports, return path and mail, over a few connections."""
    waiting = [mails[start : start + _EACH] for start in range(0, len(mails), _EACH)]

    async def one() -> None:
        while waiting:
            await _session(port, waiting.pop())

    await asyncio.gather(*(one() for _ in range(CONNECTIONS)))


async def _session(port: int, mails: Sequence[tuple[str, bytes]]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    await _replies(reader, b"220", 1)
    writer.write(b"EHLO mx.bench.sim\r\n")
    await _replies(reader, b"250", 1)
    for path, content in mails:
        writer.write(b"MAIL FROM:<>\r\nRCPT TO:<%b>\r\nDATA\r\n" % path.encode())
        await _replies(reader, b"250", 2)
        await _replies(reader, b"354", 1)
        writer.write(content + b".\r\n")
        await _replies(reader, b"250", 1)
    writer.write(b"QUIT\r\n")
    await reader.read()
    writer.close()
    await writer.wait_closed()


async def _replies(reader: asyncio.StreamReader, code: bytes, count: int) -> None:
    for _ in range(count):
        line = await reader.readline()
        while line[3:4] == b"-":
            line = await reader.readline()
        expect(line.startswith(code), f"a report was answered {line[:80]!r}")


async def worked_through(running: Running, database: BenchDatabase, count: int) -> None:
    """Wait until so many reports have their result."""
    ends = time.monotonic() + _GIVE_UP_SECONDS
    with database.connect() as connection:
        while _results(connection) < count:
            running.check()
            expect(time.monotonic() < ends, "reports are not worked through", _outcomes(connection))
            await asyncio.sleep(0.05)


def _results(connection: rows.Connection) -> int:
    row = connection.execute("SELECT count(*) FROM inbound_mail WHERE result IS NOT NULL").fetchone()
    return int(str(row[0])) if row else 0


def _outcomes(connection: rows.Connection) -> dict[str, int]:
    found = connection.execute("SELECT coalesce(result, 'waiting'), count(*) FROM inbound_mail GROUP BY 1").fetchall()
    return {str(result): int(str(n)) for result, n in found}


def check(database: BenchDatabase, count: int) -> None:
    """Each of so many reports made its message bounce."""
    with database.connect() as connection:
        expect(_outcomes(connection) == {"bounced": count}, "not every report bounced", _outcomes(connection))
