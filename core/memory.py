"""Memory of a process: how often Python looks for what nobody needs, and that it goes back to the system."""

import ctypes
import gc
from collections.abc import Callable
from functools import cache
from typing import Any, Final

_YOUNG_OBJECTS: Final = 20_000
"""So many objects more than before make a collection; 700 by default. What a batch of mail needs comes and goes without
cycles, and was looked through dozens of times in vain."""


def collect_rarely() -> None:
    """All objects that are there now stay to the end and are looked at no more; younger ones, less often."""
    gc.freeze()
    gc.set_threshold(_YOUNG_OBJECTS)


def give_back_free() -> None:
    """Some milliseconds for each 100 MB, in which nobody gets memory: for a quiet moment.

    glibc keeps what was freed between two blocks that live, for ever: behind an hour of sending to slow servers a
    worker of 200 MB held 50 MB of it. Does nothing where the C library is another one.
    """
    trim = _trim()
    if trim is not None:
        trim(0)


@cache
def _trim() -> Callable[[int], Any] | None:
    return getattr(ctypes.CDLL(None), "malloc_trim", None)
