"""One running Postlane for all stories of this folder. A story leaves it as it found it: everything up, nothing due."""

from collections.abc import Iterator
from importlib.util import find_spec

import pytest

from cli.running.stack import Shape
from tests.collector import Collector
from tests.stack import Options, RunningStack, running_stack


@pytest.fixture(scope="session")
def collector() -> Iterator[Collector | None]:
    """Where every process sends traces, of mail whose sender asks for it (`test_traces`). None without the extra."""
    if find_spec("opentelemetry.exporter") is None:
        yield None
        return
    with Collector() as running:
        yield running


@pytest.fixture(scope="session")
def whole_stack(collector: Collector | None) -> Iterator[RunningStack]:
    """Started with the first story that wants it."""
    shape = Shape(background=1, inbound=True, public=True, console=True)
    env = {
        "POSTLANE_CONNECTIONS_PER_HOST": "4",
        "POSTLANE_LOG_LEVEL": "warning",
        "POSTLANE_CONFIRMATION_POOL": "asking",  # made by the story that brings a list in
        "POSTLANE_TRACES_URL": collector.url if collector else "",
        "POSTLANE_TRACES_SHARE": "0",
        "POSTLANE_RECOVERY_STEP_SECONDS": "1",  # an IP takes its steps back faster than one for real mail would
    }
    with running_stack(Options(shape, env)) as stack:
        yield stack


@pytest.fixture
def stack(whole_stack: RunningStack) -> RunningStack:
    """The running Postlane, every service up."""
    whole_stack.until(whole_stack.all_running, 60, "every service to run")
    return whole_stack
