"""SMTP submission by real clients into the real database."""

import asyncio
import smtplib
import ssl
from email import message_from_bytes, policy
from email.message import EmailMessage
from uuid import UUID

import psycopg
import pytest

from accounts import capture_rules
from accounts.quotas import Quota, set_quota
from accounts.repository import KeyRequest, create_key, delete_key, keys
from audience import topics
from audience.topics import NewTopic, Subscription
from core import tracing
from store.database import Database
from tests.collector import noting
from tests.integration.inbound.conftest import Account, offer, rows, talk_to, waiting_backend
from workers.inbound import InboundServer

pytestmark = pytest.mark.timeout(60)


def _mail(sender: str = "Shop <orders@shop.example>", *headers: str) -> bytes:
    lines = [f"From: {sender}", "To: ann@x.example", "Subject: Your order", *headers, "", "Hello", ""]
    return "\r\n".join(lines).encode()


async def _send(
    server: InboundServer, key: str, content: bytes, to: tuple[str, ...] = ("ann@x.example",)
) -> tuple[int, str]:
    def talk(client: smtplib.SMTP) -> tuple[int, str]:
        client.login("apikey", key)
        return offer(client, "anything@else.example", list(to), content)

    return await talk_to(server.submission, talk)


async def test_a_mail_becomes_an_email_with_its_recipients(
    server: InboundServer, account: Account, database: Database
) -> None:
    message = EmailMessage()
    message["From"], message["To"], message["Cc"] = "Shop <orders@shop.example>", "ann@x.example", "cee@y.example"
    message["Subject"] = "Grüße"
    message.set_content("Hello")

    def talk(client: smtplib.SMTP) -> dict[str, tuple[int, bytes]]:
        client.login("apikey", account.key)
        return client.send_message(message, to_addrs=["ann@x.example", "cee@y.example", "bea@x.example"])

    assert await talk_to(server.submission, talk) == {}
    [(subject, sender, to, cc, bcc, lane)] = await rows(
        database,
        'SELECT subject, sender, "to", cc, bcc, lane FROM emails WHERE application_id = %s',
        account.application_id,
    )
    assert (subject, sender, to) == ("Grüße", "Shop <orders@shop.example>", ["ann@x.example"])
    assert (cc, bcc, lane) == (["cee@y.example"], ["bea@x.example"], "transactional")
    queued = await rows(database, "SELECT recipient, destination, lane FROM delivery_queue ORDER BY position")
    assert queued == [
        ("ann@x.example", "x.example", "transactional"),
        ("cee@y.example", "y.example", "transactional"),
        ("bea@x.example", "x.example", "transactional"),
    ]
    [(raw,)] = await rows(database, "SELECT raw FROM contents")
    assert isinstance(raw, bytes)
    assert b"bea@" not in raw
    assert raw.startswith(b"Received: by mail.shop.example")


async def test_the_reply_names_the_email(server: InboundServer, account: Account, database: Database) -> None:
    code, text = await _send(server, account.key, _mail())
    [(email_id,)] = await rows(database, "SELECT id FROM emails")
    assert (code, text) == (250, f"2.0.0 Ok: queued as {email_id}")


async def test_a_mail_by_smtp_begins_its_trace(server: InboundServer, account: Account) -> None:
    with noting(1.0) as spans:
        _, text = await _send(server, account.key, _mail())
    (accept,) = spans
    assert accept.place == tracing.root(UUID(text.rpartition(" ")[2]))
    assert (accept.name, accept.parent, accept.links) == ("accept", 0, ())


async def test_a_topic_decides_the_stream(server: InboundServer, account: Account, database: Database) -> None:
    async with database.transaction() as connection:
        news = await topics.create(connection, NewTopic(account.application_id, "News", Subscription.OPT_IN))
    code, text = await _send(server, account.key, _mail("orders@shop.example", f"X-Postlane-Topic: {news.id}"))

    assert code == 250, text
    assert await rows(database, "SELECT lane, topic_id FROM emails") == [("marketing", news.id)]
    for header, reason in (
        (f"X-Postlane-Topic: {news.id}\r\nX-Postlane-Stream: transactional", "marketing stream"),
        (f"X-Postlane-Topic: {account.domain_id}", "There is no such topic"),
        ("X-Postlane-Topic: Newz", "There is no such topic"),
    ):
        code, text = await _send(server, account.key, _mail("orders@shop.example", header))
        assert (code, "X-Postlane-Topic" in text, reason.lower() in text.lower()) == (550, True, True), text


