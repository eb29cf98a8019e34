"""Programs that others have written, against SMTP submission: Nodemailer, a client that writes as .NET does.

swaks and Postfix are in files of their own: they come with packages that take root to install.
"""

import asyncio
import base64
import json
import shutil
import socket
import ssl
from pathlib import Path

import pytest

from core.settings import Settings
from store.database import Database
from tests.clients.node import installed, run
from tests.integration.inbound.certificate import certificate
from tests.integration.inbound.conftest import Account, rows
from workers.inbound import InboundServer

pytestmark = pytest.mark.timeout(300)

NODEMAILER = Path(__file__).parents[2] / "clients" / "nodemailer"


async def test_nodemailer(
    server: InboundServer, account: Account, settings: Settings, database: Database, tmp_path: Path
) -> None:
    folder = await asyncio.to_thread(installed, NODEMAILER)
    script = Path(shutil.copy(NODEMAILER / "send.mjs", tmp_path))
    (tmp_path / "node_modules").symlink_to(folder / "node_modules")
    env = {
        "KEY": account.key,
        "CERTIFICATE": str(certificate(settings, tmp_path)),
        "SUBMISSION_PORT": str(server.submission.port),
        "SUBMISSIONS_PORT": str(server.submissions.port),
    }

    replies = json.loads(await asyncio.to_thread(run, "node", str(script), cwd=tmp_path, env=env))

    stored = await rows(database, 'SELECT id, lane, subject, "to", cc, bcc, tags FROM emails ORDER BY id')
    assert [one["rejected"] for one in replies] == [[], []]
    assert [one["reply"] for one in replies] == [f"250 2.0.0 Ok: queued as {row[0]}" for row in stored]
    to = ["Änne <ann@x.example>", "bob@x.example"]
    tags = [["campaign", "summer"], ["wave", "2"]]
    assert {json.dumps(row[1:]) for row in stored} == {
        json.dumps(("marketing", "Grüße ✓", to, ["cee@y.example"], ["dan@z.example"], tags))
    }


async def test_a_client_that_writes_as_dotnet_does(
    server: InboundServer, account: Account, settings: Settings, database: Database, tmp_path: Path
) -> None:
    """System.Net.Mail: AUTH with a lower-case mechanism and the name in the same line, no space behind the colon, one
    command at a time; here all commands in lower case, which is the same to SMTP (RFC 5321 section 2.4)."""
    trusted = ssl.create_default_context(cafile=certificate(settings, tmp_path))

    def talk() -> list[str]:
        plain = socket.create_connection(("127.0.0.1", server.submission.port), timeout=20)
        replies = [_say(plain, None), _say(plain, "ehlo desk"), _say(plain, "starttls")]
        with trusted.wrap_socket(plain, server_hostname="127.0.0.1") as line:
            replies += [
                _say(line, text)
                for text in (
                    "ehlo desk", f"auth login {_base64('apikey')}", _base64(account.key),
                    "mail from:<orders@shop.example>", "rcpt to:<ann@x.example>", "data",
                    "mime-version: 1.0\r\nfrom: orders@shop.example\r\nto: ann@x.example\r\n"
                    "subject: Order\r\n"
                    "x-postlane-stream: marketing\r\ncontent-type: text/plain; charset=us-ascii\r\n\r\nHello\r\n.",
                    "quit",
                )
            ]  # fmt: skip
        return replies

    replies = await asyncio.to_thread(talk)

    [(email_id, lane)] = await rows(database, "SELECT id, lane FROM emails")
    assert " ".join(reply[:3] for reply in replies) == "220 250 220 250 334 235 250 250 354 250 221"
    assert (replies[-2], lane) == (f"250 2.0.0 Ok: queued as {email_id}", "marketing")


def _say(line: socket.socket, text: str | None) -> str:
    """A command, and the last line of its reply."""
    if text is not None:
        line.sendall(f"{text}\r\n".encode())
    answer = b""
    while not answer.endswith(b"\r\n") or answer.splitlines()[-1][3:4] == b"-":
        piece = line.recv(4096)
        assert piece, answer
        answer += piece
    return answer.decode().splitlines()[-1]


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
