"""Mailbox providers: which one a set of MX hosts belongs to, and how many connections and mails it takes.

Owns the reading of `providers.toml` and the match. A provider is recognised by its mail servers, not by the recipient's
domain, so a company domain hosted at Google counts as Google. It knows nothing of rates, throttles or state. Called by
`mta/resolve` (name) and `mta/deliver` (limits).

Format of a file:

    [default]
    connections = 10                # from one of our IPs to one server
    messages_per_connection = 100

    [provider.gmail]
    mx_suffixes = ["google.com"]    # whole labels: "google.com" matches "mx.google.com", not "notgoogle.com"
    connections = 5                 # left out: the default row's
    messages_per_connection = 50
    provider_wide = true            # `connections` counts all servers of the provider together
"""

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from core.errors import ConfigurationError

OTHER = "other"
"""Name of everybody who is in no file: small domains, each with servers of its own."""

SHIPPED = Path(__file__).with_name("providers.toml")


@dataclass(frozen=True, slots=True)
class Limits:
    """What one provider takes from one of our IPs."""

    connections: int
    messages_per_connection: int
    provider_wide: bool = False
    """True: `connections` counts all servers of the provider together. False: each server by itself."""


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

    def limits(self, provider: str) -> Limits:
        """Limits of a provider; the default row for `OTHER` and for any unknown name."""
        return self.rows.get(provider, self.default)

    def _of(self, host: str) -> str:
        """The longest suffix decides: consumer Outlook and Microsoft 365 differ in it."""
        name = host.rstrip(".").lower()
        while name:
            found = self.suffixes.get(name)
            if found is not None:
                return found
            name = name.partition(".")[2]
        return OTHER


def load_providers(*paths: Path) -> Providers:
    """The shipped providers, then these files in order; a later one adds providers or changes fields of earlier ones.

    ConfigurationError naming the file and the field when something in it is wrong.
    """
    providers = _merge(Providers(Limits(10, 100), {}, {}), SHIPPED)
    for path in paths:
        providers = _merge(providers, path)
    return providers


def _merge(base: Providers, path: Path) -> Providers:
    table = _read(path)
    _only(table, {"default", "provider"}, str(path))
    default = _limits(_table(table, "default", str(path)), base.default, f"{path}: default")
    rows, suffixes = dict(base.rows), dict(base.suffixes)
    named_here: dict[str, str] = {}
    for name, row in _table(table, "provider", str(path)).items():
        where = f"{path}: provider.{name}"
        if name == OTHER or not isinstance(row, dict):
            raise ConfigurationError(f"{where}: must be a table, and not be called {OTHER!r}")
        row = dict(row)
        for suffix in _suffixes(row.pop("mx_suffixes", []), where):
            if named_here.setdefault(suffix, name) != name:
                raise ConfigurationError(f"{where}.mx_suffixes: {suffix!r} already belongs to {named_here[suffix]!r}")
            suffixes[suffix] = name
        if name not in suffixes.values():
            raise ConfigurationError(
                f"{where}.mx_suffixes: at least one is needed, or the provider is never recognised"
            )
        rows[name] = _limits(row, rows.get(name, default), where)
    return Providers(default, rows, suffixes)


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
    _only(row, {"connections", "messages_per_connection", "provider_wide"}, where)
    wide = row.get("provider_wide", base.provider_wide)
    if not isinstance(wide, bool):
        raise ConfigurationError(f"{where}.provider_wide: must be true or false, not {wide!r}")
    return replace(
        base,
        connections=_positive(row.get("connections", base.connections), f"{where}.connections"),
        messages_per_connection=_positive(
            row.get("messages_per_connection", base.messages_per_connection), f"{where}.messages_per_connection"
        ),
        provider_wide=wide,
    )


def _positive(value: object, where: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ConfigurationError(f"{where}: must be a whole number of at least 1, not {value!r}")
    return value


def _suffixes(value: object, where: str) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(item, str) and item.strip(". ") for item in value):
        raise ConfigurationError(f"{where}.mx_suffixes: must be a list of host name endings, not {value!r}")
    # Dots at the ends are forgiven: elsewhere a suffix with one matched nothing, and nobody noticed.
    return [item.strip(". ").lower() for item in value]


def _only(table: Mapping[str, object], allowed: set[str], where: str) -> None:
    unknown = sorted(set(table) - allowed)
    if unknown:
        raise ConfigurationError(f"{where}: unknown field {unknown[0]!r}; known are {', '.join(sorted(allowed))}")
