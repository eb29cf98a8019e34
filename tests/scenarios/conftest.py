"""One running Postlane for all stories of this folder. A story leaves it as it found it: everything up, nothing due."""

from collections.abc import Iterator

import pytest

from cli.running.stack import Shape
from tests.stack import Options, RunningStack, running_stack


@pytest.fixture(scope="session")
def whole_stack() -> Iterator[RunningStack]:
    """Started with the first story that wants it."""
    shape = Shape(background=1, inbound=True, public=True)
    env = {
        "POSTLANE_CONNECTIONS_PER_HOST": "4",
        "POSTLANE_LOG_LEVEL": "warning",
        "POSTLANE_CONFIRMATION_POOL": "asking",  # made by the story that brings a list in
        "POSTLANE_RECOVERY_STEP_SECONDS": "1",  # an IP takes its steps back faster than one for real mail would
    }
    with running_stack(Options(shape, env)) as stack:
        yield stack


@pytest.fixture
def stack(whole_stack: RunningStack) -> RunningStack:
    """The running Postlane, every service up."""
    whole_stack.until(whole_stack.all_running, 60, "every service to run")
    return whole_stack
