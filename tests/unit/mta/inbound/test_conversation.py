"""The SMTP conversation of both listeners, by real clients over loopback; what stores mail is a list."""

import asyncio
import base64
import contextlib
import smtplib
import socket
import ssl
from datetime import UTC, datetime
from pathlib import Path

import pytest

from core.errors import ConfigurationError
from mta.inbound import ServerOptions, SubmissionHandler, SubmittedMail
from mta.inbound_gate import Gate, GateLimits
from mta.inbound_reports import BOUNCE_BYTES
from mta.inbound_server import Listener
from mta.server_certificate import server_context
from tests.unit.mta.inbound.conftest import KEY, LIMITS, OTHER, TOKEN, Desk, client_of


def _send(client: smtplib.SMTP) -> dict[str, tuple[int, bytes]]:
    client.login("anybody", KEY)
    return client.sendmail("me@shop.example", ["a@x.example", "b@y.example"], b"Subject: hi\r\n\r\n.dot\r\n")


async def test_a_mail_is_handed_over(submission: Listener, desk: Desk) -> None:
    assert await client_of(submission, _send) == {}
    assert desk.mails == [("app", SubmittedMail(("a@x.example", "b@y.example"), b"Subject: hi\r\n\r\n.dot\r\n"))]


@pytest.mark.parametrize("method", ["auth_plain", "auth_login"])
async def test_both_mechanisms(submission: Listener, method: str) -> None:
    def talk(client: smtplib.SMTP) -> tuple[int, bytes]:
        client.ehlo()
        client.user, client.password = "x", KEY
        return client.auth(method.removeprefix("auth_"), getattr(client, method))

    code, _ = await client_of(submission, talk)
    assert code == 235


async def test_a_wrong_key(submission: Listener, desk: Desk) -> None:
    def talk(client: smtplib.SMTP) -> smtplib.SMTPAuthenticationError:
        with pytest.raises(smtplib.SMTPAuthenticationError) as caught:
            client.login("x", "pl_wrong")
        return caught.value

    error = await client_of(submission, talk)
    assert error.smtp_code == 535
    assert b"5.7.8" in error.smtp_error
    assert desk.mails == []


async def test_log_in_while_the_database_is_away(submission: Listener, desk: Desk) -> None:
    desk.away = True

    def talk(client: smtplib.SMTP) -> tuple[int, bytes]:
        client.ehlo()
        return client.docmd("AUTH", "PLAIN " + base64.b64encode(b"\0x\0" + KEY.encode()).decode())

    code, text = await client_of(submission, talk)
    assert (code, text[:5]) == (454, b"4.7.0")


async def test_nothing_without_a_log_in(submission: Listener, desk: Desk) -> None:
    def talk(client: smtplib.SMTP) -> list[int]:
        client.ehlo()
        return [client.mail("me@shop.example")[0], client.rcpt("a@x.example")[0], client.docmd("DATA")[0]]

    assert await client_of(submission, talk) == [530, 503, 503]
    assert desk.mails == []


@pytest.mark.parametrize(
    "parameters", ["AUTH=<>", "AUTH=me@shop.example SIZE=100", "SIZE=100 AUTH=<> BODY=8BITMIME", "BODY=8BITMIME"]
)
async def test_what_postfix_adds_to_mail_from(submission: Listener, parameters: str) -> None:
    def talk(client: smtplib.SMTP) -> tuple[int, bytes]:
        client.login("x", KEY)
        return client.docmd(f"MAIL FROM:<me@shop.example> {parameters}")

    assert (await client_of(submission, talk))[0] == 250


async def test_bad_recipients_are_refused_one_by_one(submission: Listener, desk: Desk) -> None:
    def talk(client: smtplib.SMTP) -> dict[str, tuple[int, bytes]]:
        client.login("x", KEY)
        return client.sendmail("me@shop.example", ["a@x.example", "b@localhost", "c@x..y"], b"Subject: hi\r\n\r\n")

    refused = await client_of(submission, talk)
    assert {address: code for address, (code, _) in refused.items()} == {"b@localhost": 553, "c@x..y": 553}
    assert desk.mails[0][1].recipients == ("a@x.example",)


async def test_a_hundred_recipients_and_one(submission: Listener, desk: Desk) -> None:
    """Who is named again in another case is no further recipient: RCPT says 250, and the mail has a hundred."""
    receivers = [f"u{n}@x.example" for n in range(100)]

    def talk(client: smtplib.SMTP) -> dict[str, tuple[int, bytes]]:
        client.login("x", KEY)
        return client.sendmail(
            "me@shop.example", [*receivers, "u100@x.example", "U7@X.example"], b"Subject: hi\r\n\r\n"
        )

    refused = await client_of(submission, talk)
    assert {address: code for address, (code, _) in refused.items()} == {"u100@x.example": 452}
    assert desk.mails[0][1].recipients == tuple(receivers)


