"""A scriptable SMTP server for tests: a real twin of a receiving mail server, on loopback.

What it answers is decided, in this order, by the rules given to it, by the local part of the address, and by "yes".
A `Rule` may look at the phase, the local part, the client's source IP and its EHLO name. Local parts of the form
`<phase>-<reply>` work without rules: `rcpt-550@x`, `data-451@x`, `dot-554@x`, `rcpt-drop@x`, `dot-drop@x` (takes the
mail, then hangs up without an answer), `mail-421@x` (as a sender).

Everything accepted is kept in `mails`. Use `async with SmtpSink(...)` in a test's own event loop, or `ThreadedSink`
when the client is another thread or process.
"""

import asyncio
import re
import ssl
import threading
from collections import Counter
from typing import Self

import trustme

from tests.smtp_sink_session import DROP, SILENCE, Journal, Mail, Offer, Rule, SinkSession

__all__ = ["DROP", "SILENCE", "Certificates", "Journal", "Mail", "Offer", "Rule", "SmtpSink", "ThreadedSink"]

_LOCAL = re.compile(r"(mail|rcpt|data|dot)-(drop|silence|[2-5]\d\d)(?:[.-].*)?")


class Certificates:
    """A CA and the contexts of servers with a certificate from it, and of one with a certificate from nowhere."""

    def __init__(self, *names: str) -> None:
        self.ca = trustme.CA()
        self.good = _server_context(self.ca.issue_cert(*names))
        self.self_signed = _server_context(trustme.CA().issue_cert(*names))


def _server_context(certificate: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


class SmtpSink:
    """One listening server. `address` is an address of 127.0.0.0/8, `port` 0 takes a free one."""

    def __init__(
        self,
        *rules: Rule,
        offer: Offer | None = None,
        address: str = "127.0.0.1",
        port: int = 0,
        certificates: Certificates | None = None,
        keep_writes: bool = False,
    ) -> None:
        self.rules = list(rules)
        self.offer = offer or Offer()
        self.address = address
        self.port = port
        self.certificates = certificates
        self.journal = Journal()
        self.keep_writes = keep_writes
        self._matched: Counter[int] = Counter()
        self._server: asyncio.Server | None = None
        self.sessions: set[SinkSession] = set()

    def context(self, kind: str) -> ssl.SSLContext:
        """The server's TLS context for this kind of STARTTLS."""
        assert self.certificates is not None, "STARTTLS needs certificates"
        return self.certificates.self_signed if kind == "self-signed" else self.certificates.good

    @property
    def mails(self) -> list[Mail]:
        """Every mail accepted so far, in order."""
        return self.journal.mails

    async def start(self) -> None:
        """Listen; afterwards `port` is the real one."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: SinkSession(self, loop), self.address, self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Stop listening and cut every connection."""
        if self._server is not None:
            self._server.close()
        for session in list(self.sessions):
            session.cut()
        await asyncio.sleep(0)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def say(self, words: bytes) -> None:
        """Tell every client something it did not ask for."""
        for session in self.sessions:
            session.say(words)

    def hang_up(self, last_words: bytes = b"") -> None:
        """End every open connection as a server does after its idle time-out."""
        for session in list(self.sessions):
            session.end(last_words)

    def rule_for(self, phase: str, local: str, source: str, ehlo: str) -> Rule | None:
        """The rule that decides here, counted as used."""
        for number, rule in enumerate(self.rules):
            if (
                rule.phase == phase
                and rule.local in (None, local)
                and rule.source in (None, source)
                and rule.ehlo in (None, ehlo)
                and (rule.times is None or self._matched[number] < rule.times)
            ):
                self._matched[number] += 1
                return rule
        match = _LOCAL.fullmatch(local)
        if match is not None and match[1] == phase:
            return Rule(phase, match[2] if match[2] in (DROP, SILENCE) else f"{match[2]} as the address asks")
        return None


class ThreadedSink(SmtpSink):
    """A sink with an event loop of its own in a thread: `with ThreadedSink(...) as sink`."""

    def __enter__(self) -> Self:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self.start(), self._loop).result(10)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self.stop(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()