async def test_stream_and_pool(server: InboundServer, account: Account, database: Database) -> None:
    headers = ("X-Postlane-Stream: marketing", "X-Postlane-Pool: bulk")
    assert (await _send(server, account.key, _mail("a@shop.example", *headers)))[0] == 250
    [(lane, pool)] = await rows(database, "SELECT e.lane, p.name FROM emails e JOIN pools p ON p.id = e.pool_id")
    assert (lane, pool) == ("marketing", "bulk")
    for wrong in (("X-Postlane-Pool: bulk",), ("X-Postlane-Stream: marketing", "X-Postlane-Pool: none")):
        code, text = await _send(server, account.key, _mail("a@shop.example", *wrong))
        assert (code, text[:5]) == (550, "5.6.0")
    assert await rows(database, "SELECT count(*) FROM emails") == [(1,)]


@pytest.mark.parametrize("sender", ["a@new.example", "a@other.example", "a@sub.shop.example"])
async def test_from_must_be_a_verified_domain(
    server: InboundServer, account: Account, database: Database, sender: str
) -> None:
    code, text = await _send(server, account.key, _mail(sender))
    assert (code, text[:5]) == (550, "5.7.1")
    assert sender.partition("@")[2] in text
    assert await rows(database, "SELECT count(*) FROM emails") == [(0,)]


async def test_a_key_of_one_domain(server: InboundServer, account: Account) -> None:
    assert (await _send(server, account.bound_key, _mail("a@news.shop.example")))[0] == 250
    code, text = await _send(server, account.bound_key, _mail("a@shop.example"))
    assert (code, text[:5]) == (550, "5.7.1")


@pytest.mark.parametrize("head", ["X-Nul: a\0b", "no header", "Message-ID: <" + "x" * 999 + "@shop.example>"])
async def test_content_that_no_server_would_take(
    server: InboundServer, account: Account, database: Database, head: str
) -> None:
    code, text = await _send(server, account.key, _mail("a@shop.example", head))
    assert (code, text[:5]) == (550, "5.6.0")
    assert await rows(database, "SELECT count(*) FROM emails") == [(0,)]


async def test_what_not_every_server_would_take_is_made_so_that_every_server_does(
    server: InboundServer, account: Account, database: Database
) -> None:
    """Long lines, 8-bit text in the header and in the body: stored, and later signed, in 7-bit."""
    mail = _mail("Jürgen <a@shop.example>", "X-Latin: Grüße") + b"x" * 70_000 + " a\0b Grüße\r\n".encode()
    assert (await _send(server, account.key, mail))[0] == 250
    [(raw,)] = await rows(database, "SELECT raw FROM contents")
    assert isinstance(raw, bytes)
    assert (raw.isascii(), max(map(len, raw.split(b"\r\n"))) <= 998) == (True, True)
    parsed = message_from_bytes(raw, policy=policy.SMTP)
    assert (parsed["From"], parsed["X-Latin"]) == ("Jürgen <a@shop.example>", "Grüße")
    assert parsed.get_payload(decode=True) == mail.partition(b"\r\n\r\n")[2]


async def test_a_wrong_key(server: InboundServer, account: Account, database: Database) -> None:
    with pytest.raises(smtplib.SMTPAuthenticationError) as caught:
        await _send(server, account.key + "x", _mail())
    assert caught.value.smtp_code == 535
    assert await rows(database, "SELECT count(*) FROM emails") == [(0,)]


async def test_a_key_that_is_deleted_ends_its_sessions(
    server: InboundServer, account: Account, database: Database
) -> None:
    loop = asyncio.get_running_loop()

    async def revoke() -> None:
        async with database.connection() as connection:
            [*_, key] = (await keys(connection, account.application_id)).entries
            for found in (await keys(connection, account.application_id)).entries:
                await delete_key(connection, account.application_id, found.id)
        assert key.application_id == account.application_id
        server.directory.forget()

    def talk(client: smtplib.SMTP) -> list[int]:
        client.login("apikey", account.key)
        before = offer(client, "a@shop.example", ["ann@x.example"], _mail())[0]
        asyncio.run_coroutine_threadsafe(revoke(), loop).result(10)
        return [before, offer(client, "a@shop.example", ["ann@x.example"], _mail())[0]]

    assert await talk_to(server.submission, talk) == [250, 535]


