"""Which test files begin first. A file stays in one process, so a long one that begins last is waited for by itself."""

from pathlib import Path
from typing import Final

LONGEST: Final = (
    "tests/integration/api/test_contract.py",
    "tests/integration/cli/test_embedded.py",
    "tests/integration/cli/test_data_folder.py",
    "tests/integration/workers/test_lane_worker.py",
    "tests/integration/pools/test_connections.py",
    "tests/integration/inbound/test_processes.py",
    "tests/integration/workers/test_pipeline_trouble.py",
    "tests/unit/simulator/test_rehearsal.py",
    "tests/integration/cli/test_terminal.py",
    "tests/integration/workers/test_reroute.py",
    "tests/integration/warmup/test_ledger.py",
    "tests/integration/warmup/test_ledger_properties.py",
    "tests/unit/deploy/test_operations.py",
    "tests/unit/test_guards.py",
)


def place(file: Path, root: Path) -> int:
    """What to sort by: those of `LONGEST` in its order, then all others."""
    known = {root / name: number for number, name in enumerate(LONGEST)}
    return known.get(file, len(LONGEST))
