"""The overview as HTML, for its page and for whoever looks on: one for all who see the same."""

from collections.abc import Hashable, Mapping
from datetime import UTC, datetime
from typing import Any

from alarms.advice import meaning, what_to_do
from campaigns.states import OPEN
from campaigns.tallies import people
from console.overview import words
from console.overview.figures import Overview, View, overview
from console.rendering import part
from store.database import Connection


def values(seen: Overview) -> dict[str, Any]:
    """What its template wants."""
    return {
        "seen": seen, "words": words, "meaning": meaning, "what_to_do": what_to_do,
        "campaigns": [(one, people(one.tallies), _decided(one.tallies)) for one in seen.campaigns],
    }  # fmt: skip


async def live_html(connection: Connection, view: Hashable) -> str:
    """What is shown to everybody with this view now."""
    assert isinstance(view, View)
    now = datetime.now(UTC)
    seen = await overview(connection, view, now)
    return part("overview/live.html", now, view.zone, **values(seen))


def _decided(tallies: Mapping[str, int]) -> int:
    return people(tallies) - sum(tallies.get(state.value, 0) for state in OPEN)
