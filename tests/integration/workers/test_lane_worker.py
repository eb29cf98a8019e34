"""`postlane worker transactional` as it runs on a server: a process with real Celery, PostgreSQL, Valkey and SMTP."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis

from core.publish import HintPublisher, marker
from core.queues import Lane
from messages.model import NewEmail
from store.database import Database
from tests.dns_table import DnsTable
from tests.integration.core.front import Front
from tests.integration.messages.emails import make_partitions, refs, rows, states, store, waiting
from tests.integration.workers.lane import IPS, SECRET, _account, new_email
from tests.smtp_sink import Rule, ThreadedSink

pytestmark = pytest.mark.timeout(120)

READY_SECONDS = 60.0


class DnsThread:
    """The DNS table with a loop of its own: the test waits without one."""

    def __init__(self, table: DnsTable) -> None:
        self.table = table

    def __enter__(self) -> str:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self.table.__aenter__(), self._loop).result(5)
        return self.table.address

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self.table.__aexit__(), self._loop).result(5)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()


class Worker:
    """One worker process, its log in a file."""

    def __init__(self, environment: dict[str, str], log: Path, *words: str) -> None:
        self.log = log
        with log.open("ab") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "cli", "worker", *words],
                env={**os.environ, **environment}, stdout=out, stderr=subprocess.STDOUT,
            )  # fmt: skip

    def lines(self, event: str) -> list[dict[str, Any]]:
        found = []
        for line in self.log.read_text().splitlines():
            with contextlib.suppress(ValueError):
                told = json.loads(line)
                if isinstance(told, dict) and told.get("event") == event:
                    found.append(told)
        return found

    def ready(self) -> "Worker":
        until(lambda: self.lines("worker_ready") or self.process.poll() is not None, READY_SECONDS)
        assert self.process.poll() is None, self.log.read_text()[-3000:]
        return self

    def get(self, path: str) -> tuple[int, str]:
        port = self.lines("worker_ready")[-1]["metrics_port"]
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def end(self, number: signal.Signals = signal.SIGTERM) -> float:
        """Seconds it took to end."""
        started = time.monotonic()
        self.process.send_signal(number)
        self.process.wait(20)
        return time.monotonic() - started


def until(condition: Callable[[], object], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.01)


@dataclass
class Site:
    """What is around a worker."""

    environment: dict[str, str]
    sink: ThreadedSink
    folder: Path
    workers: list[Worker]
    account: tuple[Any, Any]
    redis_url: str
    dns: DnsTable

    def start(self, *words: str, **environment: str) -> Worker:
        log = self.folder / f"worker-{len(self.workers)}.log"
        worker = Worker({**self.environment, **environment}, log, *(words or ("transactional",)))
        self.workers.append(worker)
        return worker

    def email(self, *addresses: str, **changes: Any) -> NewEmail:
        application, domain = self.account
        return new_email(*addresses, application_id=application, domain_id=domain, **changes)

    def hint(self, *destinations: str, leaves: bool = False) -> None:
        hints = HintPublisher(self.redis_url)
        hints.start()
        hints.hint(Lane.TRANSACTIONAL, destinations, leaves)
        hints.stop()


@pytest.fixture
async def site(database: Database, database_url: str, redis_url: str, tmp_path: Path) -> Any:
    await make_partitions(database)
    account = await _account(database)
    table = DnsTable({("one.example", "MX"): ["10 mx.example."], ("mx.example", "A"): ["127.0.0.1"]})
    rules = (Rule("dot", "250 taken", local="slow", delay=2.0),)
    workers: list[Worker] = []
    with ThreadedSink(*rules) as sink, DnsThread(table) as dns:
        environment = {
            "POSTLANE_DATABASE_URL": database_url,
            "POSTLANE_REDIS_URL": redis_url,
            "POSTLANE_SECRET": SECRET,
            "POSTLANE_DATA_DIR": str(tmp_path / "data"),
            "POSTLANE_SMTP_PORT": str(sink.port),
            "POSTLANE_DNS_SERVERS": json.dumps([dns]),
            "POSTLANE_SIMULATOR": "true",
            "POSTLANE_METRICS_PORT": "0",
            "POSTLANE_LOG_LEVEL": "info",
        }
        yield Site(environment, sink, tmp_path, workers, account, redis_url, table)
        for worker in workers:
            if worker.process.poll() is None:
                worker.process.kill()
            worker.process.wait(10)


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url) as connection:
        yield connection


async def test_hint_is_delivered_measured_logged_and_the_process_ends_in_order(
    site: Site, database: Database, client: redis.Redis
) -> None:
    """One life of a worker: due mail leaves, scheduled mail does not, and what is under way at the end is finished."""
    worker = site.start().ready()
    assert worker.get("/healthz") == (200, "ok\n")
    email = site.email("ann@one.example", "bob@one.example")
    later = site.email("eve@one.example", scheduled_at=datetime.now(UTC) + timedelta(hours=1))
    await store(database, later, email)
    site.hint("one.example")
    until(lambda: len(site.sink.mails) == 2)
    until(lambda: 'postlane_outcomes_committed_total{result="ended"} 2.0' in worker.get("/metrics")[1])

    assert await states(database) == dict.fromkeys(refs(email), "delivered") | {refs(later)[0]: "scheduled"}
    assert not client.exists(marker(Lane.TRANSACTIONAL, "one.example"))
    figures = worker.get("/metrics")[1]
    for name in (
        'postlane_claimed_total{lane="transactional"} 2.0',
        *(
            f'postlane_step_seconds_count{{lane="transactional",step="{step}"}} {count}'
            for step, count in {"load": 1.0, "wait": 1.0, "compose": 1.0, "sign": 1.0, "send": 2.0}.items()
        ),
        'postlane_statement_seconds_count{family="load"} 1.0',
        'postlane_accepted_to_delivered_seconds_count{lane="transactional"} 2.0',
        "postlane_outcome_commit_seconds_count",
        "postlane_in_flight 0.0",
        "postlane_outcomes_uncommitted 0.0",
    ):
        assert name in figures, name
    told = worker.lines("attempt")
    assert {line["message_id"] for line in told} == {str(ref) for ref in refs(email)}
    assert {line["service"] for line in told} == {"worker-transactional-0"}
    assert {line["recipient"] for line in told} == {"a***@one.example", "b***@one.example"}
    assert {line["ip"] for line in told} <= set(IPS)
    await _ends_with_mail_under_way(site, database, worker)
    assert set(await waiting(database)) == set(refs(later))


async def _ends_with_mail_under_way(site: Site, database: Database, worker: Worker) -> None:
    """At a server that answers within the time a stopping worker has."""
    site.sink.journal.commands.clear()
    email = site.email("slow@one.example")
    await store(database, email)
    site.hint("one.example")
    until(lambda: any(line == "DATA" for _, line in site.sink.journal.commands))
    with redis.Redis.from_url(site.redis_url) as client:
        assert client.keys("unacked*") == [], "what is taken is noted nowhere else"
    assert worker.end() < 8
    assert worker.process.returncode == 0
    assert "Traceback" not in worker.log.read_text()
    assert (await states(database))[refs(email)[0]] == "delivered"


async def test_second_worker_of_a_name_is_refused_and_one_of_another_index_is_not(site: Site) -> None:
    first = site.start()
    first.ready()
    second, third = site.start(), site.start("transactional", "--index", "1")
    second.process.wait(READY_SECONDS)
    third.ready()

    assert second.process.returncode == 1
    assert "POSTLANE_WORKER_NAME" in second.log.read_text()
    assert "Traceback" not in second.log.read_text()
    assert first.get("/healthz")[0] == 200


async def test_killed_worker_is_followed_by_one_that_takes_over(site: Site, database: Database) -> None:
    """The mail whose reply had not been read may come twice, all others once, and nothing waits for the lease."""
    worker = site.start().ready()
    slow, others = site.email("slow@one.example"), [site.email(f"u{number}@one.example") for number in range(30)]
    await store(database, slow, *others)
    site.hint("one.example")
    until(lambda: _left(database) == 1)
    until(lambda: any(line == "DATA" for _, line in site.sink.journal.commands))
    worker.end(signal.SIGKILL)
    site.start().ready()
    site.hint("one.example")
    until(lambda: _left(database) == 0)

    found = await states(database)
    assert set(found.values()) == {"delivered"}
    counts = {mail.rcpt_to[0]: 0 for mail in site.sink.mails}
    for mail in site.sink.mails:
        counts[mail.rcpt_to[0]] += 1
    assert counts.pop("slow@one.example") in (1, 2)
    assert set(counts.values()) == {1}
    assert await rows(database, "SELECT count(*) FROM events WHERE kind = 'delivered'") == [(31,)]


async def test_a_worker_takes_no_more_hints_than_it_works_on(
    site: Site, database: Database, client: redis.Redis
) -> None:
    """The others are there for other workers, and for its successor."""
    worker = site.start(POSTLANE_WORKER_CONCURRENCY="1").ready()
    await store(database, site.email("slow@one.example"))
    site.hint("one.example")
    until(lambda: any(line == "DATA" for _, line in site.sink.journal.commands))
    for name in ("two", "three", "four"):
        site.hint(f"{name}.example")
    time.sleep(0.3)
    assert client.llen("transactional") == 3
    worker.end()

    assert client.llen("transactional") == 3


async def test_servers_are_looked_for_before_a_claim_only_where_mail_is_known_to_leave(
    site: Site, client: redis.Redis
) -> None:
    """There is none, so that the claim finds no reason to ask."""
    site.start().ready()
    site.hint("test.example", "other.example")
    until(lambda: not client.exists(marker(Lane.TRANSACTIONAL, "test.example"), "transactional"))
    site.hint("one.example", leaves=True)
    until(lambda: site.dns.asked["mx.example", "A"] == 1)

    assert site.dns.asked == {("one.example", "MX"): 1, ("mx.example", "A"): 1}


async def test_a_valkey_that_goes_away_is_no_matter_to_what_a_worker_has_taken(site: Site, database: Database) -> None:
    """It is not put back into the queue, where it would be done again, nor written into files that nobody reads."""
    files = site.folder / "files"
    files.mkdir()
    with Front(site.redis_url) as front:
        worker = site.start(POSTLANE_REDIS_URL=front.url, TMPDIR=str(files)).ready()
        email = site.email("slow@one.example")
        await store(database, email)
        site.hint("one.example")
        until(lambda: any(line == "DATA" for _, line in site.sink.journal.commands))
        front.away()
        until(lambda: _left(database) == 0)
        until(lambda: "Trying again" in worker.log.read_text())

    assert list(files.iterdir()) == []
    assert "RESTORE" not in worker.log.read_text()
    assert (await states(database))[refs(email)[0]] == "delivered"


def _left(database: Database) -> int:
    """Mails whose outcome is not in the store."""
    with psycopg.connect(database._pool.conninfo) as connection:
        row = connection.execute("SELECT count(*) FROM delivery_queue").fetchone()
        assert row is not None
        return int(row[0])


async def test_worker_starts_while_the_database_is_away_and_says_what_is_wrong(site: Site) -> None:
    """Nothing was left behind by a predecessor, so there is nothing to ask; its first hint is lost to the due scan."""
    worker = site.start(POSTLANE_DATABASE_URL="postgresql://nobody@127.0.0.1:1/nowhere").ready()
    site.hint("one.example")
    until(lambda: worker.lines("batch_not_claimed"), 30)

    assert "Connection refused" in worker.lines("batch_not_claimed")[0]["error"]
    assert worker.process.poll() is None


async def test_worker_starts_while_redis_is_away(site: Site) -> None:
    worker = site.start(POSTLANE_REDIS_URL="redis://127.0.0.1:1/0").ready()
    time.sleep(1.0)

    assert worker.get("/healthz") == (200, "ok\n")
    assert worker.end() < 12


async def test_bad_settings_are_said_in_one_line(site: Site) -> None:
    wrong = {
        "POSTLANE_SECRET": "short",
        "POSTLANE_DNS_SERVERS": "127.0.0.1",
        "POSTLANE_DATABASE_URL": "host=here",
        "POSTLANE_DATA_DIR": "/proc/none",
    }
    started = [(variable, site.start(**{variable: value})) for variable, value in wrong.items()]
    for variable, worker in started:
        worker.process.wait(READY_SECONDS)
        told = worker.log.read_text()
        assert worker.process.returncode == 1, told
        assert variable in told or variable.removeprefix("POSTLANE_").lower() in told, told
        assert "Traceback" not in told
