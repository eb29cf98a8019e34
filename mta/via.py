"""How an egress IP is used, as one text: bound by this process, through a proxy, or through somebody's mail server.

Owns the text called `via` and its parts. It opens nothing: `mta/connect` and `mta/socks` go the way it names, and
`mta/relay` speaks to a relay. No text made here for display contains a password.

    local                                           this process binds the address
    socks5://[user:password@]host:port              the proxy on the host that has the address binds it
    smtp+tls://[user:password@]host[:587]           a relay, TLS by STARTTLS, which is required
    smtps://[user:password@]host[:465]              a relay, TLS from the first byte
    smtp://host[:25]                                a relay without TLS, and so without a password, but on this host
"""

import ipaddress
import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final
from urllib.parse import quote, unquote, urlsplit

LOCAL: Final = "local"
SOCKS: Final = "socks5"
_RELAY_PORTS: Final = {"smtp+tls": 587, "smtps": 465, "smtp": 25}
_FORMS: Final = (
    f"via must be {LOCAL!r}, socks5://[user:password@]host:port, or a relay: smtp+tls://[user:password@]host[:port],"
    " smtps://…, smtp://host"
)
_HOST_NAME = re.compile(r"(?=.{1,253}\Z)[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?)*")


@dataclass(frozen=True, slots=True)
class Via:
    """The parts of a `via`."""

    scheme: str = LOCAL
    host: str = ""
    port: int = 0
    user: str = ""
    password: str = field(default="", repr=False)

    @property
    def relay(self) -> bool:
        """Whether the mail is handed to somebody's mail server, which delivers it."""
        return self.scheme in _RELAY_PORTS

    @property
    def masked(self) -> str:
        """For display and logs: everything but the password."""
        return self._text(":***" if self.user else "")

    @property
    def without_password(self) -> str:
        """For the store, which keeps the password apart, sealed."""
        return self._text("")

    def _text(self, behind_user: str) -> str:
        if self.scheme == LOCAL:
            return LOCAL
        host = f"[{self.host}]" if ":" in self.host else self.host
        login = f"{quote(self.user, safe='')}{behind_user}@" if self.user else ""
        return f"{self.scheme}://{login}{host}:{self.port}"


@lru_cache(maxsize=1024)
def parse_via(text: str) -> Via | str:
    """The `Via` that `text` describes, or why it describes none. User and password are percent-decoded."""
    via = _parsed(text)
    if isinstance(via, str):
        return via
    if bool(via.user) != bool(via.password):
        return "via has a user name without a password, or the other way round"
    if via.scheme == "smtp" and via.user and not _is_loopback(via.host):
        return "smtp:// would send the password in the clear: use smtp+tls:// or smtps://"
    return via


def is_relay(text: str) -> bool:
    """Whether this `via`, with or without its password, hands the mail to somebody's mail server."""
    return text.partition("://")[0] in _RELAY_PORTS


def masked(text: str) -> str:
    """A `via`, as given or as stored, for display: without its password."""
    via = _parsed(text)
    return via.masked if isinstance(via, Via) else "(unusable)"


def with_password(text: str, password: str) -> str:
    """A stored `via` with its password put back."""
    if not password:
        return text
    before, mark, behind = text.rpartition("@")
    return f"{before}:{quote(password, safe='')}{mark}{behind}"


def _parsed(text: str) -> Via | str:
    if text == LOCAL:
        return Via()
    if not text.isascii() or not text.isprintable() or " " in text:
        return "via has a blank, a control character or a letter outside ASCII"
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return "via has a bad host or port; / ? # @ and [ in a password are written as %2F %3F %23 %40 and %5B"
    if parts.scheme != SOCKS and parts.scheme not in _RELAY_PORTS:
        return _FORMS
    if parts.path or parts.query or parts.fragment:
        return "via has something behind the port; / ? and # in a password are written as %2F %3F and %23"
    if not _is_host(host):
        return "via has no host name or IP address"
    port = port if port is not None else _RELAY_PORTS.get(parts.scheme)
    if not port:
        return "via has no port from 1 to 65535"
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    if "@" in parts.netloc and not user:
        return "via has a user name without a password, or the other way round"
    return _bad_login(user, password) or Via(parts.scheme, host, port, user, password)


def _is_host(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        # What looks like an IPv4 address and is none, such as 10.0.0.256, is not a name either.
        return _HOST_NAME.fullmatch(host) is not None and not host.rpartition(".")[2].isdigit()
    return True


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _bad_login(user: str, password: str) -> str:
    for word in (user, password):
        if not word.isascii() or not word.isprintable() or len(word) > 255:
            return "user and password are at most 255 printable ASCII characters each (RFC 1929)"
    return ""
