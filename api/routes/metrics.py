"""`/emails/metrics`: the figures of an application as Resend gives them, for its SDKs. Ours, with more in them, are
those of `/reports`."""

from datetime import timedelta
from typing import Annotated, Final
from uuid import UUID

from fastapi import APIRouter, Query, Response

from api.auth import FullAccess
from api.operating import ReadingRoute, With
from api.schemas.metrics import MetricsAnswer, MetricsQuery
from core.objectives import REPORT
from core.refusal import Refused, invalid
from messages.email_figures import ask_emails
from store import figures
from store.database import Connection
from store.figures import Answer, Question
from store.report_question import MOST_VALUES, Wanted, names_of, question
from store.tally import Tally
from web.answers import json_answer
from web.faces.metrics import DIMENSIONS, GRANULARITIES, METRICS, MetricsAsked, metrics_face
from web.objectives import serves

router = APIRouter(tags=["Reports"], route_class=ReadingRoute)

_NAMES: Final = {"metrics": METRICS, "dimensions": DIMENSIONS, "granularity": GRANULARITIES}


@router.get("/emails/metrics", response_model=MetricsAnswer, summary="Get metrics of emails")
@serves(REPORT)
async def get_metrics(query: Annotated[MetricsQuery, Query()], who: FullAccess, given: With) -> Response:
    """Counts per recipient, and rates from 0 to 1. Figures are a few seconds behind; captured test mail is in none."""
    asked = _asked(query)
    period = [GRANULARITIES[asked.granularity]] if "period" in asked.dimensions else []
    group = (*period, *(name for name in asked.dimensions if name == "domain"))
    wanted = Wanted(
        query.start_date or "", query.end_date or "", query.timezone or "", group,
        {"domain": [str(one) for one in asked.ids("domain_id")]}, who.application_id,
    )  # fmt: skip
    async with given.database.connection() as connection:
        meant = await question(connection, wanted, given.clock.now(), timedelta(days=given.settings.event_days))
        answer = await _answer(connection, meant, asked, who.application_id)
        names = {"domain": await names_of(connection, "domain", who.application_id)}
    return json_answer(metrics_face(meant, asked, answer, names))


async def _answer(connection: Connection, meant: Question, asked: MetricsAsked, application_id: UUID) -> Answer:
    if asked.of_emails:
        each = "email" in asked.dimensions
        return await ask_emails(connection, meant, application_id, asked.ids("email_id"), each=each)
    if asked.of_broadcasts:
        return Answer(Tally(), [])  # there are none
    return await figures.ask(connection, meant)


def _asked(query: MetricsQuery) -> MetricsAsked:
    """What is asked, in names that are known. Raises Refused."""
    for field, known in _NAMES.items():
        given = getattr(query, field)
        for name in [given] if isinstance(given, str) else given:
            if name not in known:
                raise invalid(field, f"{name[:60]!r} is none of {', '.join(known)}")
    filters = {name: _ids(name, getattr(query, name)) for name in ("domain_id", "email_id", "broadcast_id")}
    asked = MetricsAsked(tuple(query.metrics) or tuple(METRICS), tuple(query.dimensions), query.granularity, filters)
    return _sensible(asked)


def _ids(field: str, texts: list[str]) -> tuple[UUID, ...]:
    if len(texts) > MOST_VALUES:
        raise invalid(field, f"at most {MOST_VALUES} ids")
    try:
        return tuple(UUID(text) for text in texts)
    except ValueError:
        raise invalid(field, "it must hold ids") from None


def _sensible(asked: MetricsAsked) -> MetricsAsked:
    """Raises Refused for what no figures are kept for."""
    if asked.of_emails and asked.of_broadcasts:
        raise invalid("dimensions", "emails and broadcasts cannot both be asked for")
    if asked.of_emails and not asked.ids("email_id"):
        raise Refused("invalid", "the dimension email needs `email_id`", "email_id")
    if asked.of_emails and ("domain" in asked.dimensions or asked.ids("domain_id")):
        raise invalid("dimensions", "an email has one domain: ask for emails or for domains")
    return asked
