"""What comes back while processes are killed: bounce reports by SMTP, opens, clicks and unsubscribing by HTTP; and the
application that is told of all of it.

Everybody here behaves as their like do: what was not answered is done again, and what was answered is remembered, for
that is what may not be lost. Who answers to which mail is said by its recipient's name (`proof.mails`). A person acts
once the store calls the mail delivered, so that there is one right order of what is told of it; a mail server does not
wait for that.
"""

import asyncio
import contextlib
import http.client
import math
import smtplib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit
from uuid import UUID

import psycopg

from audience.links import LinkSeal, MailLink
from cli.running import demo
from core.secrets import InstanceSecret
from messages.link_tokens import Kind, LinkTokens, coded, payload_of
from mta import return_path
from simulator.model import StoredMail
from simulator.reports import Reporter, late_bounce
from tests.chaos.proof import LEAVER, MOVED, READER
from tests.integration.webhooks.receiver import Receiver, receiving
from tests.stack import RunningStack

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
_SECONDS = 20.0
_THERE = """
SELECT email_id, address FROM messages WHERE address LIKE %s
   AND (%s OR (state = 'delivered' AND updated_at < now() - interval '1.5 seconds')) ORDER BY email_id
"""


@dataclass(frozen=True, slots=True)
class Mail:
    """One that somebody answers to."""

    email_id: UUID
    address: str


Act = Callable[[Mail, int], None]
"""Answers to a mail, for the so-manieth time. Raises OSError, HTTPException or SMTPException when it had no answer."""


class Returning(threading.Thread):
    """Acts once for each mail to addresses that begin so, as it finds them in the store, until it has done so for as
    many as it is told there are."""

    def __init__(self, stack: RunningStack, beginning: str, act: Act, *, waits: bool = True) -> None:
        super().__init__(name=beginning, daemon=True)
        self.answered: list[tuple[Mail, int]] = []
        """Each mail, and how many tries had no answer."""
        self._stack, self._act, self._waits = stack, act, waits
        self._addresses = f"{beginning}%.{stack.since.number}@%"
        self._seen: set[UUID] = set()
        self._most: float = math.inf
        self._stopped = threading.Event()

    def run(self) -> None:
        while len(self.answered) < self._most and not self._stopped.wait(0.2):
            for mail in self._found():
                self.answered.append((mail, self._insist(mail)))

    def finish(self) -> None:
        """Every mail has ended: what there is will not become more."""
        self._most = self._stack.one("SELECT count(*) FROM messages WHERE address LIKE %s", [self._addresses])

    def stop(self) -> None:
        """Whatever is left to be done."""
        self._stopped.set()

    def _found(self) -> list[Mail]:
        try:
            rows = self._stack.sql(_THERE, [self._addresses, not self._waits])
        except psycopg.OperationalError:  # PostgreSQL is being started again
            return []
        found = [Mail(*row) for row in rows if row[0] not in self._seen]
        self._seen.update(mail.email_id for mail in found)
        return found

    def _insist(self, mail: Mail) -> int:
        tries = 0
        while not self._stopped.is_set():
            with contextlib.suppress(OSError, http.client.HTTPException, smtplib.SMTPException):
                self._act(mail, tries)
                return tries
            tries += 1
            self._stopped.wait(0.1)
        return tries


class MailServer:
    """Reports over one connection after the other that a mailbox is gone. Its 250 is our promise."""

    def __init__(self, stack: RunningStack) -> None:
        self._secret = InstanceSecret.from_text(stack.settings.secret.get_secret_value())
        self._port = stack.inbound_port
        self._client: smtplib.SMTP | None = None

    def report(self, mail: Mail, tries: int) -> None:
        to = return_path.make(self._secret, mail.email_id, 0, f"bounce.{demo.DOMAIN}")
        try:
            if self._client is None:
                self._client = smtplib.SMTP("127.0.0.1", self._port, timeout=_SECONDS)
            self._client.sendmail("", [to], _report(mail, to, tries))
        except (OSError, smtplib.SMTPException):
            self.close()
            raise

    def close(self) -> None:
        """Hang up."""
        if self._client is not None:
            self._client.close()
        self._client = None


