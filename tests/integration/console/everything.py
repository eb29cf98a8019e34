"""An installation that has something in every noun, all of its texts meant to do harm; and all of its pages."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from html import unescape
from pathlib import Path
from typing import Final

import httpx
import pytest

from alarms import repository as alarms
from alarms.model import AlarmKind
from audience.contact_history import ContactAct, ContactSource
from campaigns.automations import events, steering, workflow
from campaigns.automations.events import Happened
from campaigns.automations.model import AutomationState
from core.settings import Settings
from outcomes.record import record
from store.database import Database
from tests.dns_table import DnsTable
from tests.integration.cli.commands import Postlane, configured, runner
from tests.integration.cli.furniture import arrange, arrange_more
from tests.integration.console import machine, reach
from tests.integration.console.conftest import SECRET, Person
from tests.integration.console.spoiling import HOSTILE, STRANGERS, spoil
from tests.integration.messages.emails import execute, make_partitions, new_email, refs, store
from tests.integration.outcomes.facts import WORKER, attempt, bounce
from tests.tour import is_frame, tour

PUBLIC: Final = "https://mail.shop.example"
MAIL: Final = f"Subject: {HOSTILE}\r\nContent-Type: text/html\r\n\r\n<p>Hello</p>{HOSTILE}\r\n".encode()


@pytest.fixture
def postlane(
    database_url: str, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Iterator[Postlane]:  # fmt: skip
    """Commands under the console's own secret."""
    given = {"DATABASE_URL": database_url, "REDIS_URL": redis_url, "SECRET": SECRET, "DNS_SERVERS": '["127.0.0.1:9"]'}
    with configured(monkeypatch, tmp_path, PUBLIC_URL=PUBLIC, **given):
        yield runner(capsys)


@pytest.fixture
async def dns() -> AsyncIterator[DnsTable]:
    """Nothing is published."""
    async with DnsTable({}) as table:
        yield table


@pytest.fixture
def settings(settings: Settings, dns: DnsTable) -> Settings:
    """With public pages and a name server."""
    own = {"public_url": PUBLIC, "dns_servers": (dns.address,), "hostname": "mta.acme.example"}
    return settings.model_copy(update=own)


@pytest.fixture
async def furnished(postlane: Postlane, database: Database, database_url: str, tmp_path: Path) -> None:
    """Something in every noun, and markup in all of its texts."""
    await make_partitions(database)
    bounced, waits = new_email("ann@one.example", html="<p>Hello</p>"), new_email("bob@one.example", html="<p>Hi</p>")
    await store(database, bounced, waits)
    await execute(database, "UPDATE delivery_queue SET claimed_by = %s WHERE email_id = %s", [WORKER, bounced.id])
    async with database.transaction() as connection:
        await record(connection, [bounce(refs(bounced)[0], attempt=attempt(reply="550 no such user"))])
        await alarms.raise_alarm(connection, AlarmKind.BLOCKLISTED, "127.0.1.1", "on a list")
    await asyncio.to_thread(_by_commands, postlane, database_url, tmp_path)
    await machine.fill(database, name="works")
    await reach.fill(database, "club")
    await _more_to_show(database)
    spoiled = await spoil(database)
    assert spoiled >= STRANGERS
    assert len(spoiled) > 80


def _by_commands(postlane: Postlane, database_url: str, folder: Path) -> None:
    arrange(postlane)
    arrange_more(postlane, database_url, folder)


@dataclass(slots=True)
class Seen:
    """Every page that its links lead to, by address."""

    answers: dict[str, httpx.Response] = field(default_factory=dict)

    def pages(self) -> dict[str, str]:
        """HTML of ours by address: no frame with somebody's mail."""
        return {at: one.text for at, one in self.answers.items() if _is_html(one) and not is_frame(at)}


_LINK: Final = re.compile(r"""(?:\s(?:href|src|hx-get)|<form class="[^"]*" action)="(/[^"]*)\"""")
"""Also what a form without `method` asks for."""
_APPLICATION: Final = re.compile(r"""<option value="([0-9a-f]{8}-[0-9a-f-]{27})"[^>]*>[^<]*(?:shop|club|works)""")
"""What a page offers to choose from."""


async def seen_by(person: Person) -> Seen:
    seen = Seen()

    async def look(at: str) -> list[str]:
        seen.answers[at] = answer = await person.get(at)
        if not _is_html(answer) or is_frame(at):
            return []
        of_each = [f"{at.partition('?')[0]}?application={one}" for one in _APPLICATION.findall(answer.text)]
        return of_each + [unescape(one) for one in _LINK.findall(answer.text) if not one.startswith("/assets/")]

    await tour(look, ("/", "/find?q=nothing"))
    return seen


def _is_html(answer: httpx.Response) -> bool:
    return answer.headers.get("content-type", "").startswith("text/html")


async def _automation(database: Database) -> None:
    """Somebody is under way in one."""
    async with database.transaction() as connection:
        cursor = await connection.execute("SELECT application_id, id FROM templates WHERE campaign_id IS NULL LIMIT 1")
        row = await cursor.fetchone()
        assert row is not None
        steps = [
            {"key": "start", "type": "trigger", "config": {"event_name": "trial.began"}},
            {"key": "wait", "type": "delay", "config": {"duration": "3 days"}},
            {"key": "send", "type": "send_email", "config": {"template": {"id": str(row[1])}}},
        ]
        flow = workflow.from_json(steps, None)
        await steering.create(connection, row[0], "Trial", flow, AutomationState.DISABLED)
        await connection.execute("UPDATE automations SET state = 'enabled'")
        happened = Happened("trial.began", None, "zoe@people.example", {})
        assert (await events.tell(connection, row[0], happened, ContactAct(ContactSource.API, "a test"))).runs == 1


async def _more_to_show(database: Database) -> None:
    """Mail that has more to show than a text, and what an endpoint and a stranger's server said."""
    await _automation(database)
    await execute(database, "UPDATE contents SET html = '<p>Hello</p>' WHERE html IS NULL")
    await execute(database, "UPDATE captured_mails SET raw = %s", [MAIL])
    await execute(database, "UPDATE inbound_mail SET author = 'Mailer', subject = 'Undelivered'")
    await execute(
        database,
        "INSERT INTO webhook_attempts (endpoint_id, event_id, id, sent_at, url, status, response, error, duration_ms)"
        " SELECT endpoint_id, id, id, now(), 'https://hooks.example/', 500, 'It broke', 'it reset', 12"
        " FROM webhook_events",
    )
    await execute(
        database,
        "UPDATE webhook_events SET taken_at = now(), taken_url = 'https://hooks.example/', taken_status = 200,"
        " taken_answer = 'Thanks', taken_ms = 3",
    )
