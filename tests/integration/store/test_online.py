"""A database with mail is upgraded while the version before works on it: nobody waits long, nothing is half done."""

import contextlib
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from uuid import UUID

import psycopg
import pytest
from psycopg import sql

from core.errors import UnavailableError
from core.ids import uuid7
from store import migrate, online, revisions
from store.database import DatabaseUnavailableError
from tests.servers import TestServers, drop_database, with_database

BEFORE = "0006"
TABLES = ("emails", "messages", "events", "delivery_queue", "suppressions", "api_keys", "domains", "inbound_mail")
UPGRADER = "application_name = 'upgrader'"

# What version 0006 said, to each table that later migrations change, in its order.
ACCEPT = """
INSERT INTO emails (id, application_id, domain_id, lane, content_id, created_at, sender, subject, "to", cc, bcc,
                    reply_to, message_id)
  VALUES (%(id)s, %(id)s, %(id)s, 'marketing', %(id)s, now(), 'a', 's', '{b}', '{}', '{}', '{}', 'm');
INSERT INTO messages (email_id, position, recipient, address, kind, state, updated_at)
  VALUES (%(id)s, 0, 'b', 'b', 'to', 'queued', now());
INSERT INTO delivery_queue (email_id, position, lane, destination, recipient, address, due_at, application_id)
  VALUES (%(id)s, 0, 'marketing', 'one.example', 'b', 'b', now(), %(id)s);
INSERT INTO events (email_id, position, at, kind) VALUES (%(id)s, 0, now(), 'accepted')
"""

CLAIM = """
WITH due AS MATERIALIZED (
  SELECT email_id, position FROM delivery_queue q
   WHERE q.lane = 'marketing' AND q.destination = 'one.example' AND q.due_at <= now() AND q.claimed_by IS NULL
   ORDER BY q.due_at LIMIT 5 FOR UPDATE SKIP LOCKED
), claimed AS (
  UPDATE delivery_queue q SET due_at = now() + interval '1 minute', claimed_by = %(id)s, claimed_at = now()
    FROM due WHERE q.email_id = due.email_id AND q.position = due.position
  RETURNING q.email_id, q.position, q.address, q.lane, q.application_id
)
SELECT c.email_id, s.reason FROM claimed c LEFT JOIN LATERAL (
  SELECT s.reason FROM suppressions s WHERE s.address = c.address AND s.scope IN ('all', c.lane)
     AND (s.expires_at IS NULL OR s.expires_at > now()) LIMIT 1) s ON true
"""

RECORD = """
WITH gone AS (DELETE FROM delivery_queue q WHERE q.claimed_by = %(id)s RETURNING q.email_id),
  moved AS (UPDATE messages m SET state = 'delivered', updated_at = now() FROM gone WHERE m.email_id = gone.email_id)
  SELECT email_id FROM gone;
INSERT INTO events (email_id, position, at, kind) VALUES (%(id)s, 0, now(), 'delivered');
SELECT application_id FROM emails WHERE id = %(id)s;
INSERT INTO suppressions (id, address, scope, reason, source) VALUES (%(id)s, %(id)s, 'all', 'hard_bounce', 'smtp');
INSERT INTO inbound_mail (id, envelope_to, raw) VALUES (%(id)s, 'b', '')
"""


A_DAY = f"CREATE TABLE emails_20261101 PARTITION OF emails FOR VALUES FROM ('{UUID(int=0)}') TO ('{UUID(int=1)}')"


@dataclass
class Running:
    """The version before, working: mail is accepted, claimed and recorded."""

    url: str
    rounds: int = 0
    failed: list[Exception] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)

    def work(self) -> None:
        # A statement that waits longer than that stood behind a migration for more than its turn.
        with psycopg.connect(self.url, options="-c statement_timeout=15s") as connection:
            while not self.ended.is_set():
                try:
                    one_round(connection)
                    self.rounds += 1
                except psycopg.Error as error:
                    self.failed.append(error)
                    return

    def goes_on(self) -> None:
        begun, deadline = self.rounds, time.monotonic() + 60
        while self.rounds < begun + 10:
            assert not self.failed
            assert time.monotonic() < deadline, "mail stands still"
            time.sleep(0.005)


