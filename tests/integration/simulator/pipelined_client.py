"""A small pipelining SMTP client, and a load generator made of it (RFC 2920).

Sends the body of one mail together with MAIL, RCPT and DATA of the next, so that a mail costs one round trip. Run
`python -m tests.integration.simulator.pipelined_client STATE [MAILS [CONNECTIONS]]` beside `python -m simulator run
--state STATE` to measure: mails per second, and CPU time of the simulator per mail (Linux).
"""

import asyncio
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from simulator.state import read_state


@dataclass(frozen=True, slots=True)
class Answer:
    """One complete SMTP reply."""

    code: int
    text: str


class PipelinedClient:
    """One connection. `open` greets; every other method sends and reads as many replies as the protocol promises."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def open(
        cls, address: str, port: int, *, source: str | None = None, ehlo_name: str = "client.test"
    ) -> "PipelinedClient":
        """Connect, read the banner, say EHLO."""
        local = (source, 0) if source else None
        reader, writer = await asyncio.open_connection(address, port, local_addr=local)
        client = cls(reader, writer)
        banner = await client.answer()
        if banner.code == 220:
            await client.command(f"EHLO {ehlo_name}")
        return client

    async def answer(self) -> Answer:
        """The next reply. Raises asyncio.IncompleteReadError when the server hangs up."""
        lines = []
        while True:
            line = await self.reader.readuntil(b"\r\n")
            lines.append(line[4:-2].decode())
            if line[3:4] != b"-":
                return Answer(int(line[:3]), "\n".join(lines))

    async def command(self, line: str) -> Answer:
        """Send one command and read its reply."""
        self.writer.write(line.encode() + b"\r\n")
        return await self.answer()

    async def deliver(self, sender: str, recipients: Sequence[str], data: bytes) -> list[Answer]:
        """One mail; the replies to MAIL, each RCPT, DATA, and to the dot if it came so far."""
        lines = [f"MAIL FROM:<{sender}>", *(f"RCPT TO:<{recipient}>" for recipient in recipients), "DATA"]
        self.writer.write("".join(f"{line}\r\n" for line in lines).encode())
        answers = []
        for _ in lines:
            answers.append(await self.answer())
            if answers[-1].code == 421:
                return answers
        if answers[-1].code == 354:
            self.writer.write(stuffed(data))
            answers.append(await self.answer())
        return answers

    async def deliver_many(self, envelopes: Sequence[bytes], body: bytes) -> int:
        """Many mails, the body of each sent with the commands of the next; how many were taken.

        An envelope is MAIL, RCPT and DATA as bytes; `body` ends with the dot.
        """
        taken = 0
        self.writer.write(envelopes[0])
        for following in [*envelopes[1:], b""]:
            for _ in range(3):
                answer = await self.answer()
            if answer.code != 354:
                raise AssertionError(f"DATA was refused: {answer}")
            self.writer.write(body + following)
            taken += (await self.answer()).code == 250
        return taken

    async def close(self) -> None:
        """Hang up."""
        self.writer.close()
        await asyncio.gather(self.writer.wait_closed(), return_exceptions=True)


def stuffed(data: bytes) -> bytes:
    """Data with dots doubled at line starts and the final dot (RFC 5321 4.5.2); must end with CRLF."""
    doubled = data.replace(b"\r\n.", b"\r\n..")
    return (b"." + doubled if doubled.startswith(b".") else doubled) + b".\r\n"


def envelope(sender: str, recipient: str) -> bytes:
    """MAIL, RCPT and DATA in one piece."""
    return f"MAIL FROM:<{sender}>\r\nRCPT TO:<{recipient}>\r\nDATA\r\n".encode()


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def _measure(state_file: Path, mails: int, connections: int) -> None:
    state = read_state(state_file)
    header = b"From: shop@demo.sim\r\nTo: someone@gmail.sim\r\nSubject: Load\r\nMessage-ID: <load@demo.sim>\r\n\r\n"
    body = stuffed(header + b"A line of an ordinary mail, long enough to look like one of many.\r\n" * 72)
    each = mails // connections
    clients = [
        await PipelinedClient.open("127.0.0.11", state.smtp_port, source=f"127.0.1.{1 + n % 3}")
        for n in range(connections)
    ]
    work = [[envelope("b@demo.sim", f"user-{n}-{i % 500}@gmail.sim") for i in range(each)] for n in range(connections)]
    cpu, start = _cpu_seconds(state.pid), time.perf_counter()
    taken = sum(await asyncio.gather(*(c.deliver_many(w, body) for c, w in zip(clients, work, strict=True))))
    seconds, cpu = time.perf_counter() - start, _cpu_seconds(state.pid) - cpu
    print(f"{taken} mails of {len(body)} octets over {connections} connections in {seconds:.2f} s")
    print(f"{taken / seconds:.0f} mails/s, {cpu / taken * 1e6:.0f} us CPU of the simulator per mail")
    await asyncio.gather(*(client.close() for client in clients))


if __name__ == "__main__":
    _arguments = sys.argv[1:]
    _mails = int(_arguments[1]) if len(_arguments) > 1 else 20_000
    asyncio.run(_measure(Path(_arguments[0]), _mails, int(_arguments[2]) if len(_arguments) > 2 else 20))
