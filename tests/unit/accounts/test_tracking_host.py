"""Whether our public server shows a certificate for a tracking host."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator

import pytest
import trustme

from accounts.records import Alias
from accounts.tracking_host import certificate_trouble

SECONDS = 10.0


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
async def port(authority: trustme.CA) -> AsyncIterator[int]:
    """A TLS server that has a certificate for one name."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("links.shop.test").configure_cert(context)

    def done(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with await asyncio.start_server(done, "127.0.0.1", 0, ssl=context) as server:
        yield server.sockets[0].getsockname()[1]


async def trouble(authority: trustme.CA, name: str, url: str) -> str:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return await certificate_trouble(Alias(name, "pages.postlane.test"), url, SECONDS, context)


async def test_a_host_with_a_certificate_is_fine(authority: trustme.CA, port: int) -> None:
    assert await trouble(authority, "links.shop.test", f"https://127.0.0.1:{port}") == ""


async def test_a_host_without_one_is_named(authority: trustme.CA, port: int) -> None:
    found = await trouble(authority, "go.shop.test", f"https://127.0.0.1:{port}")
    assert found.startswith("The server at pages.postlane.test shows no valid certificate for go.shop.test")


async def test_what_cannot_be_asked_is_not_judged(authority: trustme.CA) -> None:
    with socket.socket() as bound:  # nobody listens there
        bound.bind(("127.0.0.1", 0))
        assert await trouble(authority, "go.shop.test", f"https://127.0.0.1:{bound.getsockname()[1]}") == ""
    assert await trouble(authority, "go.shop.test", "http://127.0.0.1:1") == ""