async def test_a_mail_that_is_too_large(submission: Listener, desk: Desk) -> None:
    def announced(client: smtplib.SMTP) -> tuple[int, bytes]:
        client.login("x", KEY)
        return client.docmd("MAIL FROM:<me@shop.example> SIZE=20001")

    def silently(client: smtplib.SMTP) -> tuple[int, bytes]:
        client.login("x", KEY)
        client.mail("me@shop.example")
        client.rcpt("a@x.example")
        return client.data(b"Subject: hi\r\n\r\n" + b"x" * 70 + b"\r\n" + (b"y" * 70 + b"\r\n") * 300)

    for talk in (announced, silently):
        code, text = await client_of(submission, talk)
        assert (code, text[:5]) == (552, b"5.3.4")
    assert desk.mails == []


async def test_after_a_mail_that_is_too_large_the_next_is_taken(submission: Listener, desk: Desk) -> None:
    def talk(client: smtplib.SMTP) -> list[int]:
        client.login("x", KEY)
        codes = []
        for size in (20_001, 20_000):
            client.mail("me@shop.example")
            client.rcpt("a@x.example")
            codes.append(client.data(b"x" * (size - 2) + b"\r\n")[0])
        return codes

    assert await client_of(submission, talk) == [552, 250]
    assert [len(mail.content) for _, mail in desk.mails] == [20_000]


async def test_no_250_when_it_cannot_be_stored(submission: Listener, desk: Desk) -> None:
    def talk(client: smtplib.SMTP) -> list[tuple[int, bytes]]:
        client.login("x", KEY)
        answers = []
        for trouble in ("away", "bug"):
            desk.away, desk.bug = trouble == "away", trouble == "bug"
            client.mail("me@shop.example")
            client.rcpt("a@x.example")
            answers.append(client.data(b"Subject: hi\r\n\r\n"))
        return answers

    assert [(code, text[:5]) for code, text in await client_of(submission, talk)] == [(451, b"4.3.0")] * 2


async def test_many_mails_on_one_connection(submission: Listener, desk: Desk) -> None:
    def talk(client: smtplib.SMTP) -> None:
        client.login("x", KEY)
        for n in range(60):
            client.sendmail("me@shop.example", ["a@x.example"], f"Subject: {n}\r\n\r\n".encode())

    await client_of(submission, talk)
    assert len(desk.mails) == 60


async def test_starttls_before_a_key_is_taken(desk: Desk, tmp_path: Path) -> None:
    tls = server_context(tmp_path / "inbound.pem", "127.0.0.1", datetime.now(UTC))
    options = ServerOptions("mail.test", 20_000, tls, plain_log_in=False)
    listener = Listener(SubmissionHandler(desk.log_in, desk.submit, 100), options, Gate(LIMITS))
    await listener.start("127.0.0.1", 0)

    def talk(client: smtplib.SMTP) -> tuple[bool, int, str]:
        client.ehlo()
        offered = client.has_extn("auth")
        refused, _ = client.docmd("AUTH", "PLAIN " + base64.b64encode(b"\0x\0" + KEY.encode()).decode())
        context = ssl.create_default_context(cafile=str(tmp_path / "inbound.pem"))
        client.starttls(context=context)
        _send(client)
        assert isinstance(client.sock, ssl.SSLSocket)
        version = str(client.sock.version())
        client.quit()
        return offered, refused, version

    offered, refused, version = await client_of(listener, talk)
    await listener.stop(0.2)
    assert (offered, refused) == (False, 538)
    assert version in ("TLSv1.2", "TLSv1.3")
    assert len(desk.mails) == 1


@pytest.mark.parametrize("name", ["mail.test", "localhost", "127.0.0.1", "::1"])
def test_who_trusts_a_made_certificate_can_verify_it_here(tmp_path: Path, name: str) -> None:
    """Go's net/smtp cannot be told not to verify."""
    server = server_context(tmp_path / "own.pem", "mail.test", datetime.now(UTC))
    client = ssl.create_default_context(cafile=str(tmp_path / "own.pem"))
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = (
        client.wrap_bio(to_client, to_server, server_hostname=name),
        server.wrap_bio(to_server, to_client, server_side=True),
    )
    for _ in range(4):
        for end in ends:
            with contextlib.suppress(ssl.SSLWantReadError):
                end.do_handshake()
    assert ends[0].getpeercert()


