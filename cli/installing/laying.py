"""Puts the files of `postlane install` where they belong, below `/` or below another folder, as often as one likes.

Looks at everything first: while anything stands in the way, nothing is written. Settings that exist are never replaced,
only completed; a file of ours that somebody has edited is left, and named.
"""

import os
import secrets
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from cli.installing import files, urls
from cli.installing.files import File
from core import settings as core_settings
from core.errors import PostlaneError

_SYSUSERS: Final = "systemd-sysusers"
_VALKEY_FILES: Final = ("/etc/valkey/valkey.conf", "/etc/redis/redis.conf")
"""Of Debian's packages; the last is named where there is none yet."""
_HIDDEN: Final = ("/home", "/root", "/run/user", "/tmp", "/var/tmp")
"""The units hide these from what they run (ProtectHome, PrivateTmp)."""
_OLD: Final = ".old"


class InTheWayError(PostlaneError):
    """Something has to go, or to be decided, before anything can be laid out."""

    code = "in_the_way"

    def __init__(self, obstacles: Iterable[str]) -> None:
        super().__init__("Nothing was changed.\n" + "\n".join(f"- {one}" for one in obstacles))


class HalfWayError(PostlaneError):
    """The system did not let us go on."""

    code = "half_way"

    def __init__(self, what: str) -> None:
        super().__init__(f"{what.rstrip('.')}. What was written so far stays: put that right, and run this again.")


@dataclass(frozen=True, slots=True)
class Asked:
    """What a person asks for."""

    root: Path
    """Absolute. `/`, or a folder that stands for it."""
    program: Path
    """The program `postlane` that services run."""
    units: Path
    """Folder of the units as they are shipped."""
    given: Mapping[str, str]
    """Settings named on the command line."""
    replace: bool = False
    """Files of others that stand in the way are kept as `.old`."""


@dataclass(frozen=True, slots=True)
class Done:
    """What became, or would become, of one file, folder or user."""

    what: str
    did: str
    """made, completed, updated, replaced, unchanged"""


@dataclass(frozen=True, slots=True)
class Plan:
    """What there is to do."""

    asked: Asked
    settings: Mapping[str, str]
    """All of them, once the lines are added."""
    added: Mapping[str, str]
    """Lines that the settings lack."""
    texts: tuple[File, ...]
    states: Mapping[PurePosixPath, str]
    """What becomes of each of `texts`."""

    def told(self) -> Iterator[Done]:
        """In the order of doing."""
        yield Done(f"user {files.USER}", "unchanged" if _ids(self.asked.root) else "made")
        yield Done(str(files.DATA), _state_of_data(_at(self.asked.root, files.DATA)))
        exists = _at(self.asked.root, files.SETTINGS).exists()
        yield Done(str(files.SETTINGS), ("completed" if self.added else "unchanged") if exists else "made")
        yield from (Done(str(file.path), self.states[file.path]) for file in self.texts)

    def next_steps(self) -> list[str]:
        """Commands that a person types now: nothing is started before this server has a name."""
        if "POSTLANE_HOSTNAME" not in self.settings:
            return [_named(self.asked)]
        there = (one for one in _VALKEY_FILES if _at(self.asked.root, PurePosixPath(one)).exists())
        root = PurePosixPath(self.asked.root)
        return list(files.next_steps(self.settings, next(there, _VALKEY_FILES[-1]), root))

    def remarks(self) -> list[str]:
        """What to know about it."""
        hidden = () if self.asked.root == Path("/") else _hidden(self.asked)
        return [*files.remarks(self.settings), *hidden]


def plan(asked: Asked) -> Plan:
    """Look, and write nothing. Raises InTheWayError with everything that stands in the way."""
    wrong = [*_of_the_machine(asked), *_of_the_program(asked), *_of_folders(asked.root)]
    if wrong:
        raise InTheWayError(wrong)
    stands = _read(asked.root)
    wrong = [
        *_contradicted(stands, asked.given),
        *_unreadable(stands | {name: value for name, value in asked.given.items() if value}),
    ]
    if wrong:
        raise InTheWayError(wrong)
    added = {name: value for name, value in _wanted(stands, asked.given).items() if not stands.get(name)}
    texts = tuple(files.files(_units(asked), _on_server(asked, asked.program), stands | added))
    states = {file.path: _state(_at(asked.root, file.path), file) for file in texts}
    wrong = [*_of_the_settings(asked.root, added)]
    wrong += (
        [] if asked.replace else [_foreign(asked.root, path) for path, state in states.items() if state == "replaced"]
    )
    wrong += [
        f"{path}{_OLD} exists already: move it away."
        for path, state in states.items()
        if state == "replaced" and asked.replace and os.path.lexists(_at(asked.root, path.with_name(path.name + _OLD)))
    ]
    if wrong:
        raise InTheWayError(wrong)
    return Plan(asked, stands | added, added, texts, states)


