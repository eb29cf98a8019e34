"""Every file that `postlane install` lays out, with its place, its text and who may read it. Pure.

Paths are those of the server, whatever folder the files are written below. The units are those of `deploy/systemd`, but
for the program's path. Each file carries a mark with a digest of its text: one that somebody has edited is known.
"""

import hashlib
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final
from urllib.parse import unquote, urlsplit

from cli.installing.urls import DATABASE, QUEUE

_ROOT: Final = PurePosixPath("/")

USER: Final = "postlane"
SETTINGS: Final = PurePosixPath("/etc/postlane/postlane.env")
DATA: Final = PurePosixPath("/var/lib/postlane")
SQL: Final = PurePosixPath("/etc/postlane/postgresql.sql")
VALKEY: Final = PurePosixPath("/etc/postlane/valkey.conf")
UNITS: Final = PurePosixPath("/etc/systemd/system")
COMMAND: Final = PurePosixPath("/usr/local/bin/postlane")
ACCOUNT: Final = PurePosixPath("/etc/sysusers.d/postlane.conf")

PROGRAM_OF_UNITS: Final = "/opt/postlane/.venv/bin/postlane"
"""What stands in `deploy/systemd`."""

_SAYS: Final = 'Laid out by "postlane install", {}. Edited, it is left alone.\n'
_MARK: Final = re.compile("^(?:#|--) " + _SAYS.replace(".", r"\.").format("([0-9a-f]{12})"), re.M)

_SETTINGS: Final = """\
# Settings of every Postlane process on this server; docs/settings.md has them all. Read by systemd, and by the command
# `postlane`. Keep a copy in a safe place: without POSTLANE_SECRET the DKIM keys in the database cannot be read.
"""

_ACCOUNT: Final = f"""\
u {USER} - "Postlane" {DATA} /usr/sbin/nologin
"""

_COMMAND: Final = """\
#!/bin/sh
# The command with the settings of the services, as their user and in their folder: root's own is closed to that user.
settings={settings}
if [ ! -r "$settings" ]; then
  echo "postlane: $settings is for root to read: sudo postlane ..." >&2
  exit 1
fi
while IFS= read -r line || [ -n "$line" ]; do
  case $line in
    POSTLANE_*=\\"*\\"|POSTLANE_*=\\'*\\')
      name=${{line%%=*}} value=${{line#*=?}}
      export "$name=${{value%?}}" ;;
    POSTLANE_*=*) export "$line" ;;
  esac
done < "$settings"
export POSTLANE_DATA_DIR={data}
if [ "$(id -u)" = 0 ]; then
  cd {data} || exit
  exec setpriv --reuid={user} --regid={user} --clear-groups -- {program} "$@"
fi
exec {program} "$@"
"""

_SQL: Final = """\
-- Role and database, and what PostgreSQL has to do for a queue. May be run again. For psql, as a superuser.
SELECT format('CREATE ROLE %I LOGIN', {role}) WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = {role}) \\gexec
{secret}
SELECT format('CREATE DATABASE %I OWNER %I ENCODING ''UTF8'' LOCALE ''C.UTF-8'' TEMPLATE template0', {base}, {role})
 WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = {base}) \\gexec
-- A forgotten transaction stops vacuum, and the queue slows down.
SELECT format('ALTER DATABASE %I SET idle_in_transaction_session_timeout = ''60s''', {base}) \\gexec
-- They cost more than they give for short statements.
SELECT format('ALTER DATABASE %I SET jit = off', {base}) \\gexec
SELECT format('ALTER DATABASE %I SET max_parallel_workers_per_gather = 0', {base}) \\gexec
-- Queue rows live for seconds: dead ones must go quickly.
ALTER SYSTEM SET autovacuum_naptime = '10s';
ALTER SYSTEM SET autovacuum_vacuum_cost_delay = 0;
ALTER SYSTEM SET max_wal_size = '4GB';
-- Up to ten for each process. Wants a restart of the server.
ALTER SYSTEM SET max_connections = 200;
SELECT pg_reload_conf();
"""

_SECRET: Final = "SELECT format('ALTER ROLE %I PASSWORD %L', {role}, {password}) \\gexec"
_NO_SECRET: Final = "-- The settings name no password for it: it keeps what it has."

_VALKEY: Final = """\
# For the configuration of Valkey (or Redis 7): it holds hints, and a queue that forgets silently is worse than one that
# refuses.
{secret}
appendonly yes
maxmemory 512mb
maxmemory-policy noeviction
"""


@dataclass(frozen=True, slots=True)
class File:
    """One file as it should stand."""

    path: PurePosixPath
    text: str
    mode: int = 0o644


