"""Mailbox providers: which one a set of MX hosts belongs to, and what each of them takes from one of our IPs.

Owns the reading of `providers.toml` and the match. A provider is recognised by its mail servers, not by the recipient's
domain, so a company domain hosted at Google counts as Google. It knows limits and counts nothing: connections are
counted by `mta/session` and `pools/connections`, rates by `pools/rates`.

A **site** is what limits and health count by: a provider's name, or for everybody else the exact set of mail servers.
The set and nothing wider, for whoever can add a server to a site can make our IPs rest there: see docs/throttles.md.
Format of a file:

    [default]
    connections = 10                # from one of our IPs to one server
    messages_per_connection = 100
    messages_per_second = 100       # from one of our IPs to the provider, fractions allowed; 0: no limit
    messages_per_hour = 0           # the same over an hour; 0: no limit
    tls = "opportunistic"           # or "required": never in plain text, the mail waits instead

    [provider.gmail]
    mx_suffixes = ["google.com"]    # whole labels: "google.com" matches "mx.google.com", not "notgoogle.com"
    connections = 5                 # left out: the default row's
    messages_per_connection = 50
    provider_wide = true            # `connections` counts all servers of the provider together
    tls = "required"
"""

import base64
import hashlib
import math
import re
import tomllib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from pathlib import Path

from core.errors import ConfigurationError
from core.refusal import Refused, not_found

OTHER = "other"
"""Name of everybody who is in no file: small domains, each with servers of its own."""

SHIPPED = Path(__file__).with_name("providers.toml")

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
"""Names stand in statistics, keys and commands, and may not look like a site (`mx:…`) or like "everywhere" (`*`)."""
_SERVER = "mx:"
_LONGEST_SITE = 260


class Tls(StrEnum):
    """What has to be encrypted on the way to a provider."""

    OPPORTUNISTIC = "opportunistic"
    """Encrypted where that works; better delivered in plain text than not at all."""
    REQUIRED = "required"
    """Never in plain text. The certificate may be a wrong one, as everywhere without DANE or MTA-STS."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one provider takes from one of our IPs."""

    connections: int
    messages_per_connection: int
    provider_wide: bool = False
    """True: `connections` counts all servers of the provider together. False: each server by itself."""
    messages_per_second: float = 0.0
    """0: no limit."""
    messages_per_hour: int = 0
    """0: no limit."""
    tls: Tls = Tls.OPPORTUNISTIC


@dataclass(frozen=True, slots=True)
class Providers:
    """The recognised providers. Immutable; make one with `load_providers`."""

    default: Limits
    rows: Mapping[str, Limits]
    suffixes: Mapping[str, str]
    """MX suffix, lower case without dots at the ends, to provider."""

    def provider_of(self, hosts: Iterable[str]) -> str:
        """The provider to which *all* of these MX host names belong, else `OTHER`.

        One foreign host is enough for `OTHER`: the provider's limits say nothing about that host.
        """
        names = {self._of(host) for host in hosts}
        return names.pop() if len(names) == 1 else OTHER

    def site_of(self, hosts: Collection[str]) -> str:
        """What mail for a domain with these MX host names is counted by: the provider to which all belong, else
        `mx:<server>` for a single one, and for several the first by name with a fingerprint of all of them.
        """
        provider = self.provider_of(hosts)
        if provider != OTHER:
            return provider
        names = sorted(set(hosts))
        one = f"{_SERVER}{names[0]}"
        return one if len(names) == 1 else f"{one}~{_fingerprint(names)}"

    @property
    def names(self) -> frozenset[str]:
        """All providers by name, without `OTHER`."""
        return frozenset(self.rows)

    def limits(self, provider: str) -> Limits:
        """Limits of a provider; the default row for `OTHER` and for any unknown name."""
        return self.rows.get(provider, self.default)

    def limits_of_site(self, site: str) -> Limits:
        """Limits of a site: a provider's own, and the default row for `mx:<server>`."""
        return self.rows.get(site, self.default)

    def tls_of(self, host: str) -> Tls:
        """What a session to this mail server needs, whichever domain's mail it carries: sessions are shared by many."""
        return self.limits(self._of(host)).tls

    def _of(self, host: str) -> str:
        """The longest suffix decides: consumer Outlook and Microsoft 365 differ in it."""
        name = host.rstrip(".").lower()
        while name:
            found = self.suffixes.get(name)
            if found is not None:
                return found
            name = name.partition(".")[2]
        return OTHER


def site_named(providers: Providers, text: str, field: str = "provider", also: Collection[str] = ()) -> str:
    """The site that somebody names: a provider, `OTHER`, `mx:<server>`, or one of `also`. Raises Refused naming the
    field, with what there is."""
    text = text.strip()
    if text in providers.names or text == OTHER or text in also:
        return text
    if text.startswith(_SERVER) and len(_SERVER) < len(text) <= _LONGEST_SITE and _is_plain(text):
        return text.lower()
    reason = f"{_no_provider(providers, text, also)} and {_SERVER}<server>"
    raise Refused("invalid", reason, field, code="unknown_provider")


def provider_named(providers: Providers, text: str) -> str:
    """The provider, or `OTHER`, that somebody looks for. Raises Refused with what there is."""
    if text in providers.names or text == OTHER:
        return text
    raise not_found(_no_provider(providers, text, ()), code="unknown_provider")


