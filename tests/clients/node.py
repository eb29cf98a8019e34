"""Programs for Node in the folders beside this file, each with a lock file of its own."""

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

import pytest


def installed(client: Path) -> Path:
    """The folder with the packages of a client's lock file; made once per lock file and machine."""
    if shutil.which("npm") is None:
        pytest.skip("needs npm and Node 20 or newer (packages npm and nodejs)")
    lock = (client / "package-lock.json").read_bytes()
    name = f"postlane-{client.name}-{os.getuid()}-{hashlib.sha256(lock).hexdigest()[:16]}"
    folder = Path(tempfile.gettempdir()) / name
    if not (folder / "installed").exists():
        fresh = Path(tempfile.mkdtemp(prefix=name))
        for file in ("package.json", "package-lock.json"):
            shutil.copy(client / file, fresh)
        run("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", cwd=fresh)
        (fresh / "installed").touch()
        shutil.rmtree(folder, ignore_errors=True)
        fresh.rename(folder)
    return folder


def run(*command: str, cwd: Path, env: Mapping[str, str] | None = None) -> str:
    """What a program printed; its failure is the test's."""
    done = subprocess.run(
        command, cwd=cwd, capture_output=True, text=True, check=False, timeout=240, env={**os.environ, **(env or {})}
    )
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout[-3000:]}{done.stderr[-3000:]}"
    return done.stdout
