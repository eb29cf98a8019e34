"""The suppression list as it stands: entries by id, by address (`suppression/finding`), by search. Reads only.

`suppression/adding` and `suppression/removing` change it; what others need of the former stands here too. Takes stored
texts (`suppression/subjects`) and never folds, checks or decides: what an outcome suppresses is `suppression/rules`,
whether a message may leave is the claim's statement. Every function works on the caller's connection.

Built for 10 million entries: every read is a range of one index, pages are found by key and never by counting rows.
"""

from collections.abc import AsyncIterator
from uuid import UUID

from core.paging import Page, Window, cut
from store.database import Connection
from store.tables import compiled
from suppression.adding import LARGEST_BATCH, add
from suppression.entries import Added, Addition, Removed, Suppression
from suppression.finding import about, get
from suppression.query import Question, Search, question, question_by_address
from suppression.rows import suppression

__all__ = ["LARGEST_BATCH", "Added", "Addition", "Removed", "Suppression", "about", "add", "each_page", "get", "page"]


async def page(connection: Connection, search: Search, wanted: Window[UUID]) -> Page[Suppression] | None:
    """One page of the entries in force: newest first, or by address when `search.prefix` is given.

    None when a page of a search by prefix is asked for relative to an entry that is gone.
    """
    if not search.prefix:
        return await _fetch_page(connection, question(search, wanted), wanted)
    start = None
    identifier = wanted.before or wanted.after
    if identifier is not None:
        # (address, scope) is the key, the cursor's id only names it.
        cursor = await connection.execute("SELECT address, scope FROM suppressions WHERE id = %s", [identifier])
        start = await cursor.fetchone()
        if start is None:
            return None
    asked = question_by_address(search, wanted, start and (start[0], start[1]))
    return await _fetch_page(connection, asked, wanted)


async def each_page(
    connection: Connection, search: Search, size: int = LARGEST_BATCH
) -> AsyncIterator[list[Suppression]]:
    """The whole result of a search, page by page, for an export. Holds no transaction open between pages."""
    wanted = Window(size)
    while True:
        found = await page(connection, search, wanted)
        if found is None or not found.entries:
            return
        yield list(found.entries)
        if not found.has_more:
            return
        wanted = Window(size, after=found.entries[-1].id)


async def _fetch_page(connection: Connection, asked: Question, wanted: Window[UUID]) -> Page[Suppression]:
    cursor = await connection.execute(*compiled(asked))
    return cut(await cursor.fetchall(), wanted).map(suppression)
