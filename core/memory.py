"""Memory that a process had needed once goes back to the system.

glibc keeps what was freed between two blocks that live, for ever: behind an hour of sending to slow servers a worker of
200 MB held 50 MB of it. Does nothing where the C library is another one.
"""

import ctypes
from collections.abc import Callable
from functools import cache
from typing import Any


def give_back_free() -> None:
    """Some milliseconds for each 100 MB, in which nobody gets memory: for a quiet moment."""
    trim = _trim()
    if trim is not None:
        trim(0)


@cache
def _trim() -> Callable[[int], Any] | None:
    return getattr(ctypes.CDLL(None), "malloc_trim", None)
