"""Alarms are told once: by mail through a smarthost or our own lane, and by webhook; never about the mail itself."""

import ssl
from collections.abc import AsyncIterator
from datetime import timedelta
from email import message_from_bytes
from pathlib import Path
from typing import Any

import pytest
import trustme
from pydantic import SecretStr

from alarms import mail_settings
from alarms import repository as alarms
from alarms.mail_settings import Smarthost
from alarms.model import AlarmKind, Finding, Severity
from alarms.smarthost import NotSentError
from core.refusal import Refused
from core.secrets import InstanceSecret
from core.settings import Settings
from store.database import Database
from tests.integration.messages.emails import APPLICATION, execute, make_partitions, rows
from tests.relay import PASSWORD, USER, Relay, serving
from workers import alarming

SECRET = InstanceSecret.from_text("5e" * 32)
TO, SENDER = "ops@example.net", "alarms@acme.example"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    here = ("127.0.0.0/8",)
    return Settings(secret=SecretStr("5e" * 32), data_dir=tmp_path, hostname="mail.acme.example", server_networks=here)


@pytest.fixture
async def relay(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[Relay, int]]:
    """A vendor's server, whose certificate this process trusts."""
    authority, relay = trustme.CA(), Relay()

    def trusting() -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        authority.configure_trust(context)
        return context

    monkeypatch.setattr(ssl, "create_default_context", lambda *_a, **_k: trusting())
    async with serving(relay, authority.issue_cert("127.0.0.1"), "smtp+tls") as port:
        yield relay, port


async def tell_through(database: Database, server: Smarthost | None) -> None:
    async with database.transaction() as connection:
        await mail_settings.set_alarm_mail(connection, [TO], SENDER, server, SECRET)


async def alarm(
    database: Database, subject: str = "shop", minutes: int = 2, kind: AlarmKind = AlarmKind.COMPLAINTS
) -> None:
    """Raised so many minutes ago."""
    async with database.transaction() as connection:
        await alarms.raise_alarm(connection, AlarmKind.COMPLAINTS, subject, "seen", Severity.CRITICAL)
    await execute(database, "UPDATE alarm_changes SET at = at - %s WHERE NOT mailed", [timedelta(minutes=minutes)])


async def one(database: Database, statement: str) -> Any:
    ((value,),) = await rows(database, statement)
    return value


async def test_a_smarthost_behind_us_is_not_spoken_to(
    database: Database, settings: Settings, relay: tuple[Relay, int]
) -> None:
    server, port = relay
    await tell_through(database, Smarthost("localhost", port, "starttls", USER, PASSWORD))
    with pytest.raises(NotSentError, match="not a public address, nor in a network that POSTLANE_SERVER_NETWORKS"):
        await alarming.send_test(database, settings.model_copy(update={"server_networks": ()}), SECRET)
    assert not server.passwords


async def test_a_storm_leaves_as_one_mail_through_the_smarthost(
    database: Database, settings: Settings, relay: tuple[Relay, int]
) -> None:
    server, port = relay
    await tell_through(database, Smarthost("127.0.0.1", port, "starttls", USER, PASSWORD))
    for n in range(30):
        await alarm(database, f"stream {n}")
    for _ in range(3):
        await alarming.mail(database, settings, SECRET)
    (envelope,) = server.taken
    mail = message_from_bytes(bytes(envelope.content))

    assert (envelope.mail_from, envelope.rcpt_tos) == (SENDER, [TO])
    assert mail["Subject"] == "[mail.acme.example] CRITICAL complaints: stream 0 and 29 more"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert await one(database, "SELECT count(*) FROM alarm_changes WHERE NOT mailed") == 0
    assert await one(database, "SELECT sealed_password <> %s FROM alarm_mail".replace("%s", f"'{USER}'::bytea"))


async def test_a_server_that_refuses_is_tried_again_later_and_is_no_news(
    database: Database, settings: Settings, relay: tuple[Relay, int]
) -> None:
    server, port = relay
    await tell_through(database, Smarthost("127.0.0.1", port, "starttls", USER, "wrong"))
    await alarm(database)
    await alarming.mail(database, settings, SECRET)
    tries = server.passwords
    for _ in range(2):
        await alarming.mail(database, settings, SECRET)

    assert (server.taken, server.passwords) == ([], tries)
    async with database.connection() as connection:
        kinds = {found.kind: found.detail for found in await alarms.open_alarms(connection)}
        how = await mail_settings.alarm_mail(connection)
    assert "127.0.0.1: " in kinds["alarm_mail"]
    assert how is not None
    assert how.next_try_at is not None
    assert "535" in how.trouble
    await tell_through(database, Smarthost("127.0.0.1", port, "starttls", USER, PASSWORD))
    await alarming.mail(database, settings, SECRET)
    assert len(server.taken) == 1
    assert b"alarm mail" not in bytes(server.taken[0].content)
    async with database.connection() as connection:
        assert [found.kind for found in await alarms.open_alarms(connection)] == ["complaints"]


