"""The certificate that people see at the public host: asked for now and then, an alarm when it ends or is not valid."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from alarms import duty
from alarms.duty import Certificates
from alarms.public_host import BROKEN_AGAIN, LOOK_AGAIN, PublicHost
from alarms.repository import open_alarms
from mta.server_certificate import self_signed
from store.database import Database

NOW = datetime.now(UTC)


class Hand:
    """A clock that stands."""

    at = NOW

    def now(self) -> datetime:
        return self.at


@pytest.fixture
async def proxy(tmp_path: Path) -> AsyncIterator[tuple[str, Path]]:
    """A server whose certificate ends in ten days: where it listens, and its certificate."""
    file = tmp_path / "proxy.txt"
    file.write_bytes(self_signed("localhost", NOW - timedelta(days=3640)))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    server = await asyncio.start_server(lambda _, writer: writer.close(), "localhost", 0, ssl=context)
    yield f"https://localhost:{server.sockets[0].getsockname()[1]}", file
    server.close()


def trusting(file: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=file)


async def open_now(database: Database, folder: Path, host: PublicHost) -> list[tuple[str, str, str]]:
    await duty.judge_all(database, Certificates(folder, host))
    async with database.connection() as connection:
        return [(one.subject, one.severity, one.detail) for one in await open_alarms(connection)]


async def test_its_end_and_its_faults_are_alarms(database: Database, proxy: tuple[str, Path], tmp_path: Path) -> None:
    url, file = proxy
    [(subject, severity, reason)] = await open_now(database, tmp_path, PublicHost(url, Hand(), trusting(file)))
    assert (subject, severity) == ("localhost", "warning")
    assert reason.startswith("ends on ")

    [(subject, severity, reason)] = await open_now(database, tmp_path, PublicHost(url, Hand()))
    assert (subject, severity) == ("localhost", "critical")
    assert reason.startswith("shows no valid one: self")
    for nowhere in ("http://localhost:1", "https://localhost:1", ""):
        assert await open_now(database, tmp_path, PublicHost(nowhere, Hand())) == []


async def test_it_is_asked_for_once_a_day_and_soon_again_while_broken(proxy: tuple[str, Path]) -> None:
    url, file = proxy
    for context, again in ((trusting(file), LOOK_AGAIN), (None, BROKEN_AGAIN)):
        clock = Hand()
        host = PublicHost(url, clock, context)
        await host.look()
        host.ends, host.broken = {}, []
        clock.at = NOW + again - timedelta(seconds=1)
        await host.look()
        assert not host.ends and not host.broken
        clock.at = NOW + again
        await host.look()
        assert bool(host.ends) == (context is not None)
        assert bool(host.broken) == (context is None)