async def test_a_made_certificate_is_kept(tmp_path: Path) -> None:
    file = tmp_path / "inbound.pem"
    server_context(file, "mail.test", datetime.now(UTC))
    made = file.read_bytes()
    server_context(file, "mail.test", datetime.now(UTC))
    assert file.read_bytes() == made
    assert file.stat().st_mode & 0o077 == 0
    file.write_text("rubbish")
    with pytest.raises(ConfigurationError, match=r"inbound\.pem"):
        server_context(file, "mail.test", datetime.now(UTC))


async def test_connections_per_address(desk: Desk, options: ServerOptions) -> None:
    gate = Gate(GateLimits(connections=5, connections_per_ip=2, new_per_minute=4))
    listener = Listener(SubmissionHandler(desk.log_in, desk.submit, 100), options, gate)
    await listener.start("127.0.0.1", 0)

    def greetings() -> list[bytes]:
        seen, held = [], []
        for _ in range(3):
            held.append(socket.create_connection(("127.0.0.1", listener.port), timeout=5))
            seen.append(held[-1].recv(200)[:9])
        for client in held:
            client.close()
        return seen

    assert [greeting[:3] for greeting in await asyncio.to_thread(greetings)] == [b"220", b"220", b"421"]
    while gate.open():
        await asyncio.sleep(0.01)
    assert [greeting[:3] for greeting in await asyncio.to_thread(greetings)] == [b"220", b"220", b"421"]
    assert [greeting[:3] for greeting in await asyncio.to_thread(greetings)] == [b"421", b"421", b"421"]
    await listener.stop(0.2)


async def test_a_stop_lets_a_mail_finish(submission: Listener, desk: Desk) -> None:
    desk.gate = asyncio.Event()
    sending = asyncio.create_task(client_of(submission, _send))
    idle = socket.create_connection(("127.0.0.1", submission.port), timeout=5)
    greeting = await asyncio.to_thread(idle.recv, 200)
    while not any(connection.busy for connection in submission.connections):
        await asyncio.sleep(0.01)
    stopping = asyncio.create_task(submission.stop(3.0))
    farewell = await asyncio.to_thread(idle.recv, 200)
    idle.close()
    await asyncio.sleep(0.05)
    assert not sending.done()
    desk.gate.set()
    assert await sending == {}
    await stopping
    assert (greeting[:3], farewell[:3]) == (b"220", b"421")
    assert len(desk.mails) == 1
    assert not submission.connections


async def test_a_stop_does_not_wait_for_ever(submission: Listener, desk: Desk) -> None:
    desk.gate = asyncio.Event()
    sending = asyncio.create_task(client_of(submission, _send))
    while not any(connection.busy for connection in submission.connections):
        await asyncio.sleep(0.01)
    started = asyncio.get_running_loop().time()
    await submission.stop(0.2)
    assert asyncio.get_running_loop().time() - started < 2
    with pytest.raises(smtplib.SMTPServerDisconnected):
        await sending
    assert desk.mails == []


# Bounces


async def test_a_bounce_is_stored_byte_for_byte(bounces: Listener, desk: Desk) -> None:
    raw = b"Subject: failed\r\n\r\n..two dots\r\n.one\r\n" + b"x" * 70_000 + b"\r\n\x00\xff\r\n"
    await client_of(bounces, lambda client: client.sendmail("", [TOKEN], raw))
    assert desk.bounces == [(TOKEN, raw)]


@pytest.mark.parametrize("address", ["b+" + "c" * 48 + "@bounce.shop.example", "info@shop.example", "postmaster@x.y"])
async def test_only_signed_return_paths(bounces: Listener, desk: Desk, address: str) -> None:
    def talk(client: smtplib.SMTP) -> tuple[int, bytes]:
        client.ehlo()
        client.mail("")
        return client.rcpt(address)

    code, text = await client_of(bounces, talk)
    assert (code, text[:5]) == (550, b"5.1.1")


async def test_nobody_logs_in_to_report(bounces: Listener) -> None:
    def talk(client: smtplib.SMTP) -> tuple[bool, int]:
        client.ehlo()
        return client.has_extn("auth"), client.docmd("AUTH", "PLAIN AGEAYg==")[0]

    offered, code = await client_of(bounces, talk)
    assert not offered
    assert code >= 500