@pytest.mark.parametrize("header", ["Resend-Idempotency-Key", "X-Postlane-Idempotency-Key"])
async def test_the_same_key_sends_once(
    server: InboundServer, account: Account, database: Database, header: str
) -> None:
    first = await _send(
        server, account.key, _mail("a@shop.example", f"{header}: order-1", "Message-ID: <1@shop.example>")
    )
    again = await _send(
        server, account.key, _mail("a@shop.example", f"{header}: order-1", "Message-ID: <2@shop.example>")
    )
    other = await _send(server, account.key, _mail("b@shop.example", f"{header}: order-1"))
    [(email_id,)] = await rows(database, "SELECT id FROM emails")
    assert first == (250, f"2.0.0 Ok: queued as {email_id}")
    assert again == (250, f"2.0.0 Ok: queued as {email_id}")
    assert other[0] == 550


async def test_the_250_waits_for_the_commit(
    server: InboundServer, account: Account, database: Database, database_url: str
) -> None:
    async with await psycopg.AsyncConnection.connect(database_url) as blocker:
        await blocker.execute("LOCK TABLE delivery_queue IN ACCESS EXCLUSIVE MODE")
        sending = asyncio.create_task(_send(server, account.key, _mail()))
        await waiting_backend(database_url)
        assert not sending.done()
        await blocker.rollback()
        assert (await sending)[0] == 250
    assert await rows(database, "SELECT count(*) FROM delivery_queue") == [(1,)]


async def test_a_killed_database_connection_means_no_250(
    server: InboundServer, account: Account, database: Database, database_url: str
) -> None:
    async with await psycopg.AsyncConnection.connect(database_url) as blocker:
        await blocker.execute("LOCK TABLE delivery_queue IN ACCESS EXCLUSIVE MODE")
        sending = asyncio.create_task(_send(server, account.key, _mail()))
        killed = await waiting_backend(database_url)
        await rows(database, "SELECT pg_terminate_backend(%s)", killed)
        code, text = await sending
        await blocker.rollback()
    assert (code, text[:5]) == (451, "4.3.0")
    for table in ("emails", "contents", "messages", "delivery_queue"):
        assert await rows(database, f"SELECT count(*) FROM {table}") == [(0,)]
    assert (await _send(server, account.key, _mail()))[0] == 250


async def test_two_hundred_mails_at_once(server: InboundServer, account: Account, database: Database) -> None:
    def talk(client: smtplib.SMTP) -> list[int]:
        client.login("apikey", account.key)
        return [offer(client, "a@shop.example", [f"u{n}@x.example"], _mail())[0] for n in range(20)]

    codes = await asyncio.gather(*(talk_to(server.submission, talk) for _ in range(10)))
    assert codes == [[250] * 20] * 10
    assert await rows(database, "SELECT count(*) FROM delivery_queue") == [(200,)]


async def test_smtputf8(server: InboundServer, account: Account, database: Database) -> None:
    def talk(client: smtplib.SMTP) -> tuple[int, str]:
        client.login("apikey", account.key)
        client.docmd("MAIL", "FROM:<a@shop.example> SMTPUTF8 BODY=8BITMIME")
        client.send("RCPT TO:<jürgen@bücher.example>\r\n".encode())
        assert client.getreply()[0] == 250
        code, text = client.data(
            "From: a@shop.example\r\nTo: jürgen@bücher.example\r\nSubject: ü\r\n\r\nü\r\n".encode()
        )
        return code, text.decode()

    assert (await talk_to(server.submission, talk))[0] == 250
    assert await rows(
        database, "SELECT recipient, destination, kind FROM messages JOIN delivery_queue USING (recipient)"
    ) == [("jürgen@xn--bcher-kva.example", "xn--bcher-kva.example", "to")]


async def test_tls_from_the_first_byte(server: InboundServer, account: Account, database: Database) -> None:
    def talk() -> tuple[list[str], tuple[int, str]]:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with smtplib.SMTP_SSL("127.0.0.1", server.submissions.port, context=context, timeout=20) as client:
            client.ehlo()
            offered = [name for name in ("starttls", "auth", "size") if client.has_extn(name)]
            client.login("apikey", account.key)
            return offered, offer(client, "a@shop.example", ["ann@x.example"], _mail())

    offered, (code, text) = await asyncio.to_thread(talk)

    [(email_id,)] = await rows(database, "SELECT id FROM emails")
    assert offered == ["auth", "size"]
    assert (code, text) == (250, f"2.0.0 Ok: queued as {email_id}")


