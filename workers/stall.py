"""Whether a worker's consumer has gone silent: hints wait, and it takes none. Pure.

What counts is how often in a row that is seen, not how long ago the last hint was taken: a lane that had nothing to do
for an hour is at work the moment after a hint came, and a process that stood still (SIGSTOP, a paused machine) has seen
nothing meanwhile.
"""

from typing import Final

LOOKS: Final = 4
"""So often in a row hints have to be seen waiting."""


class StallWatch:
    """What one process has seen."""

    def __init__(self) -> None:
        self._taken: float | None = None
        self._seen = 0

    def stalled(self, taken: float, *, busy: bool, waiting: bool) -> bool:
        """Look once more. `taken` is when the last hint was, or anything else that is new with each; `busy`: one is at
        work; `waiting`: there are more."""
        if busy or not waiting or taken != self._taken:
            self._seen = 0
        self._taken = taken
        self._seen += waiting and not busy
        return self._seen > LOOKS
