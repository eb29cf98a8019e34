"""How Valkey is reached, read once for the two libraries that talk to it: redis-py, and kombu under Celery.

`POSTLANE_REDIS_URL` is written as redis-py takes it. kombu reads the same text differently (`rediss://` verifies
nothing, `?db=` and `unix://` mean nothing to it, `;` separates servers), so it never gets to read it: `read` takes the
URL apart, and `Broker` says it again in kombu's words. What both would not understand alike is refused. No error holds
a part of the URL: there is a password in it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlsplit

DEFAULT_PORT: Final = 6379

_TLS_FILES: Final = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
_CERT_REQS: Final = ("required", "optional", "none")
_BOOLEANS: Final = {"true": True, "false": False}
_KNOWN: Final = ("db", *_TLS_FILES, "ssl_cert_reqs", "ssl_check_hostname")


@dataclass(frozen=True, slots=True)
class Broker:
    """One server, and how to prove that it is the right one."""

    scheme: str
    """redis, rediss or unix."""
    host: str
    port: int
    path: str
    """Of the socket, with `unix`."""
    username: str
    password: str
    database: int
    tls: Mapping[str, object]
    """Names and values as both libraries take them; empty without TLS. Verifies unless told otherwise."""

    @property
    def celery_url(self) -> str:
        """The server in kombu's words; the TLS part goes into `broker_use_ssl`."""
        user = f"{quote(self.username, safe='')}:{quote(self.password, safe='')}@" if self.password else ""
        if self.scheme == "unix":
            return f"redis+socket://{user}{quote(self.path)}?virtual_host={self.database}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{user}{host}:{self.port}/{self.database}"


def keepalive(url: str) -> dict[str, bool]:
    """The option of a redis-py client that keeps a quiet TCP connection alive; a Unix socket knows no such thing."""
    return {} if url.startswith("unix:") else {"socket_keepalive": True}


def read(url: str) -> Broker:
    """The server that a URL names. Raises ValueError saying which part is wrong, without quoting any."""
    try:
        parts = urlsplit(url)
    except ValueError:  # its message may hold the password
        raise ValueError("has an address that cannot be read, such as an IPv6 one without its brackets") from None
    if parts.scheme not in ("redis", "rediss", "unix"):
        raise ValueError("must be a URL that begins with redis://, rediss:// or unix://")
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    unknown = sorted(set(options) - set(_KNOWN))
    if unknown:
        raise ValueError(f"has options that Postlane does not know; known are {', '.join(_KNOWN)}")
    host, port, path = _place(parts)
    return Broker(
        parts.scheme,
        host,
        port,
        path,
        unquote(parts.username or ""),
        unquote(parts.password or ""),
        _database(parts, options),
        _tls(parts.scheme, options),
    )


def _place(parts: SplitResult) -> tuple[str, int, str]:
    """Host, port and path of the socket."""
    if parts.scheme == "unix":
        if parts.hostname or len(parts.path) < 2:
            raise ValueError("must name a socket by its whole path, such as unix:///run/valkey/valkey.sock")
        return "", 0, unquote(parts.path)
    if not parts.hostname:
        raise ValueError("names no host, such as redis://:password@127.0.0.1:6379/0")
    try:
        return unquote(parts.hostname), parts.port or DEFAULT_PORT, ""
    except ValueError:
        raise ValueError("has a port that is no number from 1 to 65535") from None


def _database(parts: SplitResult, options: Mapping[str, str]) -> int:
    path = "" if parts.scheme == "unix" else parts.path.strip("/")
    if path and "db" in options:
        raise ValueError("names its database twice: as path and as ?db=")
    text = path or options.get("db", "0")
    if not (text.isascii() and text.isdigit()):
        raise ValueError("has a database that is no number, such as the 0 in redis://127.0.0.1:6379/0")
    return int(text)


def _tls(scheme: str, options: Mapping[str, str]) -> dict[str, object]:
    given = {name: value for name, value in options.items() if name.startswith("ssl_")}
    if scheme != "rediss":
        if given:
            raise ValueError("has options for TLS, which only rediss:// uses")
        return {}
    required, check = given.pop("ssl_cert_reqs", "required"), given.pop("ssl_check_hostname", "true").lower()
    if required not in _CERT_REQS:
        raise ValueError(f"has an ssl_cert_reqs that is none of {', '.join(_CERT_REQS)}")
    if check not in _BOOLEANS:
        raise ValueError("has an ssl_check_hostname that is neither true nor false")
    return {"ssl_cert_reqs": required, "ssl_check_hostname": _BOOLEANS[check] and required != "none", **given}