async def test_the_beginning_of_a_large_bounce(bounces: Listener, desk: Desk) -> None:
    raw = b"Subject: failed\r\n\r\n" + b"0123456789abcdef\r\n" * 200_000
    await client_of(bounces, lambda client: client.sendmail("", [TOKEN], raw))
    assert [(to, kept == raw[:BOUNCE_BYTES]) for to, kept in desk.bounces] == [(TOKEN, True)]


async def test_an_empty_bounce_and_another_after_it(bounces: Listener, desk: Desk) -> None:
    def talk(client: smtplib.SMTP) -> None:
        client.ehlo()
        for body in (b"", b"x\r\n"):
            client.mail("")
            client.rcpt(TOKEN)
            client.docmd("DATA")
            client.send(body + b".\r\n")
            assert client.getreply()[0] == 250

    await client_of(bounces, talk)
    assert [raw for _, raw in desk.bounces] == [b"", b"x\r\n"]


async def test_bounces_wait_while_the_database_is_away(bounces: Listener, desk: Desk) -> None:
    desk.away = True

    def talk(client: smtplib.SMTP) -> tuple[int, bytes]:
        client.ehlo()
        client.mail("")
        client.rcpt(TOKEN)
        return client.data(b"x")

    code, text = await client_of(bounces, talk)
    assert (code, text[:5]) == (451, b"4.3.0")


async def test_a_desk_takes_what_names_a_mail_of_ours_and_what_does_not(bounces: Listener, desk: Desk) -> None:
    def talk(client: smtplib.SMTP) -> list[int]:
        codes = []
        for body in (f"Original-Mail-From: <{TOKEN.upper()}>".encode(), b"nothing"):
            client.ehlo()
            client.mail("loop@isp.example")
            client.rcpt("FBL@mail.test")
            codes.append(client.data(body + b"\r\n")[0])
        return codes

    assert await client_of(bounces, talk) == [250, 250]
    assert [to for to, _ in desk.bounces] == ["fbl@mail.test"] * 2


async def test_a_flood_at_a_desk_waits_and_others_do_not(bounces: Listener, desk: Desk) -> None:
    """Mail that names none of ours: bounded by its source. Mail about one of ours: by that message."""

    def talk(client: smtplib.SMTP, body: bytes, mails: int) -> list[int]:
        codes = []
        client.ehlo()
        for _ in range(mails):
            client.mail("loop@isp.example")
            client.rcpt("fbl@mail.test")
            codes.append(client.data(body)[0])
        return codes

    strange = await client_of(bounces, lambda client: talk(client, b"nothing", 62))
    about_one = await client_of(bounces, lambda client: talk(client, TOKEN.encode(), 21))
    about_other = await client_of(bounces, lambda client: talk(client, OTHER.encode(), 1))
    assert strange == [250] * 60 + [450] * 2
    assert about_one == [250] * 20 + [450]
    assert about_other == [250]
    assert len(desk.bounces) == 81


async def test_one_address_takes_so_much_an_hour(bounces: Listener, desk: Desk) -> None:
    def talk(client: smtplib.SMTP) -> list[int]:
        codes = []
        for to in [TOKEN] * 21 + [OTHER]:
            client.ehlo_or_helo_if_needed()
            client.mail("")
            codes.append(client.rcpt(to)[0])
            client.rset()
        return codes

    assert await client_of(bounces, talk) == [250] * 20 + [450, 250]


async def test_what_came_together_is_answered_together(bounces: Listener, monkeypatch: pytest.MonkeyPatch) -> None:
    """RFC 2920: in one packet, in order, the refused among them."""
    packets: list[bytes] = []
    write = asyncio.StreamWriter.write
    monkeypatch.setattr(asyncio.StreamWriter, "write", lambda self, data: (packets.append(data), write(self, data))[1])
    reader, writer = await asyncio.open_connection("127.0.0.1", bounces.port)
    await reader.readuntil(b"\r\n")
    writer.write(b"EHLO mx.example\r\n")
    await reader.readuntil(b"250 HELP\r\n")
    commands = (b"MAIL FROM:<>", b"RCPT TO:<%b>" % TOKEN.encode(), b"RCPT TO:<nobody@x.example>", b"RSET", b"NOOP")
    writer.write(b"".join(command + b"\r\n" for command in commands))
    codes = [(await asyncio.wait_for(reader.readline(), 20))[:9] for _ in commands]
    assert codes == [b"250 2.1.0", b"250 2.1.5", b"550 5.1.1", b"250 2.0.0", b"250 2.0.0"]
    assert [packet[:9] for packet in packets if b"HELP" in packet or b"550" in packet] == [b"250-mail.", b"250 2.1.0"]
    writer.close()
    await writer.wait_closed()