def one_round(connection: "psycopg.Connection[tuple[object, ...]]") -> None:
    known = {"id": uuid7()}
    for transaction in (ACCEPT, CLAIM, RECORD):
        for statement in transaction.split(";"):
            connection.execute(statement, known)
        connection.commit()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short turns, so that there are many."""
    monkeypatch.setattr(online, "LOCK_SECONDS", 0.1)
    monkeypatch.setattr(online, "PAUSE_SECONDS", 0.02)


@pytest.fixture
def url(servers: TestServers) -> Iterator[str]:
    """A database of the version before, with mail."""
    name = f"postlane_before_{uuid.uuid4().hex}"
    with psycopg.connect(servers.database_url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    made = with_database(servers.database_url, name)
    migrate.upgrade(made, BEFORE)
    with psycopg.connect(made) as connection:
        connection.execute(A_DAY)
        for _ in range(20):
            one_round(connection)
        for statement in ACCEPT.split(";"):
            connection.execute(statement, {"id": uuid7()})
    yield made
    drop_database(servers.database_url, name)


@contextmanager
def running(url: str) -> Iterator[Running]:
    found = Running(url)
    threads = [threading.Thread(target=found.work) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        yield found
    finally:
        found.ended.set()
        for thread in threads:
            thread.join()


@contextmanager
def upgrading(url: str) -> Iterator["Future[str]"]:
    named = f"{url}{'&' if '?' in url else '?'}application_name=upgrader"
    with ThreadPoolExecutor(1) as pool:
        yield pool.submit(migrate.upgrade, named)


def until(url: str, question: str) -> None:
    """Ask the database until it says yes."""
    deadline = time.monotonic() + 60
    with psycopg.connect(url, autocommit=True) as connection:
        while not (connection.execute(question).fetchone() or [False])[0]:
            assert time.monotonic() < deadline, f"waited too long: {question}"
            time.sleep(0.005)


def waits_for(table: str) -> str:
    return (
        f"SELECT true FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE {UPGRADER} AND NOT granted"
        f" AND relation = '{table}'::regclass"
    )


def invalid_indexes(url: str) -> int:
    with psycopg.connect(url) as connection:
        return len(connection.execute("SELECT FROM pg_index WHERE NOT indisvalid").fetchall())


def test_mail_goes_on_while_the_upgrade_waits_for_a_long_transaction(url: str) -> None:
    """A backup reads every table, the upgrade wants each for itself, and mail does not stand behind it."""
    with running(url) as version_before, closing(psycopg.connect(url)) as backup:
        for table in TABLES:
            backup.execute(sql.SQL("SELECT FROM {}").format(sql.Identifier(table)))
        with upgrading(url) as upgrade:
            until(url, waits_for("emails"))
            version_before.goes_on()
            assert not upgrade.done()
            backup.rollback()
        version_before.goes_on()

    assert upgrade.result() == revisions.newest()
    assert version_before.failed == []
    assert invalid_indexes(url) == 0


def test_who_holds_one_table_and_wants_the_others_meets_no_deadlock(url: str) -> None:
    """The upgrade comes by these in this order, and changes others before each of them."""
    held = ("delivery_queue", "messages", "domains")
    with contextlib.ExitStack() as stack:
        live = {table: stack.enter_context(psycopg.connect(url)) for table in held}
        for table, connection in live.items():
            connection.execute(f"LOCK TABLE {table} IN ROW EXCLUSIVE MODE")  # as every statement that writes does
        upgrade = stack.enter_context(upgrading(url))
        for table, connection in live.items():
            until(url, waits_for(table))
            for other in TABLES:
                connection.execute(f"SELECT FROM {other} LIMIT 1")
            connection.commit()

        assert upgrade.result(60) == revisions.newest()


def test_an_index_whose_making_was_interrupted_is_made_anew(url: str) -> None:
    migrate.upgrade(url, "0012")
    with closing(psycopg.connect(url)) as writer, upgrading(url) as upgrade:
        writer.execute("LOCK TABLE emails_default IN ROW EXCLUSIVE MODE")
        until(url, "SELECT count(*) = 2 FROM pg_index WHERE NOT indisvalid")  # the whole, and this part of it
        until(url, f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {UPGRADER}")
        with pytest.raises(DatabaseUnavailableError):
            upgrade.result(60)
    assert migrate.current(url) == "0012"
    assert invalid_indexes(url) in (1, 2), "it drops its own before each try, and may have been about to try again"

    assert migrate.upgrade(url) == revisions.newest()
    assert invalid_indexes(url) == 0


def test_a_table_that_is_never_free_is_said_with_who_holds_it(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(online, "PATIENCE_SECONDS", 0.2)
    with closing(psycopg.connect(url, application_name="dump")) as backup:
        backup.execute("SELECT FROM delivery_queue")
        with pytest.raises(UnavailableError, match=rf"process {backup.info.backend_pid} \(dump\) since .*SELECT FROM"):
            migrate.upgrade(url)

    assert migrate.upgrade(url) == revisions.newest()
