"""AUTH as different clients write it, STARTTLS, and commands sent without waiting for the answers."""

import asyncio
import base64
import re
import smtplib
import socket
import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mta.inbound import ServerOptions, SubmissionHandler
from mta.inbound_gate import Gate
from mta.inbound_server import Listener
from mta.server_certificate import server_context
from tests.unit.mta.inbound.conftest import KEY, LIMITS, TOKEN, Desk, client_of, raw_talk, troubles


def _b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


PLAIN = _b64(f"\0x\0{KEY}")
LOG_INS = [
    ([f"AUTH PLAIN {PLAIN}"], 235),
    ([f"auth plain {PLAIN}"], 235),
    (["AUTH PLAIN", PLAIN], 235),
    (["AUTH Plain", PLAIN], 235),
    (["AUTH LOGIN", _b64("x"), _b64(KEY)], 235),
    ([f"AUTH login {_b64('x')}", _b64(KEY)], 235),
    (["AUTH Login", "", _b64(KEY)], 235),
    (["AUTH LOGIN =", _b64(KEY)], 235),
    (["AUTH LOGIN", _b64("x"), _b64("wrong")], 535),
    (["AUTH LOGIN", _b64("x"), ""], 535),
    (["AUTH PLAIN", ""], 501),
    (["AUTH PLAIN ="], 501),
    (["AUTH PLAIN", "*"], 501),
    (["AUTH LOGIN", _b64("x"), "*"], 501),
    (["AUTH LOGIN", "*"], 501),
    (["AUTH LOGIN", "\N{SNOWMAN}"], 501),
    (["AUTH PLAIN \N{SNOWMAN}"], 501),
    (["AUTH CRAM-MD5"], 504),
    (["AUTH"], 501),
    (["AUTH  "], 501),
    (["AUTH PLAIN a b c"], 501),
]


@pytest.mark.parametrize(("lines", "code"), LOG_INS)
async def test_log_in_as_clients_write_it(submission: Listener, lines: list[str], code: int) -> None:
    def talk(client: smtplib.SMTP) -> tuple[list[int], bytes]:
        client.command_encoding = "utf-8"
        client.ehlo()
        replies = [client.docmd(line) for line in lines]
        # Whatever the log-in ended in, the session goes on.
        assert client.noop()[0] == 250
        return [reply[0] for reply in replies], replies[-1][1]

    codes, text = await client_of(submission, talk)
    assert codes == [334] * (len(lines) - 1) + [code]
    assert text[:1] == str(code)[:1].encode()


async def test_a_log_in_without_end_ends_the_session(submission: Listener) -> None:
    replies = await raw_talk(submission, b"EHLO me\r\nAUTH PLAIN\r\n" + b"x" * 100_000)
    assert replies.splitlines()[-1] == b"500 5.5.6 The line is too long"


async def test_what_is_offered(submission: Listener, bounces: Listener) -> None:
    def offers(client: smtplib.SMTP) -> dict[str, str]:
        client.ehlo()
        return client.esmtp_features

    features = await client_of(submission, offers)
    assert {"pipelining", "8bitmime", "smtputf8", "enhancedstatuscodes"} <= features.keys()
    assert (features["size"], features["auth"].split()) == ("20000", ["LOGIN", "PLAIN"])
    reporting = await client_of(bounces, offers)
    assert {"pipelining", "8bitmime", "smtputf8", "enhancedstatuscodes"} <= reporting.keys()
    assert not {"auth", "starttls"} & reporting.keys()


async def test_every_reply_has_an_enhanced_code(submission: Listener) -> None:
    lines = ["MAIL FROM:<a@x.example>", "RCPT TO:<a@x.example>", "DATA", "DATA x", "NOPE", "RSET x", "RSET", "NOOP",
             "VRFY a@x.example", "VRFY", "EXPN a", "HELP", "MAIL", "MAIL FROM:<a@x.example> SIZE=99999999", "STARTTLS",
             "MAIL FROM:<", "AUTH X", "\N{SNOWMAN}", "MAIL FROM:<a@x> FOO=1"]  # fmt: skip

    def talk(client: smtplib.SMTP) -> list[bytes]:
        client.command_encoding = "utf-8"
        client.ehlo()
        return [client.docmd(line)[1] for line in lines] + [client.quit()[1]]

    for text in await client_of(submission, talk):
        assert re.match(rb"[245]\.\d\.\d+ ", text), text