def _no_provider(providers: Providers, text: str, also: Collection[str]) -> str:
    known = ", ".join([*sorted(providers.names), OTHER, *also])
    return f"there is no provider {text[:60]!r}; there are {known}"


def _is_plain(text: str) -> bool:
    return text.isascii() and text.isprintable() and " " not in text


def _fingerprint(names: Iterable[str]) -> str:
    """80 bits, so that nobody finds a set of servers with the fingerprint of another one."""
    digest = hashlib.blake2b("\n".join(names).encode(), digest_size=10).digest()
    return base64.b32encode(digest).decode().lower()


def load_providers(*paths: Path) -> Providers:
    """The shipped providers, then these files in order; a later one adds providers or changes fields of earlier ones.

    A changed default holds for every provider that has no figure of its own, shipped ones included.
    ConfigurationError naming the file and the field when something in it is wrong.
    """
    default = Limits(10, 100)
    rows: dict[str, dict[str, object]] = {}
    suffixes: dict[str, str] = {}
    for path in (SHIPPED, *paths):
        table = _read(path)
        _only(table, {"default", "provider"}, str(path))
        default = _limits(_table(table, "default", str(path)), default, f"{path}: default")
        own, found = _rows(_table(table, "provider", str(path)), path)
        suffixes |= found
        for name, row in own.items():
            if name not in suffixes.values():
                where = f"{path}: provider.{name}.mx_suffixes"
                raise ConfigurationError(f"{where}: at least one is needed, or the provider is never recognised")
            rows[name] = rows.get(name, {}) | row
    return Providers(default, {name: _limits(row, default, name) for name, row in rows.items()}, suffixes)


def _rows(table: Mapping[str, object], path: Path) -> tuple[dict[str, dict[str, object]], dict[str, str]]:
    """The providers of one file, checked: fields that were given by name, and provider by MX suffix."""
    rows: dict[str, dict[str, object]] = {}
    suffixes: dict[str, str] = {}
    for name, row in table.items():
        where = f"{path}: provider.{name}"
        if name == OTHER or not isinstance(row, dict):
            raise ConfigurationError(f"{where}: must be a table, and not be called {OTHER!r}")
        if _NAME.fullmatch(name) is None:
            raise ConfigurationError(f"{where}: a name has only a-z, 0-9, _ and -, at most 63 of them")
        row = dict(row)
        for suffix in _suffixes(row.pop("mx_suffixes", []), where):
            if suffixes.setdefault(suffix, name) != name:
                raise ConfigurationError(f"{where}.mx_suffixes: {suffix!r} already belongs to {suffixes[suffix]!r}")
        _limits(row, Limits(1, 1), where)
        rows[name] = row
    return rows, suffixes


def _read(path: Path) -> dict[str, object]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: is not TOML: {error}") from error


def _table(table: Mapping[str, object], key: str, where: str) -> dict[str, object]:
    value = table.get(key, {})
    if not isinstance(value, dict):
        raise ConfigurationError(f"{where}: {key}: must be a table")
    return value


def _limits(row: Mapping[str, object], base: Limits, where: str) -> Limits:
    _only(row, {field.name for field in fields(Limits)}, where)
    wide = row.get("provider_wide", base.provider_wide)
    if not isinstance(wide, bool):
        raise ConfigurationError(f"{where}.provider_wide: must be true or false, not {wide!r}")
    return replace(
        base,
        connections=_whole(row, "connections", base.connections, 1, where),
        messages_per_connection=_whole(row, "messages_per_connection", base.messages_per_connection, 1, where),
        provider_wide=wide,
        messages_per_second=_rate(row.get("messages_per_second", base.messages_per_second), where),
        messages_per_hour=_whole(row, "messages_per_hour", base.messages_per_hour, 0, where),
        tls=_tls(row.get("tls", base.tls), where),
    )


def _whole(row: Mapping[str, object], field: str, otherwise: int, least: int, where: str) -> int:
    value = row.get(field, otherwise)
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ConfigurationError(f"{where}.{field}: must be a whole number of at least {least}, not {value!r}")
    return value


def _rate(value: object, where: str) -> float:
    """TOML knows `inf` and `nan`; neither is a rate, and "no limit" is said with 0."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value) or value < 0:
        raise ConfigurationError(f"{where}.messages_per_second: must be a number of at least 0, not {value!r}")
    return float(value)


def _tls(value: object, where: str) -> Tls:
    if not isinstance(value, str) or value not in set(Tls):
        known = " or ".join(repr(str(tls)) for tls in Tls)
        raise ConfigurationError(f"{where}.tls: must be {known}, not {value!r}")
    return Tls(value)


def _suffixes(value: object, where: str) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(item, str) and item.strip(". ") for item in value):
        raise ConfigurationError(f"{where}.mx_suffixes: must be a list of host name endings, not {value!r}")
    # Dots at the ends are forgiven: elsewhere a suffix with one matched nothing, and nobody noticed.
    return [item.strip(". ").lower() for item in value]


def _only(table: Mapping[str, object], allowed: set[str], where: str) -> None:
    unknown = sorted(set(table) - allowed)
    if unknown:
        raise ConfigurationError(f"{where}: unknown field {unknown[0]!r}; known are {', '.join(sorted(allowed))}")
