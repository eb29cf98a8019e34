"""The two command lines of an envelope, what may not stand in one, and its data as DATA wants it. Pure."""

import re
from typing import Final

from core.errors import PostlaneError
from mta.model import Envelope, Phase, Response, Trouble
from mta.reply_parser import Features

_ADDRESS: Final = re.compile(r"[^\x00-\x20\x7f<>\ud800-\udfff]*")


class UnsendableError(PostlaneError):
    """No server can be given this envelope: an address that would smuggle a command, data without an end. Whatever made
    it is at fault, and trying again cannot help."""


def opening(envelope: Envelope, features: Features) -> tuple[bytes, bytes] | Response:
    """The MAIL and RCPT lines, with the parameters that are needed and offered. UnsendableError as for `send`."""
    require(_ADDRESS, envelope.mail_from, "return path")
    require(_ADDRESS, envelope.rcpt_to or "<>", "recipient")
    if not envelope.data.endswith(b"\r\n"):
        raise UnsendableError("the data of an envelope must end in CRLF")
    mail = f"MAIL FROM:<{envelope.mail_from}>"
    if features.size:
        mail += f" SIZE={envelope.size}"
    if features.eight_bit and not envelope.data.isascii():
        mail += " BODY=8BITMIME"
    if envelope.smtputf8 or not (envelope.mail_from.isascii() and envelope.rcpt_to.isascii()):
        if not features.smtputf8:
            return Response(Phase.MAIL, text="the server does not offer SMTPUTF8", trouble=Trouble.NO_SMTPUTF8)
        mail += " SMTPUTF8"
    return f"{mail}\r\n".encode(), f"RCPT TO:<{envelope.rcpt_to}>\r\n".encode()


def stuffed(data: bytes) -> bytes:
    """With a second dot where a line begins with one (RFC 5321 section 4.5.2)."""
    if data.rfind(b"\r\n.") >= 0:  # from the end, because that takes half the time
        data = data.replace(b"\r\n.", b"\r\n..")
    return b"." + data if data.startswith(b".") else data


def require(allowed: re.Pattern[str], value: str, what: str) -> None:
    """Raises UnsendableError for a value that could smuggle a command."""
    if allowed.fullmatch(value) is None:
        raise UnsendableError(f"{what} {value!r} may not stand in an SMTP command")
