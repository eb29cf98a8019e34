"""What `make dist` builds, built once in a run of tests, and put into environments far from the checkout.

The wheel is built from the source archive, as pip would build it, so both are whole. What it depends on is lent by the
environment of the tests.
"""

import fcntl
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cli.running.embedded_place import can_enter
from cli.running.processes import Account

_VERSION: Final = f"{sys.version_info[0]}.{sys.version_info[1]}"

ROOT = Path(__file__).parent.parent


def built() -> Path:
    """The folder with wheel and source archive."""
    folder = Path(os.environ["POSTLANE_TEST_RUN_FOLDER"]) / "dist"
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            partial = folder.with_suffix(".partial")
            build = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(partial), str(ROOT)]
            subprocess.run(build, check=True, capture_output=True, timeout=120)
            partial.rename(folder)
    return folder


@dataclass(frozen=True, slots=True)
class Environment:
    """A virtual environment with the wheel in it."""

    bin: Path
    env: Mapping[str, str]
    """What its programs want of theirs besides."""


def environment(place: Path, account: Account | None = None) -> Environment:
    """Made anew. Where `account` gets neither at our Python nor at our packages, copies of them lie beside it."""
    python, env = Path(sys.base_prefix) / "bin" / f"python{_VERSION}", dict[str, str]()
    packages = Path(sysconfig.get_path("purelib"))
    if account and not can_enter(account, python.parent):
        python = _copied_python(place.parent / "python")
        env = {"LD_LIBRARY_PATH": str(python.parent.parent / "lib")}
    if account and not can_enter(account, packages):
        packages = Path(shutil.copytree(packages, place.parent / "packages", symlinks=True))
    (wheel,) = built().glob("*.whl")
    pip = [sys.executable, "-m", "pip", "--python", str(place), "install", "--no-deps", "--quiet", str(wheel)]
    for command in ([str(python), "-m", "venv", "--without-pip", str(place)], pip):
        subprocess.run(command, check=True, capture_output=True, timeout=120, env={**os.environ, **env})
    (place / "lib" / f"python{_VERSION}" / "site-packages" / "lent.pth").write_text(f"{packages}\n")
    return Environment(place / "bin", env)


def _copied_python(target: Path) -> Path:
    """Python with its own library, without what it brings for tests and for building."""
    base = Path(sys.base_prefix)
    ignored = shutil.ignore_patterns("test", "site-packages", "config-*", "idlelib", "__pycache__")
    shutil.copytree(base / "lib" / f"python{_VERSION}", target / "lib" / f"python{_VERSION}", ignore=ignored)
    for library in (base / "lib").glob("libpython*.so*"):
        shutil.copy(library, target / "lib")
    (target / "bin").mkdir()
    return Path(shutil.copy((base / "bin" / f"python{_VERSION}").resolve(), target / "bin" / f"python{_VERSION}"))
