"""A marketing worker lets others have the processor first, also where niceness counts within a session only."""

import os
import subprocess
import sys
from pathlib import Path

_PROGRAM = """
import os
from core.niceness import step_back
step_back(7)
print(os.nice(0))
try:
    print(open("/proc/self/autogroup").read().split()[-1])
except OSError:
    print(7)  # no such feature
"""


def test_process_and_its_session_are_as_nice_as_asked() -> None:
    run = subprocess.run(
        [sys.executable, "-c", _PROGRAM],
        cwd=Path(__file__).parents[3], start_new_session=True, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert run.stdout.split() == [str(os.nice(0) + 7), "7"]
