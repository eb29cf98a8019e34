"""How far to trust a mail server's TLS: opportunistic encryption, and what is remembered about hosts.

Owns the SSL contexts and the memory of hosts whose certificate cannot be verified, whose handshake breaks, or who
refused mail in plain text. It opens nothing and never speaks SMTP: `mta/connect` and `mta/deliver` ask it for the mode
of a host and tell it what they saw. Whether plain text will do at all is for the provider's row to say (`Limits.tls`).
The memory is the process's own and bounded; a new one finds out again at the price of one connection.
"""

import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from mta.memory import Memory
from mta.model import Host

HOUR = 3_600.0


class TlsMode(StrEnum):
    """What to do with a server that offers STARTTLS."""

    VERIFY = "verify"
    ENCRYPT = "encrypt"
    """Encrypt without checking the certificate: still safe from whoever only listens (RFC 7435)."""
    PLAIN = "plain"
    """The handshake broke: better delivered in plain text than not at all."""


@dataclass(frozen=True, slots=True)
class TlsMemory:
    """How long, in seconds, and of how many hosts it is remembered."""

    broken: float = HOUR
    """TLS itself failed. Each new look costs one connection an hour, each hour without costs privacy."""
    cut: float = 300.0
    """The server hung up or fell silent in the handshake: perhaps it does so with every one, perhaps it was the line.
    Not to know costs 30 seconds a connection where it is silence."""
    untrusted: float = 24 * HOUR
    """Certificates get repaired; once a day the full check is worth one more connection."""
    demanded: float = HOUR
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
        self._worse: Memory[tuple[str, str], TlsMode] = Memory(self._memory.hosts, clock)
        self._demanding: Memory[tuple[str, str], bool] = Memory(self._memory.hosts, clock)

    def mode(self, host: Host) -> TlsMode:
        """How to treat this host now."""
        return (self._worse and self._worse.get(_key(host))) or TlsMode.VERIFY

    def is_demanded(self, host: Host) -> bool:
        """True when this host refused mail in plain text lately: there is no point in trying it again."""
        return bool(self._demanding) and self._demanding.get(_key(host)) is not None

    def context(self, mode: TlsMode) -> ssl.SSLContext:
        """The shared context of VERIFY or ENCRYPT."""
        return self._contexts[mode]

    def worked(self, host: Host, mode: TlsMode) -> None:
        """A session came about in VERIFY or ENCRYPT: whatever worse was known is refuted."""
        self._demanding.forget(_key(host))
        if mode is TlsMode.VERIFY:
            self._worse.forget(_key(host))
        elif self._worse.get(_key(host)) is not mode:  # else its end stays, so that the certificate is looked at again
            self._worse.note(_key(host), mode, self._memory.untrusted)

    def broken(self, host: Host, cut: bool) -> None:
        """No handshake came about, and without one the host takes mail. `cut`: for no reason of TLS itself."""
        self._worse.note(_key(host), TlsMode.PLAIN, self._memory.cut if cut else self._memory.broken)

    def demanded(self, host: Host) -> None:
        """The host offers TLS and refused mail in plain text: from now on it is encrypted or not sent."""
        if self._worse.get(_key(host)) is TlsMode.PLAIN:
            self._worse.forget(_key(host))
        self._demanding.note(_key(host), True, self._memory.demanded)


def _key(host: Host) -> tuple[str, str]:
    return host.name, host.address


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
