"""How far to trust a mail server's TLS: opportunistic encryption, and what is remembered about hosts.

Owns the SSL contexts and the memory of hosts whose certificate cannot be verified or whose handshake breaks. It
opens nothing and never speaks SMTP: `mta/connect` asks it for the mode of a host and tells it what happened. Whether
plain text will do at all is for the provider's row to say (`Limits.tls`); where it will not, no host is told as broken.
The memory is the process's own, bounded, and lost with it; a new one finds out again at the price of one connection.
"""

import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from mta.model import Host

DAY = 86_400.0


class TlsMode(StrEnum):
    """What to do with a server that offers STARTTLS."""

    VERIFY = "verify"
    ENCRYPT = "encrypt"
    """Encrypt without checking the certificate: still safe from whoever only listens (RFC 7435)."""
    PLAIN = "plain"
    """The handshake broke lately: better delivered in plain text than not at all."""


@dataclass(frozen=True, slots=True)
class TlsMemory:
    """How long, in seconds, and for how many hosts the worse modes are kept."""

    broken_seconds: float = 3 * DAY
    """KumoMTA's default for a host with broken TLS."""
    untrusted_seconds: float = DAY
    """Certificates get repaired; once a day the full check is worth one more connection."""
    hosts: int = 10_000


class TlsPolicy:
    """Opportunistic TLS for one process. Builds its two contexts at once: each costs some 40 ms, so make one policy."""

    def __init__(
        self,
        ca_file: Path | None = None,
        memory: TlsMemory | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`ca_file` is a PEM bundle in place of the system's store; an unreadable one raises OSError."""
        self._contexts = {TlsMode.VERIFY: _verifying(ca_file), TlsMode.ENCRYPT: _trusting()}
        self._memory = memory or TlsMemory()
        self._clock = clock
        self._worse: dict[tuple[str, str], tuple[TlsMode, float]] = {}

    def mode(self, host: Host) -> TlsMode:
        """How to treat this host now."""
        known = self._worse.get((host.name, host.address))
        if known is None:
            return TlsMode.VERIFY
        mode, until = known
        if until > self._clock():
            return mode
        del self._worse[host.name, host.address]
        return TlsMode.VERIFY

    def context(self, mode: TlsMode) -> ssl.SSLContext:
        """The shared context of VERIFY or ENCRYPT."""
        return self._contexts[mode]

    def untrusted(self, host: Host) -> None:
        """Remember that this host's certificate does not verify."""
        self._remember(host, TlsMode.ENCRYPT, self._memory.untrusted_seconds)

    def broken(self, host: Host) -> None:
        """Remember that no handshake with this host came about."""
        self._remember(host, TlsMode.PLAIN, self._memory.broken_seconds)

    def _remember(self, host: Host, mode: TlsMode, seconds: float) -> None:
        key = (host.name, host.address)
        self._worse.pop(key, None)
        while len(self._worse) >= self._memory.hosts:
            del self._worse[next(iter(self._worse))]  # the oldest entry: dicts keep the order of insertion
        self._worse[key] = (mode, self._clock() + seconds)


def _verifying(ca_file: Path | None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=None if ca_file is None else str(ca_file))
    return _opportunistic(context)


def _trusting() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return _opportunistic(context)


def _opportunistic(context: ssl.SSLContext) -> ssl.SSLContext:
    """Short keys are accepted: the alternative at an old server is plain text. TLS before 1.2 is not (RFC 8996)."""
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("DEFAULT:@SECLEVEL=1")
    return context
