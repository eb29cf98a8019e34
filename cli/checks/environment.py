"""The environment and `.env`: names that nobody reads, lines that say nothing, values that lose against others."""

import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from cli.checks.findings import Finding, Level
from core import settings as core_settings
from core.misnamed import misnamed

_FILE: Final = Path(".env")
_LINE: Final = re.compile(r"\s*(?:#.*|(?:export\s+)?[A-Za-z_][A-Za-z0-9_]*\s*=.*)?")
_SHOWN: Final = 5
_PREFIX: Final = "POSTLANE_"
_SECRET: Final = "POSTLANE_SECRET"


def environment() -> Iterator[Finding]:
    """What is wrong with what was given. Values are never shown."""
    try:
        given, file = core_settings.given()
    except (OSError, UnicodeDecodeError):
        return  # said by whoever reads the settings
    for one in misnamed({*given, *file}):
        where = f" (in {_FILE})" if one.name in file else ""
        do = f"write {one.meant}" if one.meant else "take it out: docs/settings.md has every setting"
        yield Finding("settings", Level.WARNING, f"{one.name}{where} is no setting: it does nothing", do)
    if _FILE.is_file():
        yield from _file(given, file)
    else:
        yield Finding(".env", Level.OK, f"none in {Path.cwd()}: the environment alone counts")


def _file(given: dict[str, str], file: dict[str, str]) -> Iterator[Finding]:
    sound = True
    for finding in (_unread(), _overruled(given, file), _open_to_all(file)):
        if finding is not None:
            sound = False
            yield finding
    if sound:
        yield Finding(".env", Level.OK, f"{_FILE.resolve()}: {len(file)} variables")


def _unread() -> Finding | None:
    lines = _FILE.read_text(encoding="utf-8", errors="replace").splitlines()
    ours = ((number, line) for number, line in enumerate(lines, 1) if _PREFIX in line)
    wrong = [str(number) for number, line in ours if not _LINE.fullmatch(line)]
    if not wrong:
        return None
    told = f"line{'s' * (len(wrong) > 1)} {', '.join(wrong[:_SHOWN])} of {_FILE.resolve()}"
    return Finding(".env", Level.FAILED, f"{told}: no NAME=value, so it does nothing", "correct it, or begin it with #")


def _overruled(given: dict[str, str], file: dict[str, str]) -> Finding | None:
    both = sorted(name for name in given.keys() & file.keys() if given[name] != file[name])
    if not both:
        return None
    told = f"{', '.join(both[:_SHOWN])} stand in {_FILE} and, otherwise, in the environment: the environment counts"
    return Finding(".env", Level.WARNING, told, "keep one of the two")


def _open_to_all(file: dict[str, str]) -> Finding | None:
    if _SECRET not in file or not _FILE.stat().st_mode & (stat.S_IROTH | stat.S_IWOTH):
        return None
    return Finding(".env", Level.WARNING, "everybody on this machine can read the secret in it", f"chmod 600 {_FILE}")
