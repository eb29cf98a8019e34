"""`/`: the overview. It asks for itself again every few seconds while somebody looks."""

from collections.abc import Mapping

from fastapi import APIRouter, Response

from alarms.advice import meaning, what_to_do
from campaigns.states import OPEN
from campaigns.tallies import people
from console.guard import ConsoleRoute, signed_in
from console.menu import Entry
from console.noun import Noun
from console.overview import words
from console.overview.figures import overview
from console.rendering import page
from console.visit import Visiting

router = APIRouter(route_class=ConsoleRoute)
NOUN = Noun(router, [Entry("", 0, "Overview", "/", "overview")])


@router.get("/")
@signed_in
async def show(visit: Visiting) -> Response:
    """The last 24 hours, what waits, what needs somebody."""
    async with visit.given.database.connection() as connection:
        seen = await overview(connection, visit)
    return page(
        visit,
        "overview/overview.html",
        seen=seen,
        words=words,
        meaning=meaning,
        what_to_do=what_to_do,
        campaigns=[(one, people(one.tallies), _decided(one.tallies)) for one in seen.campaigns],
    )


def _decided(tallies: Mapping[str, int]) -> int:
    return people(tallies) - sum(tallies.get(state.value, 0) for state in OPEN)
