"""How long a report of a month takes, from the question to its JSON, whatever it is by.

Each way to break the figures down is asked several times on one connection, as the API asks; the figure is the median
of the slowest one. The counters are those of ten million messages (`bench/counted`), and no message is there: a report
that counted mail would answer with nothing.
"""

import gc
import statistics
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from bench.counted import Counted, fill
from bench.session import Session, expect
from core.memory import collect_rarely
from store import figures
from store.database import Connection, Database
from store.figures import APART, LABELS, Question
from web.answers import json_answer
from web.faces.reports import report_face

KEYS = ("report_ms",)

_PAGE: Final = 500
"""Rows of an answer: what the API gives when nobody says how many."""
_ZONES: Final = (ZoneInfo("UTC"), ZoneInfo("Europe/Berlin"))


async def measure(session: Session) -> None:
    """The figure of this module."""
    options, databases = session.options, session.world.databases
    database = databases.copy("bench_answers")
    session.say(f"counters of {options.counted_messages:,} messages")
    with database.connect() as connection:
        counted = Counted(options.counted_messages, options.counted_domains, databases.tenant.application)
        fill(connection, counted)
    databases.checkpoint()
    session.say("asking for reports")
    pool = Database(database.url, size=1, name="bench")
    await pool.open()
    young = gc.get_threshold()
    collect_rarely()  # as the process that answers: this one has read more, and looked at all of it for each answer
    try:
        async with pool.connection() as asked:
            medians = {name: await _asked(asked, question, options.report_asks) for name, question in _questions()}
    finally:
        gc.unfreeze()
        gc.set_threshold(*young)
        await pool.close()
    slowest = max(medians, key=medians.__getitem__)
    session.add(
        "report_ms", [medians[slowest]], messages=options.counted_messages, domains=options.counted_domains,
        providers=10, ips=8, rows=_PAGE, asks=options.report_asks, slowest=slowest, medians=medians,
        note="a month, from the question to its JSON, one connection; the slowest way to break it down",
    )  # fmt: skip
    databases.drop(database.name)


async def _asked(connection: Connection, question: Question, times: int) -> float:
    """Milliseconds of the median answer."""
    took = []
    for _ in range(times):
        begun = time.perf_counter()
        answer = await figures.ask_page(connection, question, _PAGE)
        json_answer(report_face(question, answer, {}))
        took.append((time.perf_counter() - begun) * 1e3)
        expect(bool(answer.rows) and answer.totals.sum("delivered") > 0, f"a report by {question.group} is empty")
    return round(statistics.median(took), 1)


def _questions() -> Iterator[tuple[str, Question]]:
    """By name."""
    now = datetime.now(UTC)
    for zone in _ZONES:
        since = (now - timedelta(days=30)).astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0)
        for group in (*((name,) for name in (*LABELS, *APART)), *((name, "provider") for name in APART)):
            by = group[0] if group[0] in APART else "application"
            yield _named(group, zone), Question(since, now, zone, "", group, by, now=now)
        for period, group in (("hour", ()), ("day", ()), ("day", ("domain",)), ("day", ("provider",))):
            by = "domain" if "domain" in group else "application"
            yield _named((period, *group), zone), Question(since, now, zone, period, group, by, now=now)


def _named(parts: tuple[str, ...], zone: ZoneInfo) -> str:
    return f"{', '.join(parts)} ({zone.key})"
