"""Which tests begin first, and which stay together when several processes share them."""

from typing import Final

import pytest

LONGEST: Final = (
    "tests/chaos/test_worker_killed.py",
    "tests/chaos/test_random_kills.py",
    "tests/chaos/test_postgres_killed.py",
    "tests/scenarios/test_snippets.py",
    "tests/scenarios/test_lanes.py",
    "tests/scenarios/test_demo.py",
    "tests/integration/api/test_contract.py",
    "tests/integration/cli/test_embedded.py",
    "tests/integration/workers/test_lane_worker.py",
    "tests/integration/cli/test_data_folder.py",
    "tests/integration/pools/test_connections.py",
    "tests/unit/simulator/test_rehearsal.py",
    "tests/integration/inbound/test_processes.py",
    "tests/integration/api/test_injection.py",
    "tests/integration/api/test_serve.py",
    "tests/integration/cli/test_terminal.py",
    "tests/integration/api/test_parameters.py",
    "tests/integration/workers/test_reroute.py",
    "tests/integration/workers/test_pipeline_trouble.py",
    "tests/integration/warmup/test_ledger.py",
    "tests/integration/warmup/test_ledger_properties.py",
    "tests/unit/deploy/test_operations.py",
    "tests/unit/test_guards.py",
)
_PLACE: Final = {name: number for number, name in enumerate(LONGEST)}

_STACKS: Final = ("whole_stack", "double_stack")
"""Fixtures that start a Postlane for many tests."""
_APART: Final = frozenset({"tests/chaos/test_random_kills.py"})
"""So long that a Postlane of its own costs less than waiting for the others."""


def place(item: pytest.Item) -> int:
    """What to sort by: those of `LONGEST` in its order, then all others. A file stays in one process, so a long one
    that begins last is waited for by itself."""
    return _PLACE.get(item.nodeid.partition("::")[0], len(LONGEST))


def group(item: pytest.Item) -> str:
    """Tests of one group run in one process: those that share a running Postlane, else those of a file."""
    file = item.nodeid.partition("::")[0]
    known = item._fixtureinfo.name2fixturedefs if isinstance(item, pytest.Function) else {}
    shared = [f"{known[name][-1].baseid}/{name}" for name in _STACKS if name in known]
    return shared[0] if shared and file not in _APART else file