async def test_our_own_lane_has_one_such_mail_at_a_time(database: Database, settings: Settings) -> None:
    await make_partitions(database)
    await tell_through(database, None)
    await alarm(database)
    await alarming.mail(database, settings, SECRET)
    async with database.connection() as connection:
        (trouble,) = [a for a in await alarms.open_alarms(connection) if a.kind == "alarm_mail"]
    assert "no verified domain" in trouble.detail

    await execute(database, "INSERT INTO applications (id, name) VALUES (%s, 'acme')", [APPLICATION])
    await execute(
        database,
        "INSERT INTO domains (id, application_id, name, return_path_domain, status)"
        " VALUES (gen_random_uuid(), %s, 'acme.example', 'x', 'verified')",
        [APPLICATION],
    )
    await execute(database, "UPDATE alarm_mail SET next_try_at = NULL")
    await alarming.mail(database, settings, SECRET)
    sent = "SELECT count(*) FROM emails WHERE \"to\" = ARRAY['ops@example.net']"
    assert await one(database, sent) == 1
    await alarm(database, "another", minutes=30)
    await execute(database, "UPDATE alarm_mail SET last_at = last_at - interval '1 hour'")
    await alarming.mail(database, settings, SECRET)
    assert await one(database, sent) == 1, "the first has not ended: the lane may stand still"
    await execute(database, "UPDATE messages SET state = 'delivered'")
    await alarming.mail(database, settings, SECRET)
    assert await one(database, sent) == 2


async def test_the_alarm_about_this_mail_ends_with_its_trouble_whether_or_not_there_is_news(
    database: Database, settings: Settings, relay: tuple[Relay, int]
) -> None:
    """Somebody saw to what was to be told, so that no news will ever leave and show it."""
    server, port = relay

    async def again() -> list[str]:
        """Kinds of open alarms after the next try."""
        await execute(database, "UPDATE alarm_mail SET next_try_at = NULL")
        for _ in range(2):
            await alarming.mail(database, settings, SECRET)
        async with database.connection() as connection:
            return [one.kind for one in await alarms.open_alarms(connection)]

    await tell_through(database, Smarthost("127.0.0.1", port, "starttls", USER, "wrong"))
    await alarm(database)
    await alarming.mail(database, settings, SECRET)
    await execute(database, "UPDATE alarm_changes SET mailed = true")
    tries = server.passwords
    assert await again() == ["complaints", "alarm_mail"]
    assert server.passwords == 2 * tries
    sealed = SECRET.seal(PASSWORD.encode(), "alarm mail")
    await execute(database, "UPDATE alarm_mail SET sealed_password = %s", [sealed])
    assert await again() == ["complaints"]
    assert server.taken == []

    await execute(database, "UPDATE alarm_mail SET trouble = 'away'")
    async with database.transaction() as connection:
        await alarms.raise_alarm(connection, AlarmKind.ALARM_MAIL, alarming.MAILBOX, "away")
        await mail_settings.forget_alarm_mail(connection)
    assert await again() == ["complaints"]


async def test_nobody_is_told_what_was_before_somebody_asked(
    database: Database, settings: Settings, relay: tuple[Relay, int]
) -> None:
    server, port = relay
    await alarm(database)
    await alarming.mail(database, settings, SECRET)
    await tell_through(database, Smarthost("127.0.0.1", port, "starttls", USER, PASSWORD))
    await alarming.mail(database, settings, SECRET)
    assert server.taken == []
    how = await alarming.send_test(database, settings, SECRET)
    assert how is not None
    assert b"This is a test" in bytes(server.taken[0].content)


async def test_webhooks_of_operators_hear_of_it_once(database: Database, settings: Settings) -> None:
    await execute(
        database, "INSERT INTO webhook_endpoints (id, url) VALUES (gen_random_uuid(), 'https://ops.example/hook')"
    )
    async with database.transaction() as connection:
        await alarms.settle(connection, AlarmKind.COMPLAINTS, [Finding("shop", Severity.WARNING, "seen")])
        await alarms.settle(connection, AlarmKind.COMPLAINTS, [])
    for _ in range(2):
        await alarming.announce(database)
    told = await rows(database, "SELECT type, payload::jsonb->'data'->>'subject' FROM webhook_events ORDER BY id")
    assert told == [("alarm.raised", "shop"), ("alarm.cleared", "shop")]


@pytest.mark.parametrize(
    ("recipients", "server", "field"),
    [
        ([], None, "recipients"), (["nobody"], None, "recipients"),
        ([TO], Smarthost("", 25, "none"), "host"), ([TO], Smarthost("h", 25, "none", "u", "p"), "tls"),
        ([TO], Smarthost("h", 25, "sometimes"), "tls"), ([TO], Smarthost("h", 0, "tls"), "port"),
    ],
)  # fmt: skip
async def test_what_cannot_be_names_its_field(
    database: Database, recipients: list[str], server: Smarthost | None, field: str
) -> None:
    async with database.connection() as connection:
        with pytest.raises(Refused) as refused:
            await mail_settings.set_alarm_mail(connection, recipients, SENDER, server, SECRET)
    assert refused.value.field == field
