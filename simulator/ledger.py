"""A file with one line per accepted mail and recipient, for tests that count losses and repeats.

Line: Message-ID, recipient, client, when it was taken and when its MAIL command came, in seconds since the epoch;
separated by tabs, ended by LF, UTF-8. Lines are gathered and appended at least every 100 ms while there are any, so
that a reader lags by no more. Written by `simulator/mailroom.py`; read with `read_ledger`.
"""

import asyncio
import os
import re
from dataclasses import dataclass
from pathlib import Path

FLUSH_SECONDS = 0.1
_MESSAGE_ID = re.compile(rb"^message-id:\s*(<[^<>\s]+>)", re.IGNORECASE | re.MULTILINE)


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """One delivery to one recipient."""

    message_id: str
    recipient: str
    client: str
    at: float
    mail_at: float
    """When its MAIL command came: from here on the sender cannot take it back."""


class Ledger:
    """Appends to one file from within a running event loop. `close` writes what is left."""

    def __init__(self, path: Path) -> None:
        """Opens (and makes) the file; raises OSError when that is impossible."""
        self.path = path
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        self._lines: list[str] = []
        self._timer: asyncio.TimerHandle | None = None

    def record(self, entry: LedgerEntry) -> None:
        """Take down one delivery; it is in the file at most 100 ms later."""
        times = f"{entry.at:.6f}\t{entry.mail_at:.6f}"
        self._lines.append(f"{entry.message_id}\t{entry.recipient}\t{entry.client}\t{times}\n")
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(FLUSH_SECONDS, self.flush)

    def flush(self) -> None:
        """Append all lines taken down so far."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._lines:
            return
        data = memoryview("".join(self._lines).encode("utf-8", "replace"))
        self._lines.clear()
        while data:
            data = data[os.write(self._file, data) :]

    def close(self) -> None:
        """Append what is left and give the file back."""
        self.flush()
        os.close(self._file)


def read_ledger(path: Path) -> list[LedgerEntry]:
    """All complete lines of a ledger file; a line still being written is left out."""
    text = path.read_text("utf-8")
    entries = []
    for line in text.split("\n")[:-1]:
        message_id, recipient, client, at, mail_at = line.split("\t")
        entries.append(LedgerEntry(message_id, recipient, client, float(at), float(mail_at)))
    return entries


def message_id_of(data: bytes) -> str:
    """The Message-ID with its angle brackets, or "" if the header has none."""
    end = data.find(b"\r\n\r\n")
    found = _MESSAGE_ID.search(data, 0, end if end >= 0 else len(data))
    return found[1].decode("utf-8", "replace") if found else ""
