"""Two running Postlanes for the tests that kill: what is killed comes back, so that one stack is enough for many.

Each test has addresses of its own, and what counts for it begins with it (`RunningStack.begin`). It leaves everything
running and nothing due.
"""

from collections.abc import Iterator

import pytest

from cli.running import free_ports, supervisor
from cli.running.stack import Shape
from tests.chaos.proof import QUICK
from tests.stack import Options, RunningStack, running_stack

LEASE_SECONDS = 8
"""Short, because a claim whose answer was lost with the database holds its mail for that long."""


@pytest.fixture(scope="session")
def _quick_restarts() -> Iterator[None]:
    """Nobody is at fault who is killed all the time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(supervisor, "LONGEST_RESTART_SECONDS", 1.0)
        yield


@pytest.fixture(scope="session")
def whole_stack(_quick_restarts: None) -> Iterator[RunningStack]:
    """Every kind of process once."""
    shape = Shape(public=True, submission_port=free_ports.take(1)[0])
    with running_stack(Options(shape, quick_env())) as stack:
        yield stack


@pytest.fixture(scope="session")
def double_stack(_quick_restarts: None) -> Iterator[RunningStack]:
    """Two workers for marketing mail, and nothing that does not send."""
    with running_stack(Options(Shape(marketing=2, background=0, inbound=False), quick_env())) as stack:
        yield stack


@pytest.fixture
def stack(whole_stack: RunningStack) -> RunningStack:
    """Everything runs, and nothing has happened yet."""
    whole_stack.begin()
    return whole_stack


@pytest.fixture
def two_workers(double_stack: RunningStack) -> RunningStack:
    """Everything runs, and nothing has happened yet."""
    double_stack.begin()
    return double_stack


def quick_env() -> dict[str, str]:
    """Settings of every process."""
    return QUICK | {"POSTLANE_LEASE_SECONDS": str(LEASE_SECONDS)}