def lay(made: Plan) -> None:
    """Do what the plan says. Raises HalfWayError when the system does not let us."""
    root = made.asked.root
    try:
        _lay(made, root)
    except OSError as error:
        raise HalfWayError(f"{error.filename or root}: {error.strerror}") from error


def _lay(made: Plan, root: Path) -> None:
    _folder(_at(root, files.SETTINGS.parent), 0o700)
    _settings(_at(root, files.SETTINGS), made.added)
    for file in made.texts:
        if made.states[file.path] != "unchanged":
            _write(_at(root, file.path), file, keep=made.states[file.path] == "replaced")
    if not _ids(root):
        _make_user(root)
    data, ids = _at(root, files.DATA), _ids(root)
    if _state_of_data(data) != "unchanged":
        data.mkdir(0o700, parents=True, exist_ok=True)
        data.chmod(0o700)
        if ids and os.geteuid() == 0:
            os.chown(data, *ids)


# What stands in the way


def _of_the_machine(asked: Asked) -> Iterator[str]:
    if not asked.root.is_dir():
        yield f"{asked.root} is no folder."
    elif asked.root == Path("/") and os.geteuid() != 0:
        yield "Users and units are for root to make: sudo, or --root DIR to look at it elsewhere."
    if shutil.which(_SYSUSERS) is None:
        yield "There is no systemd here (apt install systemd). Without it: docker compose, or any supervisor of yours."
    if not any(asked.units.glob("*.service")):
        yield f"{asked.units} has no units: a container image brings none."


def _of_the_program(asked: Asked) -> Iterator[str]:
    if not asked.program.exists():
        yield f"{asked.program} does not exist: run this by the `postlane` that the services are to run."
    if asked.root == Path("/"):
        yield from _hidden(asked)
        closed = [one for one in asked.program.resolve().parents if not one.stat().st_mode & 0o001]
        yield from (f"{one} lets the user {files.USER} not pass: chmod o+x {one}" for one in closed)


def _hidden(asked: Asked) -> Iterator[str]:
    """Of a server it is in the way; below another folder, where nothing runs, worth knowing."""
    place, python = _on_server(asked, asked.program), _on_server(asked, Path(sys.executable).resolve())
    if any(place.is_relative_to(hidden) for hidden in _HIDDEN):
        yield f"{place} is where services cannot look: install Postlane below /opt, say, and run it from there."
    elif any(python.is_relative_to(hidden) for hidden in _HIDDEN):
        yield f"The Python behind it, {python}, is where services cannot look: make its environment with another."


def _of_folders(root: Path) -> Iterator[str]:
    """Files where folders should be."""
    for path in (files.SETTINGS.parent, files.DATA, files.UNITS, files.COMMAND.parent, files.ACCOUNT.parent):
        for part in (path, *path.parents):
            there = _at(root, part)
            if os.path.lexists(there) and not there.is_dir():
                what = "a link to nothing" if there.is_symlink() and not there.exists() else "a file"
                yield f"{there} is {what}, and has to be a folder: move it away."


def _of_the_settings(root: Path, added: Mapping[str, str]) -> Iterator[str]:
    file = _at(root, files.SETTINGS)
    if added and file.is_symlink():
        lacks = ", ".join(added)
        yield f"{file} is a link, and lacks {lacks}: put the file itself there, or these lines where it leads."


def _unreadable(given: Mapping[str, str]) -> Iterator[str]:
    for name in (urls.DATABASE, urls.QUEUE):
        if (url := given.get(name)) and (trouble := urls.trouble(name, url)):
            yield f"{name} {trouble}."


def _contradicted(stands: Mapping[str, str], given: Mapping[str, str]) -> Iterator[str]:
    for name, value in given.items():
        if value and stands.get(name, value) != value:
            yield f"{files.SETTINGS} says another {name}: change it there, or leave the option out."


