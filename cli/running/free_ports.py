"""Loopback ports nobody uses."""

import socket


def take(count: int) -> list[int]:
    """Different free TCP ports on 127.0.0.1. Held open together while choosing, so that none comes twice."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


def preferred(port: int) -> int:
    """`port` when it is free, else another one; 0 takes any."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return take(1)[0]
        return int(probe.getsockname()[1])
