"""Listeners of both kinds on loopback; what stores mail is a list."""

import asyncio
import contextlib
import logging
import smtplib
import socket
import struct
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from typing import TypeVar

import pytest

from core.errors import UnavailableError
from mta import inbound_session
from mta.inbound import ServerOptions, SubmissionHandler, SubmittedMail
from mta.inbound_gate import Gate, GateLimits
from mta.inbound_reports import BOUNCE_BYTES, Addressee, BounceHandler, ReceivedMail
from mta.inbound_server import Listener

KEY = "pl_right"
TOKEN = "b+" + "a" * 48 + "@bounce.shop.example"
OTHER = "b+" + "b" * 48 + "@bounce.shop.example"
T = TypeVar("T")

LIMITS = GateLimits(connections=20, connections_per_ip=10, new_per_minute=200)


class Desk:
    """Takes submitted mail into a list. `away` stands for a database that does not answer."""

    def __init__(self) -> None:
        self.mails: list[tuple[object, SubmittedMail]] = []
        self.bounces: list[tuple[str, bytes]] = []
        self.away = False
        self.bug = False
        self.gate: asyncio.Event | None = None

    async def log_in(self, token: str) -> object | None:
        if self.away:
            raise UnavailableError("no database")
        return "app" if token == KEY else None

    async def submit(self, who: object, mail: SubmittedMail) -> str:
        if self.gate is not None:
            await self.gate.wait()
        if self.bug:
            raise RuntimeError("a bug")
        if self.away:
            raise UnavailableError("no database")
        self.mails.append((who, mail))
        return "250 2.0.0 Accepted as\r\n1"

    async def identify(self, address: str) -> Addressee | None:
        """Like a signed return path: the local part in any case, and two domains are ours. One desk."""
        local, _, domain = address.lower().rpartition("@")
        if address.lower() == "fbl@mail.test":
            return Addressee()
        ours = (TOKEN.partition("@")[0], OTHER.partition("@")[0])
        return Addressee(local) if local in ours and domain in ("bounce.shop.example", "old.shop.example") else None

    def place(self, content: bytes) -> str | None:
        """The first of the two that is quoted."""
        quoted = content.decode("latin-1").lower()
        return next((local for to in (TOKEN, OTHER) if (local := to.partition("@")[0]) in quoted), None)

    async def store(self, mails: Sequence[ReceivedMail]) -> None:
        if self.away:
            raise UnavailableError("no database")
        self.bounces += [(mail.to, mail.content) for mail in mails]


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.setattr(inbound_session, "WRONG_KEY_SECONDS", 0.0)
    return Desk()


@pytest.fixture
def options() -> ServerOptions:
    return ServerOptions("mail.test", 20_000, plain_log_in=True)


@pytest.fixture
async def submission(desk: Desk, options: ServerOptions) -> AsyncIterator[Listener]:
    listener = Listener(SubmissionHandler(desk.log_in, desk.submit, 100), options, Gate(LIMITS))
    await listener.start("127.0.0.1", 0)
    yield listener
    await listener.stop(0.2)


@pytest.fixture
async def bounces(desk: Desk, options: ServerOptions) -> AsyncIterator[Listener]:
    handler = BounceHandler(desk.identify, desk.place, desk.store)
    listener = Listener(handler, replace(options, max_bytes=BOUNCE_BYTES), Gate(LIMITS))
    await listener.start("127.0.0.1", 0)
    yield listener
    await listener.stop(0.2)


async def client_of(listener: Listener, talk: Callable[[smtplib.SMTP], T]) -> T:
    """Run a blocking client in a thread."""

    def connect_and_talk() -> T:
        client = smtplib.SMTP("127.0.0.1", listener.port, timeout=20)
        try:
            return talk(client)
        finally:
            client.close()

    return await asyncio.to_thread(connect_and_talk)


async def raw_talk(
    listener: Listener,
    sent: bytes,
    *,
    until: bytes = b"",
    then: bytes = b"",
    half_close: bool = False,
    resets: bool = False,
) -> bytes:
    """Send without waiting; all that is answered until the server closes, or sends us away with bytes unread. With
    `until`, wait for that answer, send `then`, and leave: by a reset or by a plain close."""
    answered = bytearray()

    def talk() -> None:
        with (
            contextlib.suppress(ConnectionError),
            socket.create_connection(("127.0.0.1", listener.port), timeout=20) as client,
        ):
            client.sendall(sent)
            if half_close:
                client.shutdown(socket.SHUT_WR)
            while piece := client.recv(65536):
                answered.extend(piece)
                if until and until in answered:
                    client.sendall(then)
                    break
            if resets:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    await asyncio.to_thread(talk)
    return bytes(answered)


def troubles(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    """What an operator would see. aiosmtpd's own log is off below errors, see `workers/inbound`."""
    return [r for r in caplog.records if r.levelno >= (logging.ERROR if r.name == "mail.log" else logging.WARNING)]
