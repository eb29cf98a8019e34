"""Processes that let others have the processor first."""

import os
import time
from pathlib import Path
from typing import Final

_AUTOGROUP: Final = Path("/proc/self/autogroup")
_TRIES: Final = 20
_PAUSE_SECONDS: Final = 0.1
"""Linux lets the machine's unprivileged processes write it ten times a second, all together."""


def step_back(nice: int) -> None:
    """Be nicer by `nice` than what started us.

    Where Linux groups processes by their session for the sake of desktops (sched(7), "The autogroup feature"; the
    default of most kernels), niceness counts within a session only, and each process of ours is one by itself: there
    the session as a whole is made as nice.
    """
    os.nice(nice)
    for _ in range(_TRIES):
        try:
            _AUTOGROUP.write_text(str(nice), "ascii")
        except BlockingIOError:
            time.sleep(_PAUSE_SECONDS)
        except OSError:
            return  # no such feature here
        else:
            return
