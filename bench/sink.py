"""The receiving end: smtp-sink, which counts, and a small server in this process, which tells when each mail came.

Owns both. smtp-sink (of the postfix package) answers 250 and throws mail away; its running count is what throughput is
read from. `TimedSink` keeps the moment it answered the final dot for each recipient; it is for a few hundred mails a
second. Neither offers TLS; both offer PIPELINING.
"""

import asyncio
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from bench.errors import BenchError
from cli.running.processes import Process, Service
from cli.running.supervisor import tcp_ready

POLL_SECONDS = 0.02
"""Between two looks at the count: the error of a measured time, against seconds."""

_SBIN = "/usr/sbin:/usr/local/sbin:/sbin"
"""Where Debian keeps smtp-sink, and ordinary users have no path to."""
_CONNECTIONS = 2000
_TAIL = 128


def program(name: str, package: str) -> str:
    """The path of a program. BenchError says which Debian package brings it."""
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:{_SBIN}")
    if found is None:
        raise BenchError(f"{name} is needed and not installed: `apt-get install {package}`")
    return found


def parse_count(tail: bytes) -> int:
    """Messages in the last complete line of what `smtp-sink -c` prints: `sess=1 quit=0 mesg=7` and a carriage return
    for each change. 0 before the first."""
    complete = tail.rpartition(b"\r")[0]
    _, found, number = complete.rpartition(b"mesg=")
    return int(number.split()[0]) if found else 0


class CountingSink:
    """smtp-sink as a process. Its output goes to a file, which is read at the end only."""

    def __init__(self, host: str, port: int, name: str, folder: Path) -> None:
        account = ("-u", "nobody") if os.geteuid() == 0 else ()
        command = (program("smtp-sink", "postfix"), "-c", *account, "-h", name, f"{host}:{port}", str(_CONNECTIONS))
        self._output = folder / "smtp-sink.out"
        self._output.unlink(missing_ok=True)
        self.process = Process(Service("smtp-sink", command, ready=tcp_ready(host, port)), self._output)

    def count(self) -> int:
        """Messages taken so far."""
        with self._output.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _TAIL))
            return parse_count(file.read())


async def wait_for_count(sink: CountingSink, target: int, seconds: float, check: Callable[[], None]) -> float:
    """Wait until the sink has taken `target` messages; the monotonic time it was seen. `check` is called at every look
    and raises to stop the wait. BenchError after `seconds`."""
    deadline = time.monotonic() + seconds
    while (count := sink.count()) < target:
        if time.monotonic() > deadline:
            raise BenchError(f"{target - count:,} of the awaited messages did not arrive within {seconds:.0f} s")
        check()
        await asyncio.sleep(POLL_SECONDS)
    return time.monotonic()


class TimedSink:
    """Takes mail in this process's event loop. `arrivals`: recipient → monotonic time of the last 250."""

    def __init__(self) -> None:
        self.arrivals: dict[str, float] = {}
        self.mails: list[bytes] = []
        """The mails themselves while `keep` is true."""
        self.keep = False
        self.repeats = 0
        """Mails to a recipient who had one before."""
        self.open: set[asyncio.Transport] = set()
        self._server: asyncio.Server | None = None

    async def start(self, host: str, port: int) -> None:
        """Listen; `stop` ends it."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Conversation(self), host, port)

    async def stop(self) -> None:
        """Close the door and every connection."""
        if self._server is not None:
            self._server.close()
        for transport in list(self.open):
            transport.abort()
        await asyncio.sleep(0)

    def took(self, recipients: list[str], mail: bytes) -> None:
        """Called by a conversation right before its 250 goes out."""
        now = time.monotonic()
        for recipient in recipients:
            self.repeats += recipient in self.arrivals
            self.arrivals[recipient] = now
        if self.keep:
            self.mails.append(mail)


class _Conversation(asyncio.Protocol):
    """One connection: just enough of RFC 5321 and RFC 2920 for a client that does nothing wrong."""

    def __init__(self, sink: TimedSink) -> None:
        self._sink = sink
        self._buffer = bytearray()
        self._recipients: list[str] = []
        self._in_data = False
        self._quit = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]  # a server's is a Transport
        self._sink.open.add(self._transport)
        self._transport.write(b"220 timed.bench.sim ESMTP\r\n")

    def connection_lost(self, exc: Exception | None) -> None:
        self._sink.open.discard(self._transport)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        answers = bytearray()
        while (answer := self._step()) is not None:
            answers += answer
        if answers:
            self._transport.write(bytes(answers))
        if self._quit:
            self._transport.close()

    def _step(self) -> bytes | None:
        """The answer to the next complete command or mail in the buffer, None when there is none."""
        if self._in_data:
            return self._end_of_data()
        line, found, rest = self._buffer.partition(b"\r\n")
        if not found:
            return None
        self._buffer = rest
        return self._answer(line.decode("utf-8", "replace"))

    def _end_of_data(self) -> bytes | None:
        mail, found, rest = self._buffer.partition(b"\r\n.\r\n")
        if not found:
            return None
        self._buffer, self._in_data = rest, False
        self._sink.took(self._recipients, bytes(mail).replace(b"\r\n..", b"\r\n.") + b"\r\n")
        self._recipients = []
        return b"250 2.0.0 Ok\r\n"

    def _answer(self, line: str) -> bytes:
        verb = line[:4].upper()
        if verb == "EHLO":
            return b"250-timed.bench.sim\r\n250-PIPELINING\r\n250 8BITMIME\r\n"
        if verb == "RCPT":
            self._recipients.append(line.partition("<")[2].partition(">")[0])
        elif verb == "DATA":
            self._in_data = True
            return b"354 End data with <CR><LF>.<CR><LF>\r\n"
        elif verb == "QUIT":
            self._quit = True
            return b"221 2.0.0 Bye\r\n"
        return b"250 2.0.0 Ok\r\n"