async def test_tags(server: InboundServer, account: Account, database: Database) -> None:
    headers = ("X-Postlane-Tag: campaign=summer", "X-Postlane-Tag: plain", "X-POSTLANE-TAG:  a = b ")
    assert (await _send(server, account.key, _mail("a@shop.example", *headers)))[0] == 250
    [(tags, raw)] = await rows(database, "SELECT e.tags, c.raw FROM emails e JOIN contents c ON c.id = e.content_id")
    assert tags == [["campaign", "summer"], ["plain", ""], ["a", "b"]]
    assert isinstance(raw, bytes)
    assert b"postlane-tag" not in raw.lower()
    code, text = await _send(server, account.key, _mail("a@shop.example", "X-Postlane-Tag: two words=x"))
    assert (code, text[:23]) == (550, "5.6.0 X-Postlane-Tag: i")


async def test_a_test_key_needs_no_verified_domain_and_nothing_leaves(
    server: InboundServer, account: Account, database: Database
) -> None:
    async with database.transaction() as connection:
        _, key = await create_key(connection, KeyRequest(account.application_id, "ci", test=True))
    assert key.startswith("pl_test_")

    assert (await _send(server, key, _mail("a@new.example")))[0] == 250
    assert (await _send(server, key, _mail("a@stranger.example")))[1][:5] == "5.7.1"

    assert await rows(database, "SELECT capture FROM delivery_queue") == [(True,)]
    assert await rows(database, "SELECT capture FROM emails") == [(True,)]


async def test_rules_and_simulated_recipients_hold_over_smtp(
    server: InboundServer, account: Account, database: Database
) -> None:
    async with database.transaction() as connection:
        await capture_rules.add(connection, account.application_id, "*@qa.example")
    to = ("ann@x.example", "any@qa.example", "bounced+1@sandbox.example")

    assert (await _send(server, account.key, _mail(), to))[0] == 250
    assert (await _send(server, account.key, _mail(), ("bounce@sandbox.example",)))[1][:5] == "5.6.0"

    queued = await rows(database, "SELECT recipient, capture FROM delivery_queue ORDER BY position")
    assert queued == list(zip(to, (False, True, True), strict=True))


async def test_a_test_does_not_use_up_the_key_of_the_real_mail(
    server: InboundServer, account: Account, database: Database
) -> None:
    async with database.transaction() as connection:
        _, key = await create_key(connection, KeyRequest(account.application_id, "ci", test=True))
    mail = _mail("a@shop.example", "Resend-Idempotency-Key: order-7")

    replies = [await _send(server, one, mail) for one in (key, account.key, key, account.key)]

    assert [code for code, _ in replies] == [250] * 4
    assert replies[0] == replies[2] != replies[1] == replies[3]
    assert await rows(database, "SELECT capture FROM emails ORDER BY id") == [(True,), (False,)]


async def test_a_topic_by_its_name(server: InboundServer, account: Account, database: Database) -> None:
    async with database.transaction() as connection:
        news = await topics.create(connection, NewTopic(account.application_id, "Product News", Subscription.OPT_IN))
    assert (await _send(server, account.key, _mail("a@shop.example", "X-Postlane-Topic: product news")))[0] == 250
    assert await rows(database, "SELECT topic_id, lane FROM emails") == [(news.id, "marketing")]
    async with database.transaction() as connection:
        twin = await topics.create(connection, NewTopic(account.application_id, "News", Subscription.OPT_IN))
        await connection.execute("UPDATE topics SET name = 'product NEWS' WHERE id = %s", [twin.id])
    code, text = await _send(server, account.key, _mail("b@shop.example", "X-Postlane-Topic: PRODUCT news"))
    assert (code, "by its id" in text) == (550, True)


async def test_a_quota_that_is_used_up_is_temporary(
    server: InboundServer, account: Account, database: Database
) -> None:
    async with database.transaction() as connection:
        await set_quota(connection, account.application_id, Quota(per_day=1))
    assert (await _send(server, account.key, _mail()))[0] == 250
    code, text = await _send(server, account.key, _mail())
    assert (code, text.split()[0]) == (451, "4.7.1")
    assert "0 are left today" in text
