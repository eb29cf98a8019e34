"""Plans that probe indexes, whatever the planner believes of the sizes of tables.

A process keeps the plan of a prepared statement until statistics are gathered anew. Of a queue that has just run empty,
and that vacuum cut to a page, the planner rightly thinks that reading it from end to end is cheapest; a second later
100,000 mails are in it, and each look-up of one row reads them all, for up to a minute: the due scan took a whole core
(34 million rows for 20,000 mails), and loading a batch read a day's bodies once per mail. Statements that are only ever
right by an index are therefore planned with the other ways priced out. It costs nothing; planning each time anew would
take 0.4 ms a statement, and would still be wrong between a fill and the next statistics.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from psycopg import AsyncConnection

_OFF: Final = ("enable_seqscan", "enable_bitmapscan", "enable_hashjoin", "enable_mergejoin", "jit")
"""Ways to read more than what is asked for; a bitmap reads all that matches before a LIMIT. Compiling is off with them:
up to PostgreSQL 17 a way that cannot be avoided is priced so high then that its plan would be compiled."""

_SESSION: Final = "; ".join(f"SET {name} = off" for name in _OFF)
_LOCAL: Final = "; ".join(f"SET LOCAL {name} = off" for name in _OFF)
_AGAIN: Final = "; ".join(f"SET LOCAL {name} TO DEFAULT" for name in _OFF)


async def probe_always(connection: AsyncConnection[Any]) -> None:
    """All that this connection is ever asked is planned so: for lane workers, whose every statement is a look-up."""
    await connection.execute(_SESSION, prepare=False)


@asynccontextmanager
async def probing(connection: AsyncConnection[Any]) -> AsyncIterator[None]:
    """What is asked in the block, in one transaction, is planned so, and only ever asked so."""
    async with connection.transaction():
        await connection.execute(_LOCAL, prepare=False)
        yield
        await connection.execute(_AGAIN, prepare=False)
