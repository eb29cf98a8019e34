"""Waiting for an answer of PostgreSQL: what of it has come is read at once.

libpq reads some 16 kB at a time, and psycopg goes through the event loop for each of them. A loop that is busy has
turns of a millisecond: the megabyte of a batch's mail would take a tenth of a second, and a hundred switches.
"""

import select
from typing import Final, TypeVar

from psycopg.abc import PQGen
from psycopg.waiting import READY_R, WAIT_R

_T = TypeVar("_T")

AT_ONCE: Final = 64
"""So many readings follow each other before others have their turn: a megabyte, within a millisecond."""


def reading_on(answer: PQGen[_T], fileno: int) -> PQGen[_T]:
    """The same for psycopg to wait for, of a connection with this socket."""
    try:
        wants = next(answer)
        while True:
            wants = answer.send((yield wants))
            if wants == WAIT_R:
                come = select.poll()
                come.register(fileno, select.POLLIN)
                for _ in range(AT_ONCE):
                    if wants != WAIT_R or not come.poll(0):
                        break
                    wants = answer.send(READY_R)
    except StopIteration as end:
        found: _T = end.value
        return found
