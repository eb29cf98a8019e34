"""What a connection carries to a server that is 50 ms away: by DATA, by DATA with PIPELINING, by BDAT, and by BDAT with
several mails under way.

The product's own courier, one connection, the server behind a proxy that delays (`bench/far`). The clock runs from the
moment the connection is open, and has carried a mail, to the last reply.
"""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from bench.far import Far, far
from bench.session import Session, expect
from mta.deliver import Courier, CourierSettings, may_share
from mta.model import EgressIp, Envelope, Host, Route
from mta.providers import Limits, Providers

KEYS = ("data_50ms_per_s", "bdat_50ms_per_s", "bdat_window_50ms_per_s")

ROUND_TRIP: Final = 0.05
SECONDS: Final = 5.0
"""About so long a run takes."""
SIZE: Final = 5000
_SOURCE: Final = EgressIp("127.0.0.1", "127.0.0.1", "bench.example")
_ROUTE: Final = Route("far.bench.sim", "other", (Host("far.bench.sim", "127.0.0.1", 10),))
_LINE: Final = b"x" * 76 + b"\r\n"
_BODY: Final = b"Subject: far\r\n\r\n" + _LINE * (SIZE // len(_LINE))


@dataclass(frozen=True, slots=True)
class _Way:
    """One way of sending."""

    key: str
    extensions: tuple[str, ...]
    chunked: bool
    at_once: int
    """Mails whose sending is asked for at a time."""
    most: float
    """What round trips alone allow, a second."""


_WAYS: Final = (
    _Way("data_50ms_one_by_one", ("SIZE",), False, 1, 1 / (4 * ROUND_TRIP)),
    _Way("data_50ms_per_s", ("SIZE", "PIPELINING"), False, 1, 1 / (2 * ROUND_TRIP)),
    _Way("bdat_50ms_per_s", ("SIZE", "PIPELINING", "CHUNKING"), True, 1, 1 / ROUND_TRIP),
    _Way("bdat_window_50ms_per_s", ("SIZE", "PIPELINING", "CHUNKING"), True, 16, 4 / ROUND_TRIP),
)


async def measure(session: Session) -> None:
    """The figures of this module."""
    found: dict[str, list[float]] = {way.key: [] for way in _WAYS}
    for turn in range(session.options.runs):
        for way in _WAYS:
            session.say(f"round trips: {way.key}, run {turn + 1} of {session.options.runs}")
            found[way.key].append(await _run(way))
    for way in _WAYS[1:]:
        session.add(
            way.key, found[way.key], round_trip_ms=ROUND_TRIP * 1000, octets=len(_BODY), connections=1,
            round_trips_alone_allow=way.most, without_pipelining_per_s=found[_WAYS[0].key],
            note="one connection of the product's courier to a server behind a delaying proxy on loopback",
        )  # fmt: skip


async def _run(way: _Way) -> float:
    """Mails a second."""
    count = max(way.at_once, int(way.most * SECONDS))
    async with far(ROUND_TRIP, way.extensions) as server:
        limits = Providers(Limits(1, count + 1), {}, {})
        courier = Courier(CourierSettings(port=server.port), limits)
        try:
            await _send(courier, way, 0)
            began = time.perf_counter()
            numbers = iter(range(1, count + 1))
            await asyncio.gather(*(_worker(courier, way, numbers) for _ in range(way.at_once)))
            seconds = time.perf_counter() - began
        finally:
            await courier.close()
        _check(server, count + 1)
    return count / seconds


async def _worker(courier: Courier, way: _Way, numbers: Iterator[int]) -> None:
    for number in numbers:
        await _send(courier, way, number)


async def _send(courier: Courier, way: _Way, number: int) -> None:
    envelope = Envelope("a@bench.example", f"r{number}@far.bench.sim", _BODY, chunked=way.chunked)

    async def depart() -> Envelope:
        return envelope

    delivery = await courier.deliver(_ROUTE, _SOURCE, depart, shares=may_share(envelope))
    expect(delivery.response.code == 250, f"mail {number} was answered {delivery.response}")


def _check(server: Far, mails: int) -> None:
    expect(server.mails == mails and server.connections == 1, f"not what was sent: {server}")
    expect(server.octets == mails * len(_BODY), f"octets are missing: {server}")
