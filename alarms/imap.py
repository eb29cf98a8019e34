"""Where a mail lies in a mailbox, read by IMAP (RFC 9051, and RFC 3501 before it).

The edge of `imaplib`, which is of the standard library and blocks: call it in a thread. The asyncio clients there are
come under the GPL. The mailbox is opened for reading only: nothing is marked, moved or deleted.
"""

import imaplib
import re
import ssl
from collections.abc import Collection, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import Final

from alarms.seeds import Account
from core.errors import UnavailableError
from mta.guard import Guard, reach_in_thread

SECONDS: Final = 20.0
"""For each answer of the server."""
_MOST_FOLDERS: Final = 50
_JUNK: Final = re.compile(r"\b(junk|spam|bulk)\b|unerw|ind[ée]sirable", re.IGNORECASE)
_LINE: Final = re.compile(rb'\((?P<flags>[^)]*)\) (?:"(?:[^"\\]|\\.)*"|NIL) (?P<name>.+)$')
_PASSED_OVER: Final = (b"\\noselect", b"\\nonexistent", b"\\all", b"\\sent", b"\\drafts", b"\\trash", b"\\flagged")


class MailboxError(UnavailableError):
    """The mailbox cannot be read. The text says why, for people."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a mail lies."""

    placement: str
    """`inbox`, `spam` or `other`."""
    folder: str


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder of the mailbox."""

    name: bytes
    """As the server wrote it, quotes included."""
    placement: str


def look_for(account: Account, message_ids: Collection[str], context: ssl.SSLContext, guard: Guard) -> dict[str, Place]:
    """Where these mails lie; one that is nowhere is left out. `guard` says where the mailbox may be. Raises
    MailboxError."""
    try:
        with closing(_logged_in(account, context, guard)) as mailbox:
            return _searched(mailbox.server, set(message_ids))
    except (imaplib.IMAP4.error, OSError, ValueError) as error:
        raise MailboxError(f"{account.host}: {_plain(error)}") from error


class _Mailbox:
    """A session whose socket is closed however it ends."""

    def __init__(self, server: imaplib.IMAP4) -> None:
        self.server = server

    def close(self) -> None:
        try:
            self.server.logout()  # closes it
        except (imaplib.IMAP4.error, OSError):
            with suppress(OSError):
                self.server.shutdown()


class _Guarded(imaplib.IMAP4):
    """A connection to an address that the guard allows."""

    def __init__(self, account: Account, context: ssl.SSLContext, guard: Guard) -> None:
        self._account, self._context, self._guard = account, context, guard
        super().__init__(account.host, account.port, SECONDS)

    def open(self, host: str = "", port: int = 0, timeout: float | None = None) -> None:
        self.host, self.port = host, port
        self.sock = reach_in_thread(self._guard, host, port, timeout or SECONDS)
        if self._account.tls == "tls":
            self.sock = self._context.wrap_socket(self.sock, server_hostname=host)
        self.file = self.sock.makefile("rb")


def _logged_in(account: Account, context: ssl.SSLContext, guard: Guard) -> _Mailbox:
    server = _Guarded(account, context, guard)
    try:
        if account.tls == "starttls":
            server.starttls(context)
        server.login(account.login, account.password)
    except BaseException:
        server.shutdown()
        raise
    return _Mailbox(server)


def _searched(server: imaplib.IMAP4, wanted: set[str]) -> dict[str, Place]:
    """The inbox first, then spam, then the others; each until all are found."""
    found: dict[str, Place] = {}
    for folder in _folders(server):
        if not wanted - found.keys():
            break
        answer, _ = server.select(folder.name.decode("ascii", "replace"), readonly=True)
        if answer != "OK":
            continue
        name = folder.name.strip(b'"').decode("ascii", "replace")
        for message_id in wanted - found.keys():
            if _holds(server, message_id):
                found[message_id] = Place(folder.placement, name)
    return found


def _holds(server: imaplib.IMAP4, message_id: str) -> bool:
    quoted = message_id.replace("\\", "\\\\").replace('"', '\\"')
    answer, numbers = server.search(None, "HEADER", "Message-ID", f'"{quoted}"')
    return answer == "OK" and bool(numbers and numbers[0] and numbers[0].split())


def _folders(server: imaplib.IMAP4) -> list[Folder]:
    answer, lines = server.list()
    if answer != "OK":
        raise imaplib.IMAP4.error("it does not list its folders")
    order = ("inbox", "spam", "other")
    found = [*_read(line for line in lines if isinstance(line, bytes))]
    return sorted(found, key=lambda folder: order.index(folder.placement))[:_MOST_FOLDERS]


def _read(lines: Iterator[bytes]) -> Iterator[Folder]:
    """Folders of LIST lines, by their special use (RFC 6154), else by their name."""
    for line in lines:
        match = _LINE.search(line)
        if match is None:
            continue
        flags, name = match["flags"].lower().split(), match["name"].strip()
        plain = name.strip(b'"')
        if plain.upper() == b"INBOX":
            yield Folder(name, "inbox")
        elif b"\\junk" in flags or _JUNK.search(plain.decode("ascii", "replace")):
            yield Folder(name, "spam")
        elif not set(flags) & set(_PASSED_OVER):
            yield Folder(name, "other")


def _plain(error: Exception) -> str:
    text = str(error.args[0]) if error.args else type(error).__name__
    if isinstance(error, OSError) and error.strerror:
        text = error.strerror
    return re.sub(r"^b'(.*)'$", r"\1", text)[:300]
