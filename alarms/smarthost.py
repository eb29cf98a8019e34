"""Mail about alarms through somebody's authenticated server: the edge of aiosmtplib."""

import socket
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from email.message import EmailMessage
from email.utils import format_datetime, make_msgid
from typing import Final

import aiosmtplib

from alarms.mail_settings import Smarthost
from alarms.telling import Letter
from core.addresses import parse_mailbox
from core.errors import UnavailableError
from mta.guard import Guard, reach

SECONDS: Final = 20.0


class NotSentError(UnavailableError):
    """The server did not take it. The text says why."""


def message(letter: Letter, sender: str, recipients: tuple[str, ...], at: datetime, hostname: str) -> EmailMessage:
    """The mail as it is sent. It says that it was made by a machine, so that nobody's absence note answers."""
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = sender, ", ".join(recipients), letter.subject
    mail["Date"], mail["Message-ID"] = format_datetime(at), make_msgid(domain=hostname)
    mail["Auto-Submitted"], mail["X-Auto-Response-Suppress"] = "auto-generated", "All"
    mail.set_content(letter.text)
    return mail


async def send(server: Smarthost, mail: EmailMessage, guard: Guard, context: ssl.SSLContext | None = None) -> None:
    """Hand it over. `guard` says where the server may be. Raises NotSentError."""
    async with _session(server, guard, context) as session:
        await session.send_message(mail)


async def check(
    server: Smarthost, sender: str, recipients: Sequence[str], guard: Guard, context: ssl.SSLContext | None = None
) -> None:
    """Go the whole way but for the mail itself. Raises NotSentError."""
    async with _session(server, guard, context) as session:
        await session.mail(parse_mailbox(sender).wire)
        for one in recipients:
            await session.rcpt(parse_mailbox(one).wire)
        await session.rset()


@asynccontextmanager
async def _session(server: Smarthost, guard: Guard, context: ssl.SSLContext | None) -> AsyncIterator[aiosmtplib.SMTP]:
    """Connected and logged in. Raises NotSentError for whatever goes wrong within."""
    try:
        async with _client(server, await reach(guard, server.host, server.port, SECONDS), context) as session:
            yield session
    except (aiosmtplib.SMTPException, OSError, ValueError) as error:
        raise NotSentError(f"{server.host}: {' '.join(str(error).split())[:400]}") from error


def _client(server: Smarthost, reached: socket.socket, context: ssl.SSLContext | None) -> aiosmtplib.SMTP:
    return aiosmtplib.SMTP(
        hostname=server.host,
        sock=reached,
        username=server.login or None,
        password=server.password or None,
        use_tls=server.tls == "tls",
        start_tls=server.tls == "starttls",
        tls_context=context,
        timeout=SECONDS,
    )
