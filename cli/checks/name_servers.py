"""Whether a firewall stands between us and our name servers: each is asked by UDP and by TCP."""

import asyncio
from typing import Final

from cli.checks.findings import Finding, Level
from core.settings import Settings
from mta.dns_client import Reach, reach

_LET: Final = "let outgoing {} port {} through the firewall, and its answers back"


async def name_servers(settings: Settings) -> list[Finding]:
    """A finding for each, in their order. Raises ConfigurationError where one is no address."""
    name = "gmail.sim" if settings.simulator else "gmail.com"
    return [_finding(one) for one in await asyncio.gather(*reach(settings.dns_servers, name))]


def _finding(found: Reach) -> Finding:
    check, port = f"dns {found.server}", found.port
    if not found.udp and not found.tcp:
        return Finding(check, Level.OK, "answers by UDP and TCP")
    if not found.udp:
        what = f"answers by UDP and not by TCP ({found.tcp}): long answers, such as DKIM keys, are lost"
        return Finding(check, Level.WARNING, what, _LET.format("TCP", port))
    if not found.tcp:
        what = f"answers by TCP and not by UDP ({found.udp}): something on the way drops UDP"
        return Finding(check, Level.FAILED, what, _LET.format("UDP", port))
    do = f"start it; or {_LET.format('UDP and TCP', port)}"
    return Finding(check, Level.FAILED, f"neither by UDP ({found.udp}) nor by TCP ({found.tcp})", do)