def files(units: Mapping[str, str], program: PurePosixPath, given: Mapping[str, str]) -> Iterator[File]:
    """All but the settings. `units` are texts by name, `given` what the settings say."""
    yield File(ACCOUNT, marked(_ACCOUNT))
    yield File(SQL, marked(_sql(given[DATABASE]), "--"), 0o600)
    yield File(VALKEY, marked(_VALKEY.format(secret=_requirepass(password_of(given[QUEUE])))), 0o600)
    for name, text in sorted(units.items()):
        yield File(UNITS / name, marked(text.replace(PROGRAM_OF_UNITS, str(program))))
    command = _COMMAND.format(settings=SETTINGS, data=DATA, user=USER, program=program)
    yield File(COMMAND, marked(command), 0o755)


def settings_text(lines: Mapping[str, str], before: str = "") -> str:
    """The settings with these lines put behind what stands there."""
    begin = before if not before or before.endswith("\n") else f"{before}\n"
    return (begin or _SETTINGS) + "".join(f"{name}={value}\n" for name, value in lines.items())


def password_of(url: str) -> str:
    """The password in a URL; "" when it has none."""
    return unquote(urlsplit(url).password or "")


def is_here(url: str) -> bool:
    """Whether a server's URL leads to this machine."""
    return urlsplit(url).hostname in (None, "", "127.0.0.1", "::1", "localhost")


def marked(text: str, comment: str = "#") -> str:
    """With the mark, below a first line that the system reads."""
    mark = f"{comment} {_SAYS.format(_digest(text))}"
    if text.startswith("#!"):
        first, _, rest = text.partition("\n")
        return f"{first}\n{mark}{rest}"
    return mark + text


def unedited(text: str) -> bool:
    """Whether a file is as an earlier run has written it."""
    found = _MARK.search(text)
    return found is not None and found[1] == _digest(_MARK.sub("", text, count=1))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _sql(url: str) -> str:
    parts = urlsplit(url)
    role, base = unquote(parts.username or USER), unquote(parts.path.lstrip("/")) or USER
    names = {"role": _quoted(role), "base": _quoted(base)}
    password = password_of(url)
    secret = _SECRET.format(password=_quoted(password), **names) if password else _NO_SECRET
    return _SQL.format(secret=secret, **names)


def _requirepass(password: str) -> str:
    """Valkey reads a line by words: a blank ends one, but for quotation marks."""
    if not password:
        return "# The settings name no password: none is asked for."
    if re.fullmatch(r"[\w.~-]+", password, re.A):
        return f"requirepass {password}"
    escaped = password.replace("\\", "\\\\").replace('"', '\\"')
    return f'requirepass "{escaped}"'


def _quoted(text: str) -> str:
    doubled = text.replace("'", "''")
    return f"'{doubled}'"


def remarks(given: Mapping[str, str]) -> Iterator[str]:
    """What is as it was asked for, and may not be what was meant."""
    if not password_of(given[DATABASE]):
        yield f"{DATABASE} has no password: {SQL.name} sets none."
    if not password_of(given[QUEUE]):
        yield f"{QUEUE} has no password: {VALKEY.name} sets none, and Valkey asks for none."


def next_steps(given: Mapping[str, str], valkey: str, root: PurePosixPath = _ROOT) -> Iterator[str]:
    """What root types now. `valkey` is the configuration file of the server that is there; files are below `root`."""
    if is_here(given[DATABASE]):
        yield f"runuser -u postgres -- psql -qX < {_below(root, SQL)}"
        yield "systemctl restart postgresql"
    else:
        yield f"psql -qX < {_below(root, SQL)}   # there, as a superuser"
    if is_here(given[QUEUE]):
        yield f"cat {_below(root, VALKEY)} >> {_below(root, PurePosixPath(valkey))}"
        yield f"systemctl restart {'valkey' if 'valkey' in valkey else 'redis'}-server"
    yield "systemctl daemon-reload"
    yield "systemctl enable --now postlane.target"
    yield "postlane doctor"


FIRST_MAIL: Final = (
    ("postlane ips add 203.0.113.10 --ehlo t1.mail.example.com", "an IP that sends"),
    ("postlane pools create receipts --lane transactional", "a pool"),
    ("postlane pools attach receipts 203.0.113.10", "with it in it"),
    ("postlane domains create shop.example", "whose mail it is"),
    ("postlane keys create shop", "for the application"),
    ("postlane console link", "the first person in"),
)
"""What comes after `doctor`, with what it is."""


def _below(root: PurePosixPath, path: PurePosixPath) -> str:
    return shlex.quote(str(root / path.relative_to("/")))