def _named(asked: Asked) -> str:
    """The command with a name. By the program itself: the command that is laid out gives root's rights up."""
    below = [] if asked.root == Path("/") else ["--root", str(asked.root)]
    return shlex.join([str(asked.program), "install", "--hostname", "mail.example.com", *below])


def _foreign(root: Path, path: PurePosixPath) -> str:
    what = "is a link" if _at(root, path).is_symlink() else "is not ours, or was edited"
    where = f"{path} {what}"
    if path.suffix in (".service", ".target"):
        return f"{where}: put changes into a drop-in (systemctl edit {path.name}) and use --replace, which keeps it."
    return f"{where}: move it away, or use --replace, which keeps it as {path.name}{_OLD}."


# What is there


def _at(root: Path, path: PurePosixPath) -> Path:
    return root / path.relative_to("/")


def _on_server(asked: Asked, path: Path) -> PurePosixPath:
    """As the server will see a path below the root."""
    if asked.root != Path("/") and path.is_relative_to(asked.root):
        return PurePosixPath("/") / path.relative_to(asked.root)
    return PurePosixPath(path)


def _read(root: Path) -> dict[str, str]:
    file = _at(root, files.SETTINGS)
    try:
        return core_settings.given_by(file) if file.exists() else {}
    except (OSError, UnicodeDecodeError) as error:
        raise InTheWayError([f"{file} cannot be read: {error}"]) from error


def _wanted(stands: Mapping[str, str], given: Mapping[str, str]) -> dict[str, str]:
    """Lines that have to be there: passwords are made once."""
    database, queue = secrets.token_hex(24), secrets.token_hex(24)
    made = {
        "POSTLANE_SECRET": secrets.token_hex(32),
        "POSTLANE_HOSTNAME": "",
        "POSTLANE_DATABASE_URL": f"postgresql://postlane:{database}@127.0.0.1:5432/postlane",
        "POSTLANE_REDIS_URL": f"redis://:{queue}@127.0.0.1:6379/0",
    }
    wanted = made | {name: value for name, value in given.items() if value}
    return {name: value for name, value in wanted.items() if value}


def _units(asked: Asked) -> dict[str, str]:
    shipped = (*asked.units.glob("*.service"), *asked.units.glob("*.target"))
    return {file.name: file.read_text("utf-8") for file in shipped}


def _state(there: Path, file: File) -> str:
    if not os.path.lexists(there):
        return "made"
    try:
        text = there.read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        return "replaced"
    if text == file.text:
        return "unchanged"
    return "updated" if files.unedited(text) and not there.is_symlink() else "replaced"


def _state_of_data(data: Path) -> str:
    """One that is still root's was made by a run that did not come to its end."""
    if not data.is_dir():
        return "made"
    return "updated" if os.geteuid() == 0 and data.stat().st_uid == 0 else "unchanged"


def _ids(root: Path) -> tuple[int, int] | None:
    """Number of user and group; None while there is no such user."""
    try:
        lines = _at(root, PurePosixPath("/etc/passwd")).read_text("utf-8", "replace").splitlines()
    except OSError:
        return None
    found = next((line.split(":") for line in lines if line.startswith(f"{files.USER}:")), None)
    return (int(found[2]), int(found[3])) if found else None


# Doing


def _folder(path: Path, mode: int) -> None:
    if not path.is_dir():
        path.mkdir(parents=True)
        path.chmod(mode)


def _settings(path: Path, added: Mapping[str, str]) -> None:
    if added:
        before = path.read_text("utf-8") if path.exists() else ""
        _write(path, File(files.SETTINGS, files.settings_text(added, before), 0o600))


def _write(path: Path, file: File, *, keep: bool = False) -> None:
    """Whole or not at all, and with its mode from the beginning."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.fresh")
    fresh.unlink(missing_ok=True)
    with open(fresh, "x", encoding="utf-8", opener=lambda name, flags: os.open(name, flags, 0o600)) as out:
        out.write(file.text)
    fresh.chmod(file.mode)
    if keep:
        path.rename(path.with_name(path.name + _OLD))
    fresh.replace(path)


def _make_user(root: Path) -> None:
    where = [] if root == Path("/") else [f"--root={root}"]
    run = subprocess.run(
        [_SYSUSERS, *where, str(_at(root, files.ACCOUNT))], capture_output=True, text=True, check=False
    )
    if run.returncode:
        raise HalfWayError(f"The user {files.USER} could not be made: {run.stderr.strip()}")
