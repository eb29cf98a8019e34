"""`/reports`: what happened to the mail, by whatever one may ask: figures out of counters, not out of mail.

An application's key sees its own mail, an operator's key all. Thin: `store/report_question` reads what is asked,
`store/figures` answers.
"""

from datetime import timedelta
from typing import Annotated, Final
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response

from accounts.directory import Caller
from api.auth import FullAccessOrOperator
from api.openapi import errors
from api.operating import SharedReadingRoute, With, only_known_parameters
from api.schemas.reports import ReportAnswer
from core.objectives import REPORT
from store import figures
from store.report_question import DIMENSIONS, NAMED, Wanted, names_of, question
from web.answers import json_answer
from web.faces.reports import place_of, report_face
from web.objectives import serves

# A filter that is misspelt would be answered with the figures of all mail.
_DEPENDS: Final = [Depends(only_known_parameters)]
router = APIRouter(prefix="/reports", tags=["Reports"], route_class=SharedReadingRoute, dependencies=_DEPENDS)

_LONGEST = 4000
_MANY = "Several are separated by commas."

Text = Annotated[str | None, Query(max_length=_LONGEST)]


@router.get("", response_model=ReportAnswer, summary="Get the figures of a report", responses=errors("not_found"))
@serves(REPORT)
async def get_report(
    who: FullAccessOrOperator,
    given: With,
    start_date: Annotated[
        str | None, Query(max_length=40, description="A date or a time; 6 days before the end.")
    ] = None,
    end_date: Annotated[str | None, Query(max_length=40, description="A date (included) or a time; now.")] = None,
    timezone: Annotated[
        str | None, Query(max_length=60, description="IANA time zone of dates and periods; UTC.")
    ] = None,
    group_by: Annotated[
        str | None,
        Query(max_length=200, description=f"hour, day, week or month; and {', '.join(DIMENSIONS)}. {_MANY}"),
    ] = None,
    provider: Annotated[str | None, Query(max_length=_LONGEST, description=f"Only these providers. {_MANY}")] = None,
    stream: Annotated[str | None, Query(max_length=_LONGEST, description="transactional or marketing.")] = None,
    application: Annotated[str | None, Query(max_length=_LONGEST, description=f"Names or ids. {_MANY}")] = None,
    domain: Annotated[str | None, Query(max_length=_LONGEST, description=f"Sender domains, or ids. {_MANY}")] = None,
    topic: Annotated[str | None, Query(max_length=_LONGEST, description=f"Names or ids of topics. {_MANY}")] = None,
    tag: Annotated[str | None, Query(max_length=_LONGEST, description=f"`name:value`. {_MANY}")] = None,
    pool: Annotated[str | None, Query(max_length=_LONGEST, description=f"Names or ids of pools. {_MANY}")] = None,
    ip: Annotated[str | None, Query(max_length=_LONGEST, description=f"Our IPs. {_MANY}")] = None,
    limit: Annotated[int, Query(ge=1, le=figures.MOST_ROWS, description="Most rows to return.")] = 500,
    after: Annotated[str, Query(max_length=_LONGEST, description="`next` of the answer before: its rows follow.")] = "",
) -> Response:
    """What was accepted, delivered, deferred, bounced and why, complained about, opened and clicked, and how long
    deliveries took. Figures are a few seconds behind. Domain, topic, tag, pool and ip are counted apart from each
    other: one of them can be asked for at a time, with stream, provider and application beside it."""
    asked = {
        "provider": provider, "stream": stream, "application": application, "domain": domain, "topic": topic,
        "tag": tag, "pool": pool, "ip": ip,
    }  # fmt: skip
    filters = {name: split(text) for name, text in asked.items()}
    wanted = Wanted(start_date or "", end_date or "", timezone or "", split(group_by), filters, own(who))
    kept = timedelta(days=given.settings.event_days)
    async with given.database.connection() as connection:
        meant = await question(connection, wanted, given.clock.now(), kept)
        place = place_of(after, meant) if after else None
        answer = await figures.ask_page(connection, meant, limit, place)
        named = [name for name in meant.group if name in NAMED and answer.rows]
        names = {name: await names_of(connection, name, wanted.application_id) for name in named}
    return json_answer(report_face(meant, answer, names))


def split(text: str | None) -> tuple[str, ...]:
    """What was joined by commas."""
    return tuple(part.strip() for part in (text or "").split(",") if part.strip())


def own(who: Caller) -> UUID | None:
    """The application that the key may see; None for an operator's."""
    return None if who.permission == "operator" else who.application_id
