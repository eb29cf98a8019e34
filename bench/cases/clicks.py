"""Links of mail, followed: how long a redirect takes, and how many pixels and links one process answers a second.

Half of the requests are pixels, half links, of mail that is stored; each says that it comes from another client, as
behind a reverse proxy. Afterwards every one of them has to stand in the timeline.
"""

import asyncio
import itertools
import time
from collections.abc import Iterator
from uuid import UUID

from bench import load, processor, rows
from bench.databases import BenchDatabase
from bench.figures import percentile
from bench.session import Session, expect
from bench.world import Own, Running
from cli.running.stack import Shape
from core.secrets import InstanceSecret
from messages.link_tokens import Kind, LinkTokens, coded, payload_of

KEYS = ("click_redirect_ms", "links_per_s")

CLIENTS = 16
_MAILS = 2_000
"""No more than 200 opens and clicks of one mail are kept, and 60 a minute."""
_SECONDS = 3.0
_WARM_UP_SECONDS = 1.0
_WRITTEN_SECONDS = 60.0
_TARGET = b"https://shop.example/products/12345?utm_source=mail&utm_campaign=autumn"
_AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0"
_PEOPLE = 250 * 250


async def measure(session: Session) -> None:
    """Both figures from the same requests, on a database of their own."""
    world = session.world
    database = world.databases.copy("bench_clicks")
    with database.connect() as connection:
        rows.add_mail(connection, database.rows, (1, _MAILS), "clicks", queued=False)
        rows.settle(connection)
    with world.stack(database, _pages_only, Own(settings={"POSTLANE_PUBLIC_URL": "http://127.0.0.1"})) as running:
        answered = await _follow(session, running, _links(world.secret, database))
        running.check()
        found = await _written(database, answered)
    expect(found == answered, f"{answered:,} links were followed, {found:,} stand in the timeline")
    world.databases.drop(database.name)


async def _written(database: BenchDatabase, awaited: int) -> int:
    """Opens and clicks in the timeline, once all are there or none came for long."""
    ends = time.monotonic() + _WRITTEN_SECONDS
    while True:
        with database.connect() as connection:
            row = connection.execute("SELECT count(*) FROM events WHERE kind IN ('opened', 'clicked')").fetchone()
        found = int(str(row[0])) if row else 0
        if found >= awaited or time.monotonic() > ends:
            return found
        await asyncio.sleep(0.2)


def _pages_only(port: int) -> Shape:
    return Shape(transactional=0, marketing=0, background=0, inbound=False, api_port=port, public=True)


async def _follow(session: Session, running: Running, paths: Iterator[str]) -> int:
    pids = running.pids()
    waits: list[float] = []
    rates: list[float] = []
    cpu: dict[str, float] = {}
    answered = 0
    async with load.clients(running.stack.public_url, "", CLIENTS) as connections:
        for turn in range(session.options.runs + 1):
            session.say("links: warming up" if turn == 0 else f"links: run {turn} of {session.options.runs}")
            before, begun = processor.sample(pids), time.monotonic()
            answers = await load.get_for(connections, paths, _head, _SECONDS if turn else _WARM_UP_SECONDS)
            took = time.monotonic() - begun
            expect(all(answer.status in (200, 302) for answer in answers), "a link was not answered")
            answered += len(answers)
            if turn:
                cpu = processor.microseconds_per_message(processor.sample(pids).since(before), len(answers))
                waits.append(round(percentile([(a.answered - a.asked) * 1000 for a in answers], 0.5), 2))
                rates.append(len(answers) / took)
    settings = {"clients": CLIENTS, "cpu_microseconds_per_request": cpu, "seconds": _SECONDS}
    session.add("click_redirect_ms", waits, **settings)
    session.add("links_per_s", rates, **settings, note="one process; it writes what it has noted meanwhile")
    return answered


def _links(secret: str, database: BenchDatabase) -> Iterator[str]:
    """Paths of pixel and link of each stored mail, in turn and for ever."""
    tokens = LinkTokens(InstanceSecret.from_text(secret))
    place = tokens.place_of("127.0.0.1")
    with database.connect() as connection:
        ids = [UUID(str(row[0])) for row in connection.execute("SELECT email_id FROM messages ORDER BY 1").fetchall()]
    payloads = [payload_of(identifier, 0, place) for identifier in ids]
    paths = [f"/{Kind.OPEN}/{tokens.head(Kind.OPEN, payload)}.gif" for payload in payloads]
    paths += [f"/{Kind.CLICK}/{tokens.head(Kind.CLICK, payload, _TARGET)}{coded(_TARGET)}" for payload in payloads]
    return itertools.cycle(paths)


def _head(number: int) -> str:
    """What request `number` says of itself."""
    person = number % _PEOPLE
    return f"User-Agent: {_AGENT}\r\nX-Forwarded-For: 198.18.{person % 250}.{person // 250}\r\n"
