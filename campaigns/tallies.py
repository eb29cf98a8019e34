"""How many rows of a campaign are in which state, counted in the transactions that move them.

For showing progress and for the breaker, at any size and at no cost; whether a campaign is finished is asked of the
rows. Beside the states stand marks of people: who opened, clicked, complained, left, and whose address is dead.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final
from uuid import UUID

from campaigns.states import RowState
from store import arrays
from store.database import Connection

OPENED: Final = "opened"
CLICKED: Final = "clicked"
COMPLAINED: Final = "complained"
LEFT: Final = "left"
HARD_BOUNCED: Final = "bounced_for_good"
FORGIVEN: Final = "forgiven "
"""In front of a figure: so much of it was there when somebody let a stopped campaign go on."""

Tally = tuple[UUID, str]
"""Campaign and state, or mark."""

_STATES: Final = frozenset(state.value for state in RowState)

# Sorted, so that two writers never wait for each other in a circle.
_ADD: Final = """
INSERT INTO campaign_tallies AS t (campaign_id, state, n)
SELECT * FROM unnest(%(campaigns)s::uuid[], %(states)s::text[], %(ns)s::bigint[]) ORDER BY 1, 2
ON CONFLICT (campaign_id, state) DO UPDATE SET n = t.n + excluded.n
"""


def moves(campaign_id: UUID, moved: Iterable[tuple[str | None, str]]) -> Counter[Tally]:
    """What rows that went from one state to another change; None: they are new."""
    changes: Counter[Tally] = Counter()
    for before, after in moved:
        changes[campaign_id, after] += 1
        if before is not None:
            changes[campaign_id, before] -= 1
    return changes


def people(tallies: Mapping[str, int]) -> int:
    """How many rows there are."""
    return sum(n for name, n in tallies.items() if name in _STATES)


async def add(connection: Connection, changes: Mapping[Tally, int]) -> None:
    """Within the transaction that moved the rows, as its last statement: others wait for it."""
    real = {tally: n for tally, n in changes.items() if n}
    if real:
        names = {
            "campaigns": arrays.uuids(campaign for campaign, _ in real),
            "states": [state for _, state in real],
            "ns": arrays.integers(real.values()),
        }
        await connection.execute(_ADD, names)


async def of(connection: Connection, campaigns: Iterable[UUID]) -> dict[UUID, dict[str, int]]:
    """By campaign and state; without what there is none of."""
    cursor = await connection.execute(
        "SELECT campaign_id, state, n FROM campaign_tallies WHERE campaign_id = ANY(%s::uuid[]) AND n <> 0",
        [arrays.uuids(campaigns)],
    )
    found: dict[UUID, dict[str, int]] = {}
    for campaign, state, n in await cursor.fetchall():
        found.setdefault(campaign, {})[state] = n
    return found
