"""Mail about alarms through somebody's authenticated server: the edge of aiosmtplib."""

import ssl
from datetime import datetime
from email.message import EmailMessage
from email.utils import format_datetime, make_msgid
from typing import Final

import aiosmtplib

from alarms.mail_settings import Smarthost
from alarms.telling import Letter
from core.errors import UnavailableError

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


async def send(server: Smarthost, mail: EmailMessage, context: ssl.SSLContext | None = None) -> None:
    """Hand it over. Raises NotSentError."""
    try:
        await aiosmtplib.send(
            mail,
            hostname=server.host,
            port=server.port,
            username=server.login or None,
            password=server.password or None,
            use_tls=server.tls == "tls",
            start_tls=server.tls == "starttls",
            tls_context=context,
            timeout=SECONDS,
        )
    except (aiosmtplib.SMTPException, OSError, ValueError) as error:
        raise NotSentError(f"{server.host}: {' '.join(str(error).split())[:400]}") from error
