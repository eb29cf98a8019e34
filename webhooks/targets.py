"""Where webhooks may go: what stands in an endpoint's URL, and which guard its addresses pass. Pure.

URLs come from people whom the machine's owner need not trust, and lead from inside his network. So a URL says plainly
where it goes, and every address is judged at the moment it is connected to (`mta/guard`, `webhooks/sending`). Public
addresses are spoken to by https only; networks that the operator names (`POSTLANE_WEBHOOK_NETWORKS`) by http too.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Final

import dns.exception
import dns.name

from core.refusal import invalid
from mta.guard import Guard, Network

LONGEST: Final = 2000
"""Characters of a URL."""

_FIELD: Final = "endpoint"
_URL: Final = re.compile(
    r"(?P<scheme>https?)://(?P<host>\[[0-9A-Fa-f:.]+\]|[^\s/?#@:\\\[\]]+)(?::(?P<port>\d{1,5}))?(?P<target>[/?][^\s#\\]*)?",
    re.IGNORECASE,
)
_TARGET: Final = re.compile(r"(?:[A-Za-z0-9._~!$&'()*+,;=:@/?-]|%[0-9A-Fa-f]{2})*")
_NAME: Final = re.compile(r"(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]{0,62})(\.[a-z0-9_][a-z0-9_-]{0,62})*")
_NUMBER: Final = re.compile(r"\d+|0x[0-9a-f]*")
"""A last label like this makes other programs read the whole as an IPv4 address: 2130706433, 0x7f.1, 127.1."""

_PORTS: Final = {"http": 80, "https": 443}
_FIRST_FREE_PORT: Final = 1024
"""Below it other protocols live, which an HTTP request must not be able to disturb."""

_SETTING: Final = "POSTLANE_WEBHOOK_NETWORKS"


@dataclass(frozen=True, slots=True)
class Target:
    """A URL taken apart once, so that no second reader takes it apart otherwise."""

    scheme: str
    host: str
    """A name in ASCII and lower case, or an IP address; IPv6 without brackets."""
    port: int
    path: str
    """Path and query."""
    request_head: str = field(init=False, repr=False, compare=False)
    """The first two lines of a POST there. Nothing in it can end a line: `parse` lets none through."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "request_head", f"POST {self.path} HTTP/1.1\r\nhost: {self.authority}\r\n")

    @property
    def url(self) -> str:
        """Put together again, always in the same way."""
        return f"{self.scheme}://{self.authority}{self.path}"

    @property
    def authority(self) -> str:
        """Host and port as HTTP names them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"


def parse(text: str) -> Target:
    """The target that a URL names. Raises Refused naming `endpoint`."""
    found = _URL.fullmatch(text) if len(text) <= LONGEST else None
    if found is None or not _TARGET.fullmatch(found["target"] or ""):
        raise invalid(_FIELD, _what_is_wrong(text))
    scheme = found["scheme"].lower()
    port = int(found["port"] or _PORTS[scheme])
    if port not in _PORTS.values() and not _FIRST_FREE_PORT <= port <= 65535:
        raise invalid(_FIELD, f"port {port} is not for HTTP; use 443, 80, or one from {_FIRST_FREE_PORT} up")
    path, _, query = (found["target"] or "/").partition("?")
    return Target(scheme, _host(found["host"]), port, (path or "/") + (f"?{query}" if query else ""))


def check(text: str, own: Sequence[Network]) -> Target:
    """The same, and whether anything can ever be sent there. Raises Refused naming `endpoint`."""
    target = parse(text)
    guard = guard_of(target, own)
    if target.scheme == "http" and not own:
        raise invalid(_FIELD, "it must be https: what webhooks say about people does not travel in the clear")
    if is_address(target.host) and not guard.allows(target.host):
        raise invalid(_FIELD, guard.refusal(target.host, [target.host]))
    if target.host.rpartition(".")[2] == "localhost" and not (guard.allows("127.0.0.1") or guard.allows("::1")):
        raise invalid(_FIELD, guard.refusal(target.host, [target.host]))
    return target


def guard_of(target: Target, own: Sequence[Network]) -> Guard:
    """What may be connected to for a target."""
    return Guard(tuple(own), public=target.scheme == "https", setting=_SETTING)


def is_address(host: str) -> bool:
    """Whether it is an address and no name."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _host(text: str) -> str:
    if text.startswith("["):
        return _ip(text[1:-1])
    if _NUMBER.fullmatch(text.lower().removesuffix(".").rpartition(".")[2]):
        return _ip(text)
    try:
        name = dns.name.from_unicode(text).to_text(omit_final_dot=True).lower()
    except (dns.exception.DNSException, UnicodeError):
        raise invalid(_FIELD, f"{text} is no host name") from None
    if not _NAME.fullmatch(name):
        raise invalid(_FIELD, f"{text} is no host name")
    return name


def _ip(text: str) -> str:
    try:
        return str(ip_address(text))
    except ValueError:
        raise invalid(_FIELD, f"{text} is no IP address; write it as 203.0.113.5 or [2001:db8::5]") from None


def _what_is_wrong(text: str) -> str:
    if len(text) > LONGEST:
        return f"a URL has at most {LONGEST} characters"
    authority = re.split(r"[/?#]", text.partition("://")[2], maxsplit=1)[0]
    if "@" in authority:
        return "it must not hold a name or password; what comes from here is signed"
    if "#" in text:
        return "it must not hold a fragment (#)"
    return "write it as https://host/path"
