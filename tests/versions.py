"""Two versions of Postlane that run together: the one before, and the one it is upgraded to.

Where the repository's history is at hand the version before is what it was: its code, out of the history, on its
tables. In a shallow clone or an unpacked archive it is not. Then this code is the version before, and the newer one is
a copy of it under another version with one more migration of the kind that is allowed: a column and an index of the
largest tables. Either way tables are migrated, and every process replaced, while mail flows.
"""

import os
import shutil
import signal
import subprocess
import tarfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Final

from cli.context import CHECKOUT
from cli.running.processes import Service
from store import revisions
from tests import older
from tests.stack import RunningStack

BEFORE: Final = "f7678a0d42bcf9e71d1a667d969789706a5a6e33"
"""The last commit of `older.REVISION`. There is no release yet; the first one takes its place."""

_NEXT: Final = '''"""What a version to come might add."""

from store.online import change, index

revision = "{revision}"
down_revision = "{before}"
branch_labels = None
depends_on = None


def upgrade() -> None:
    change("ALTER TABLE emails ADD COLUMN IF NOT EXISTS to_come text NOT NULL DEFAULT ''")
    change("ALTER TABLE delivery_queue ADD COLUMN IF NOT EXISTS to_come uuid")
    index("delivery_queue_to_come", "delivery_queue", "(to_come) WHERE to_come IS NOT NULL")


def downgrade() -> None:
    change("ALTER TABLE delivery_queue DROP COLUMN to_come", "ALTER TABLE emails DROP COLUMN to_come")
'''


@dataclass(frozen=True, slots=True)
class Version:
    """Where its code is, and the revision of its tables."""

    name: str
    root: Path
    revision: str

    def runs(self, service: Service) -> Service:
        """The same process, of this version."""
        return replace(service, cwd=self.root, env=self.env(service.env))

    def env(self, env: Mapping[str, str]) -> dict[str, str]:
        return {**env, "PYTHONPATH": str(self.root)}


def pair(folder: Path) -> tuple[Version, Version]:
    """(before, after), their code below `folder` where it is not this checkout."""
    if (code := _history()) is not None:
        with tarfile.open(fileobj=BytesIO(code)) as archive:
            archive.extractall(folder / "before", filter="data")
        return Version("before", folder / "before", older.REVISION), Version("now", CHECKOUT, revisions.newest())
    return Version("now", CHECKOUT, revisions.newest()), _to_come(folder / "to-come")


def _history() -> bytes | None:
    """The code of the version before; None where the history is not at hand."""
    if shutil.which("git") is None:
        return None
    names = [f":(exclude){name}" for name in ("tests", "docs", "bench")]
    done = subprocess.run(
        ["git", "archive", "--format=tar", BEFORE, "--", ".", *names], cwd=CHECKOUT, capture_output=True, check=False
    )
    return done.stdout if done.returncode == 0 else None


def _to_come(root: Path) -> Version:
    for file in CHECKOUT.iterdir():
        if (file / "__init__.py").exists() and file.name not in ("tests", "bench"):
            shutil.copytree(file, root / file.name, ignore=shutil.ignore_patterns("__pycache__"))
    number = f"{int(revisions.newest()) + 1:04}"
    migration = _NEXT.format(revision=number, before=revisions.newest())
    (root / "store" / "migrations" / "versions" / f"{number}_to_come.py").write_text(migration)
    text = (CHECKOUT / "pyproject.toml").read_text(encoding="utf-8")
    (root / "pyproject.toml").write_text(text.replace('version = "', 'version = "1', 1))
    return Version("to come", root, number)


def upgrade(stack: RunningStack, service: str, to: Version) -> float:
    """End a process as whoever upgrades it does (SIGTERM); its successor is of that version. The seconds its end
    took. Fails when it did not end by itself, or not well."""
    assert stack.supervisor is not None
    process = stack.supervisor.process(service)
    process.service = to.runs(process.service)
    old, began = stack.pid(service), time.monotonic()
    os.kill(old, signal.SIGTERM)
    stack.until(lambda: stack.states()[service].pid != old, 60, f"the end of {service}")
    took = time.monotonic() - began
    stack.tick()
    status = stack.states()[service].exit_code
    assert status == 0, f"{service} ended with status {status}"
    return took
