"""The clock of mail that waited untried: from when its hours of trying are counted (`messages/retry`)."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from store import arrays
from store.database import Connection

_ANEW: Final = "UPDATE emails SET scheduled_at = now() WHERE id = ANY(%s::uuid[])"


async def begin_anew(connection: Connection, emails: Sequence[UUID]) -> None:
    """The clocks of these emails begin now. Each is its recipient's alone."""
    if emails:
        await connection.execute(_ANEW, [arrays.uuids(emails)])
