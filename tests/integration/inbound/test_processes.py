"""The two processes as `postlane inbound` and `postlane worker background` start them: real Celery, real signals."""

import asyncio
import json
import os
import signal
import smtplib
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import psycopg
import pytest

from accounts.repository import DomainRequest, create_domain, make_keys
from core.secrets import InstanceSecret
from core.settings import Settings
from mta.inbound_reports import ReceivedMail
from mta.inbound_server import Listener
from outcomes.inbound import store_inbound
from store.database import Database
from tests.integration.inbound.conftest import SECRET, Account, delivered_mail, offer, rows, talk_to, waiting_backend
from tests.unit.mta.bounce_corpus import CORPUS

pytestmark = pytest.mark.timeout(120)

READY_SECONDS = 40.0


class Program:
    """A process of ours with its log lines in a file."""

    def __init__(self, settings: Settings, log: Path, *words: str) -> None:
        environment = {
            **os.environ,
            "POSTLANE_DATABASE_URL": settings.database_url,
            "POSTLANE_REDIS_URL": settings.redis_url,
            "POSTLANE_SECRET": SECRET,
            "POSTLANE_DATA_DIR": str(settings.data_dir),
            "POSTLANE_HOSTNAME": settings.hostname,
            "POSTLANE_INBOUND_PORT": "0",
            "POSTLANE_SUBMISSION_PORT": "0",
            "POSTLANE_DNS_SERVERS": '["127.0.0.1:1"]',
        }
        self.log = log
        with log.open("wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "cli", *words], env=environment, stdout=out, stderr=subprocess.STDOUT
            )

    def line(self, event: str) -> dict[str, object]:
        """The first log line with that event, as soon as there is one."""
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline:
            for line in self.log.read_text().splitlines():
                if f'"{event}"' in line:
                    found: dict[str, object] = json.loads(line)
                    return found
            if self.process.poll() is not None:
                break
            time.sleep(0.05)
        raise AssertionError(f"no {event} in:\n{self.log.read_text()[-4000:]}")

    def stop(self) -> float:
        """Seconds it took to end after SIGTERM."""
        started = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(20)
        return time.monotonic() - started


@pytest.fixture
def programs() -> Iterator[list[Program]]:
    started: list[Program] = []
    yield started
    for program in started:
        if program.process.poll() is None:
            program.process.kill()
            program.process.wait(10)


async def _until(database: Database, statement: str, expected: list[tuple[object, ...]]) -> None:
    async with asyncio.timeout(30):
        while await rows(database, statement) != expected:
            await asyncio.sleep(0.05)


def _at(port: object) -> Listener:
    """Where a process listens, in the form `talk_to` takes."""
    listener = object.__new__(Listener)
    assert isinstance(port, int)
    listener.port = port
    return listener


async def test_a_bounce_goes_through_both_processes(
    settings: Settings, account: Account, database: Database, programs: list[Program], tmp_path: Path
) -> None:
    mail = await delivered_mail(database, account)
    lost = await delivered_mail(database, account, to="jana@firma.example")
    async with database.transaction() as connection:
        await store_inbound(connection, [ReceivedMail(lost.path, CORPUS["qmail"].data)])  # its task was lost
    programs += [
        Program(settings, tmp_path / "inbound.log", "inbound"),
        Program(settings, tmp_path / "background.log", "worker", "background"),
    ]
    inbound, background = programs
    ready = await asyncio.to_thread(inbound.line, "inbound_ready")
    await asyncio.to_thread(background.line, "worker_ready")
    await _until(database, f"SELECT state FROM messages WHERE email_id = '{lost.ref.email_id}'", [("bounced",)])

    code, _ = await talk_to(
        _at(ready["bounce_port"]), lambda client: offer(client, "", [mail.path], CORPUS["postfix, unknown user"].data)
    )
    assert code == 250
    await _until(database, f"SELECT state FROM messages WHERE email_id = '{mail.ref.email_id}'", [("bounced",)])

    content = b"From: a@shop.example\r\nSubject: hi\r\n\r\nhi\r\n"

    def submit(client: smtplib.SMTP) -> tuple[int, str]:
        client.login("apikey", account.key)
        return offer(client, "a@shop.example", ["ann@x.example"], content)

    assert (await talk_to(_at(ready["submission_port"]), submit))[0] == 250

    with await asyncio.to_thread(urlopen, f"http://127.0.0.1:{ready['metrics_port']}/metrics") as answer:
        figures = answer.read().decode()
    assert 'postlane_inbound_mails_total{code="250",listener="bounces"} 1.0' in figures
    assert 'postlane_inbound_mails_total{code="250",listener="submission"} 1.0' in figures
    assert [await asyncio.to_thread(program.stop) < 5.0 for program in programs] == [True, True]
    assert inbound.process.returncode == 0


async def test_sigterm_ends_a_listener_that_is_in_the_middle_of_a_mail(
    settings: Settings, account: Account, database: Database, programs: list[Program], tmp_path: Path
) -> None:
    programs.append(Program(settings, tmp_path / "inbound.log", "inbound"))
    ready = await asyncio.to_thread(programs[0].line, "inbound_ready")
    async with await psycopg.AsyncConnection.connect(settings.database_url) as blocker:
        await blocker.execute("LOCK TABLE delivery_queue IN ACCESS EXCLUSIVE MODE")

        def submit(client: smtplib.SMTP) -> tuple[int, str]:
            client.login("apikey", account.key)
            return offer(client, "", ["ann@x.example"], b"From: a@shop.example\r\n\r\nhi\r\n")

        sending = asyncio.create_task(talk_to(_at(ready["submission_port"]), submit))
        await waiting_backend(settings.database_url)
        assert await asyncio.to_thread(programs[0].stop) < 5.0
        with pytest.raises(smtplib.SMTPServerDisconnected):
            await sending
        await blocker.rollback()
    await _until(database, "SELECT count(*) FROM delivery_queue", [(0,)])


async def test_a_pending_domain_is_looked_at_again(
    settings: Settings, account: Account, database: Database, programs: list[Program], tmp_path: Path
) -> None:
    wanted = DomainRequest(account.application_id, "more.example", "bounce.more.example", await make_keys())
    async with database.transaction() as connection:
        made = await create_domain(connection, InstanceSecret.from_text(SECRET), wanted)
        assert made is not None
        await connection.execute(
            "UPDATE domains SET status = 'pending', checked_at = now() - interval '2 hours',"
            " created_at = now() - interval '3 hours' WHERE id = %s", [made.id],
        )  # fmt: skip
    programs.append(Program(settings, tmp_path / "background.log", "worker", "background"))
    await asyncio.to_thread(programs[0].line, "worker_ready")
    await _until(database, f"SELECT record_status <> '{{}}' FROM domains WHERE id = '{made.id}'", [(True,)])
