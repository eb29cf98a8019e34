"""A cluster that initdb makes once in a run of tests, and that tests about other things get copies of.

initdb takes longer than all else that such a test does. The copies do without fsync: what dies in these tests is a
process, never the machine.
"""

import fcntl
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Final

from cli.running.embedded_place import Place

Make = Callable[[Place, Path, Path], None]
"""What `cli.running.embedded_postgres._initdb` is: place, programs, and the folder to make."""

_LOCAL: Final = "fsync = off\nfull_page_writes = off\n"


def copying(make: Make, kept: Path) -> Make:
    """Like `make`, which is called for the first cluster of each account alone. `kept` is a folder of this run."""

    def copy(place: Place, programs: Path, cluster: Path) -> None:
        owner = place.account.uid if place.account else os.geteuid()
        original = kept / f"cluster-of-{owner}"
        with (kept / "clusters.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not original.exists():
                make(place, programs, cluster)
                (cluster / "local.conf").write_text(_LOCAL)
                os.chown(cluster / "local.conf", owner, -1)
                _copy(cluster, original.with_suffix(".partial")).rename(original)
                return
        _copy(original, cluster)

    return copy


def _copy(source: Path, target: Path) -> Path:
    subprocess.run(["cp", "-a", "--reflink=auto", source, target], check=True)
    return target