async def test_a_whole_session_in_one_packet(submission: Listener, desk: Desk) -> None:
    """Several mails, a refused recipient between, and QUIT, sent without waiting for one answer."""
    one = (
        "MAIL FROM:<a@x.example>\r\nRCPT TO:<b@x.example>\r\nRCPT TO:<c@localhost>\r\nRCPT TO:<d@x.example>\r\nDATA\r\n"
    )
    mail = "Subject: 1\r\n\r\n..dot\r\n.\r\n"
    sent = f"EHLO me\r\nAUTH PLAIN {PLAIN}\r\n{one}{mail}RSET\r\n{one}.\r\n{one}\r\n.\r\nQUIT\r\n"
    replies = await raw_talk(submission, sent.encode(), half_close=True)
    codes = [line[:3] for line in replies.splitlines() if line[3:4] == b" "]
    taken = [b"250", b"250", b"553", b"250", b"354", b"250"]
    assert codes == [b"220", b"250", b"235", *taken, b"250", *taken, *taken, b"221"]
    assert [(mail.recipients, mail.content) for _, mail in desk.mails] == [
        (("b@x.example", "d@x.example"), b"Subject: 1\r\n\r\n.dot\r\n"),
        (("b@x.example", "d@x.example"), b""),
        (("b@x.example", "d@x.example"), b"\r\n"),
    ]


@pytest.fixture
async def secured(desk: Desk, tmp_path: Path) -> AsyncIterator[Listener]:
    tls = server_context(tmp_path / "inbound.pem", "127.0.0.1", datetime.now(UTC))
    listener = Listener(
        SubmissionHandler(desk.log_in, desk.submit, 100), ServerOptions("mail.test", 20_000, tls), Gate(LIMITS)
    )
    await listener.start("127.0.0.1", 0)
    yield listener
    await listener.stop(0.2)


async def test_commands_behind_starttls_are_thrown_away(secured: Listener) -> None:
    """RFC 3207 section 6: what an attacker puts in front of the handshake must not be answered inside it."""

    def talk() -> tuple[bytes, bytes]:
        with socket.create_connection(("127.0.0.1", secured.port), timeout=5) as plain:
            plain.recv(200)
            plain.sendall(b"EHLO me\r\n")
            while b"250 HELP" not in plain.recv(1000):
                pass
            plain.sendall(b"STARTTLS\r\nEHLO injected\r\nNOOP\r\n")
            ready = plain.recv(200)
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            with context.wrap_socket(plain) as inside:
                inside.sendall(b"MAIL FROM:<a@x.example>\r\n")
                return ready, inside.recv(200)

    ready, first = await asyncio.to_thread(talk)
    assert ready.count(b"\r\n") == 1
    assert (first[:4], first.count(b"\r\n")) == (b"503 ", 1)  # the EHLO before TLS is forgotten too


async def test_tls_inside_tls_is_refused(secured: Listener) -> None:
    def talk(client: smtplib.SMTP) -> list[int]:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        client.starttls(context=context)
        return [client.docmd("STARTTLS")[0], client.noop()[0]]

    assert await client_of(secured, talk) == [503, 250]


@pytest.mark.parametrize("sent", [b"", b"\x16\x03\x01", b"GET / HTTP/1.0\r\n\r\n", b"\0" * 100, b"QUIT\r\n"])
@pytest.mark.parametrize("resets", [False, True])
async def test_a_broken_handshake_is_no_error(
    secured: Listener, sent: bytes, resets: bool, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    await raw_talk(secured, b"EHLO me\r\nSTARTTLS\r\n", until=b"220 2.0.0", then=sent, resets=resets)
    async with asyncio.timeout(5):
        while secured.connections:
            await asyncio.sleep(0.01)
    assert troubles(caplog) == []
    assert "Traceback" not in "".join(capfd.readouterr())


async def test_a_client_that_speaks_plainly_is_told_so(secured: Listener) -> None:
    replies = await raw_talk(secured, f"EHLO me\r\nAUTH PLAIN {PLAIN}\r\nQUIT\r\n".encode())
    assert b"\r\n538 5.7.11 " in replies


async def test_reports_in_one_packet(bounces: Listener, desk: Desk) -> None:
    sent = f"HELO me\r\nMAIL FROM:<>\r\nRCPT TO:<{TOKEN}>\r\nDATA\r\nx\r\n.\r\n" * 3 + "QUIT\r\n"
    replies = await raw_talk(bounces, sent.encode())
    assert replies.count(b"250 2.0.0 Stored") == 3
    assert desk.bounces == [(TOKEN, b"x\r\n")] * 3
