"""Whose address counts: behind a proxy of ours the one it names, and from anybody else only their own."""

import pytest
from fastapi import Request

from web.clients import Clients

CLIENTS = Clients(("127.0.0.1", "::1", "10.0.0.0/8"))


def _request(peer: str | None, *forwarded: str) -> Request:
    headers = [(b"x-forwarded-for", value.encode()) for value in forwarded]
    return Request({"type": "http", "client": (peer, 1) if peer else None, "headers": headers})


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("203.0.113.9", (), "203.0.113.9"),
        ("203.0.113.9", ("198.51.100.1",), "203.0.113.9"),
        ("127.0.0.1", ("198.51.100.1",), "198.51.100.1"),
        ("127.0.0.1", ("6.6.6.6, 198.51.100.1",), "198.51.100.1"),
        ("127.0.0.1", ("6.6.6.6", "198.51.100.1"), "198.51.100.1"),
        ("127.0.0.1", ("6.6.6.6, 198.51.100.1, 10.1.2.3",), "198.51.100.1"),
        ("127.0.0.1", ("198.51.100.1, nonsense",), "127.0.0.1"),
        ("127.0.0.1", ("",), "127.0.0.1"),
        ("::ffff:203.0.113.9", (), "203.0.113.9"),
        ("::1", ("[2001:db8::1]",), "2001:db8::1"),
        ("127.0.0.1", ("10.0.0.1, 10.0.0.2",), "10.0.0.1"),
        (None, ("198.51.100.1",), ""),
    ],
)
def test_client_address(peer: str | None, forwarded: tuple[str, ...], address: str) -> None:
    assert CLIENTS.address(_request(peer, *forwarded)) == address
