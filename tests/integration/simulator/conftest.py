"""A practice internet as a process of its own, once per module, forgotten between tests."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from simulator import client
from simulator.state import SimulatorState


@contextmanager
def simulator_process(folder: Path, *options: str) -> Iterator[SimulatorState]:
    """`python -m simulator run` with its state in `folder`; ended by SIGTERM, which must succeed."""
    state_file = folder / "simulator.json"
    command = [sys.executable, "-m", "simulator", "run", "--state", str(state_file), *options]
    with subprocess.Popen(command) as process:
        try:
            yield client.wait_for_state(state_file)
        finally:
            process.terminate()
            code = process.wait(10)
    assert code == 0
    assert not state_file.exists()


@pytest.fixture(scope="module")
def simulator_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the module's simulator keeps its state file and zones.json."""
    return tmp_path_factory.mktemp("simulator")


@pytest.fixture(scope="module")
def running_simulator(simulator_folder: Path) -> Iterator[SimulatorState]:
    """One process for all tests of a module."""
    zones = simulator_folder / "zones.json"
    with simulator_process(simulator_folder, "--zones", str(zones), "--greylist-seconds", "0.5") as state:
        yield state


@pytest.fixture
def simulator(running_simulator: SimulatorState) -> SimulatorState:
    """The module's simulator with nothing remembered."""
    client.reset(running_simulator)
    return running_simulator
