"""Loopback ports nobody uses."""

import random
import socket
from typing import Final

_ASIDE: Final = range(10_000, 32_768)
"""Below those that Linux gives to outgoing connections (ip_local_port_range begins at 32,768)."""
_CHANCE: Final = random.SystemRandom()
"""Tests begin the other one anew, in several processes alike."""
_given: Final[set[int]] = set()
"""By this process: whoever asked for one may not listen there yet."""
_TRIES: Final = 20


def take(count: int) -> list[int]:
    """Different free TCP ports on 127.0.0.1. Held open together while choosing, so that none comes twice."""
    sockets: list[socket.socket] = []
    try:
        while len(sockets) < count:
            sockets.append(_held())
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


def _held() -> socket.socket:
    """A socket on a port that stays free until who asked for it listens there: no outgoing connection is given it."""
    for port in (*_CHANCE.sample(_ASIDE, _TRIES), 0):
        if port in _given:
            continue
        one = socket.socket()
        try:
            one.bind(("127.0.0.1", port))
        except OSError:
            one.close()
        else:
            _given.add(port)
            return one
    raise OSError("no port is free on 127.0.0.1")


def preferred(port: int) -> int:
    """`port` when it is free, else another one; 0 takes any."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return take(1)[0]
        return int(probe.getsockname()[1])