def _report(mail: Mail, to: str, tries: int) -> bytes:
    host = f"mail.{mail.address.rpartition('@')[2]}"
    about = StoredMail(
        0, time.time(), mail.address, to, "", "", "127.0.0.1", host, tls=False, data=b"Subject: Offer\r\n\r\n"
    )  # fmt: skip
    reporter = Reporter(host, time.time(), f"{mail.email_id.hex}.{tries}")
    return late_bounce(about, reporter, f"550 5.1.1 <{mail.address}>: no such user")


class Browser:
    """People's requests to the public pages, over a connection that is kept."""

    def __init__(self, stack: RunningStack) -> None:
        secret = InstanceSecret.from_text(stack.settings.secret.get_secret_value())
        self._host = urlsplit(stack.public_url).netloc
        self._tokens, self._seal = LinkTokens(secret), LinkSeal(secret)
        self._application: UUID = stack.one("SELECT id FROM applications WHERE name = %s", [demo.APPLICATION])
        self._connection = http.client.HTTPConnection(self._host, timeout=_SECONDS)

    def read(self, mail: Mail, tries: int) -> None:
        """Open it and follow its link. Each try can be told from all others."""
        payload = payload_of(mail.email_id, 0, self._tokens.place_of(self._host.partition(":")[0]))
        target = target_of(mail, tries).encode()
        self._request("GET", f"/o/{self._tokens.head(Kind.OPEN, payload)}.gif", 200, agent=agent_of(mail, tries))
        self._request("GET", f"/c/{self._tokens.head(Kind.CLICK, payload, target)}{coded(target)}", 302)

    def leave(self, mail: Mail, _tries: int) -> None:
        """The button of a mail program (RFC 8058)."""
        link = self._seal.seal(MailLink(self._application, None, mail.email_id, 0, mail.address))
        self._request("POST", f"/u/{link}", 200, urlencode({"List-Unsubscribe": "One-Click"}))

    def close(self) -> None:
        """Hang up."""
        self._connection.close()

    def _request(self, method: str, path: str, awaited: int, body: str | None = None, agent: str = FIREFOX) -> None:
        headers = {"User-Agent": agent} | ({"Content-Type": "application/x-www-form-urlencoded"} if body else {})
        try:
            self._connection.request(method, path, body, headers)
            answer = self._connection.getresponse()
            answer.read()
        except (OSError, http.client.HTTPException):
            self.close()
            raise
        if answer.status != awaited:
            raise http.client.HTTPException(f"{path}: {answer.status}")


def target_of(mail: Mail, tries: int) -> str:
    """Where the link of a try leads."""
    return f"https://shop.example/{mail.email_id}/{tries}"


def agent_of(mail: Mail, tries: int) -> str:
    """What the browser calls itself when it opens a mail."""
    return f"{FIREFOX} {mail.email_id}/{tries}"


@dataclass(frozen=True, slots=True)
class Everybody:
    """All who answer, and the application that is told."""

    moved: Returning
    readers: Returning
    leavers: Returning
    receiver: Receiver
    endpoint: str
    """Id of the application's endpoint."""

    @property
    def threads(self) -> tuple[Returning, ...]:
        return self.moved, self.readers, self.leavers

    def answered(self) -> str:
        """How many of each, for the line that a test prints."""
        return ", ".join(f"{len(one.answered)} {one.name}" for one in self.threads)


@contextlib.contextmanager
def everybody(stack: RunningStack) -> Iterator[Everybody]:
    """At work while the block runs."""
    server, browser, other = MailServer(stack), Browser(stack), Browser(stack)
    with _listening() as receiver:
        made = stack.request("POST", "/webhooks", {"endpoint": receiver.url, "events": None})
        found = Everybody(
            Returning(stack, MOVED, server.report, waits=False), Returning(stack, READER, browser.read),
            Returning(stack, LEAVER, other.leave), receiver, made["id"],
        )  # fmt: skip
        for thread in found.threads:
            thread.start()
        try:
            yield found
        finally:
            for thread in found.threads:
                thread.stop()
                thread.join(_SECONDS)
            for client in (server, browser, other):
                client.close()
            stack.request("DELETE", f"/webhooks/{found.endpoint}")


@contextlib.contextmanager
def _listening() -> Iterator[Receiver]:
    """A receiver with a loop of its own: the test waits without one."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    context = receiving()
    try:
        yield asyncio.run_coroutine_threadsafe(context.__aenter__(), loop).result(10)
    finally:
        asyncio.run_coroutine_threadsafe(context.__aexit__(None, None, None), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
