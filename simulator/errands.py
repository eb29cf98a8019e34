"""Does what people decided in `simulator/people.py`: sends reports to the MX of an address, and calls links.

Owns the waiting errands, bounded in number, and their few connections. Names are looked up in the practice internet's
own zone, and what does not lead to a loopback address is not done: not one packet leaves this machine. Redirects are
not followed, for the same reason. What fails for the moment is tried again a few times, as mail servers do.
"""

import asyncio
import logging
from collections.abc import Callable
from urllib.parse import SplitResult, quote, urlsplit

import aiosmtplib
import dns.exception
import dns.message
import dns.rdatatype

from simulator.dns_zone import Zone
from simulator.loopback import is_loopback
from simulator.model import Door, Recipient, StoredMail
from simulator.people import AGENT, Call, Errand, Letter, errand_for

_log = logging.getLogger(__name__)

MOST_WAITING = 20_000
"""Errands that wait or are done at a time; further ones are dropped, and said so in the log."""
_AT_ONCE = 8
_SECONDS = 10.0
_PAUSES = (1.0, 2.0, 4.0, 8.0)
"""Before each further try."""
_SAFE = "%/:?#[]@!$&'()*+,;=~-._"


class Errands:
    """Start by the first `add`, end by `stop`; within one event loop. `done` hears of each errand that succeeded."""

    def __init__(self, zone: Zone, report_port: int, patience: float, done: Callable[[Errand], None]) -> None:
        """`report_port` is the SMTP port of the servers that reports go to, 0: nobody takes any. `patience` is how many
        seconds people take."""
        self._zone = zone
        self._report_port = report_port
        self._patience = patience
        self._done = done
        self._free = asyncio.Semaphore(_AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()

    def add(self, mail: StoredMail, recipient: Recipient, door: Door) -> None:
        """Let this recipient react to this mail when the time has come."""
        if len(self._tasks) >= MOST_WAITING:
            _log.warning("%s people are busy: %s does nothing", MOST_WAITING, mail.recipient)
            return
        task = asyncio.get_running_loop().create_task(self._run(mail, recipient, door))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def stop(self) -> None:
        """Forget what waits."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, mail: StoredMail, recipient: Recipient, door: Door) -> None:
        errand = errand_for(mail, recipient, door, self._patience)
        if errand is None:
            _log.warning("%s finds nothing to do in its mail", mail.recipient)
            return
        await asyncio.sleep(errand.after)
        for act in errand.acts:
            if not await self._insist(errand, act):
                return
        self._done(errand)

    async def _insist(self, errand: Errand, act: Letter | Call) -> bool:
        """Until it is done, or is of no use."""
        trouble: Exception | None = None
        for pause in (*_PAUSES, None):
            try:
                async with self._free, asyncio.timeout(_SECONDS):
                    await (self._send(errand, act) if isinstance(act, Letter) else self._call(act))
                return True
            except (OSError, EOFError, aiosmtplib.SMTPException) as error:  # TimeoutError included
                trouble = error
            except ValueError as error:  # nowhere to go: another try is of no use
                trouble, pause = error, None
            if pause is None:
                break
            await asyncio.sleep(pause)
        _log.warning("%s: %s came to nothing: %s", errand.mail.recipient, errand.what, trouble)
        return False

    async def _send(self, errand: Errand, letter: Letter) -> None:
        """Raises SMTPException, OSError; ValueError when no server on loopback takes such mail."""
        address = self._mail_server(letter.recipient.rpartition("@")[2])
        source = errand.door.address
        client = aiosmtplib.SMTP(
            hostname=address, port=self._report_port, local_hostname=errand.door.name, timeout=_SECONDS,
            validate_certs=False, source_address=None if ":" in source else (source, 0),
        )  # fmt: skip
        async with client:
            await client.sendmail(letter.sender, [letter.recipient], letter.data)

    async def _call(self, call: Call) -> None:
        """Raises OSError, EOFError; ValueError when the link leads elsewhere."""
        parts = urlsplit(call.url)
        if parts.scheme != "http":
            raise ValueError(f"{parts.scheme}: is not spoken here")
        reader, writer = await asyncio.open_connection(self._address(parts.hostname or ""), parts.port or 80)
        try:
            writer.write(_request(parts, call))
            line = await reader.readuntil(b"\r\n")
        finally:
            writer.close()
        if line.split()[1:2] and line.split()[1] in (b"429", b"500", b"502", b"503"):
            raise OSError(line.decode("latin-1").strip())

    def _mail_server(self, domain: str) -> str:
        hosts = sorted((int(value.split()[0]), value.split()[1]) for value in self._look_up(domain, "MX"))
        if not hosts or not self._report_port:
            raise ValueError(f"{domain or 'nobody'} takes no mail here")
        return self._address(hosts[0][1].rstrip("."))

    def _address(self, host: str) -> str:
        """The loopback address of a name, or of an address. ValueError for all others."""
        known = ["127.0.0.1"] if host == "localhost" else [host, *self._look_up(host, "A")]
        for address in known:
            if is_loopback(address):
                return address
        raise ValueError(f"{host or 'the link'} is not on this machine")

    def _look_up(self, name: str, kind: str) -> list[str]:
        try:
            answer = self._zone.answer(dns.message.make_query(name, kind)) if name else None
        except dns.exception.DNSException:  # no name at all
            return []
        wanted = dns.rdatatype.from_text(kind)
        return [str(one) for rrset in (answer.answer if answer else ()) if rrset.rdtype == wanted for one in rrset]


def _request(parts: SplitResult, call: Call) -> bytes:
    """A whole request (RFC 9112)."""
    target = quote(parts.path or "/", _SAFE) + (f"?{quote(parts.query, _SAFE)}" if parts.query else "")
    host = parts.netloc.rpartition("@")[2].encode("idna" if not parts.netloc.isascii() else "ascii").decode()
    head = f"{call.method} {target} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: {AGENT}\r\nConnection: close\r\n"
    if call.body:
        head += f"Content-Type: {call.content_type}\r\nContent-Length: {len(call.body)}\r\n"
    return head.encode("ascii") + b"\r\n" + call.body
