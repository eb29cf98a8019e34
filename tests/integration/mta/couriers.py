"""What the courier tests share: short time-outs, source IPs, and routes to sinks."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from mta.deliver import Courier, CourierSettings
from mta.model import EgressIp, Envelope, Host, Route
from mta.providers import Limits, Providers, Tls
from mta.smtp_timeouts import Timeouts

QUICK = Timeouts(0.3, 0.3, 0.3, 0.3, 0.3, 0.3, 0.3, 0.3, 0.3, 0.3)
FIRST = EgressIp("127.0.1.1", "127.0.1.1", "out1.test")
SECOND = EgressIp("127.0.1.2", "127.0.1.2", "out2.test")
BODY = b"Subject: hi\r\n\r\nhello\r\n"


def mail(rcpt_to: str = "bob@x.test", data: bytes = BODY) -> Envelope:
    """One envelope."""
    return Envelope("a@y.test", rcpt_to, data)


def route(*addresses: str, provider: str = "other", same: bool = False, below: str = "test") -> Route:
    """A route over these addresses, named mx0.test, mx1.test, …; of falling or of the `same` preference."""
    hosts = [Host(f"mx{at}.{below}", address, 10 if same else 10 * at) for at, address in enumerate(addresses)]
    return Route("x.test", provider, tuple(hosts))


def providers(wide: int = 0, connections: int = 10, messages: int = 1000) -> Providers:
    """Limits for everybody; with `wide`, a provider "big" that counts all its servers, those of big.test, together.

    Servers of strict.test belong to a provider "strict" that takes nothing in plain text.
    """
    rows = {"strict": Limits(connections, messages, tls=Tls.REQUIRED)}
    if wide:
        rows["big"] = Limits(wide, messages, provider_wide=True)
    return Providers(
        Limits(connections, messages), rows, {"strict.test": "strict", **({"big.test": "big"} if wide else {})}
    )


@asynccontextmanager
async def courier(port: int, limits: Providers | None = None, **settings: object) -> AsyncIterator[Courier]:
    """A courier to this port, closed in the end, without any session left."""
    base = replace(CourierSettings(port=port, timeouts=QUICK), **settings)  # type: ignore[arg-type]
    made = Courier(base, limits or providers())
    try:
        yield made
    finally:
        await made.close()
        await asyncio.sleep(0.02)
        assert made.stats().open == 0
