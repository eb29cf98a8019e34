"""The first span of a mail's trace: it was accepted. Everything later hangs on it (`core/tracing.root`)."""

import time
from collections.abc import Iterable

from core import tracing
from core.tracing import Place, Span
from messages.model import NewEmail


def accepted(emails: Iterable[NewEmail], begun: int, request: Place | None = None) -> None:
    """These are stored; `begun` is when storing them was asked for. `request`: the span of the request that brought
    them, which is their parent where it is of their trace, and linked where it is of another one."""
    if not tracing.on():
        return
    ended = time.time_ns()
    for email in emails:
        if tracing.is_traced(email.id):
            tracing.note(_accepting(email, begun, ended, request))


def _accepting(email: NewEmail, begun: int, ended: int, request: Place | None) -> Span:
    place = tracing.root(email.id)
    same = request is not None and request.trace == place.trace
    about = tracing.known(
        {
            "postlane.email_id": str(email.id),
            "postlane.application_id": str(email.application_id),
            "postlane.stream": email.lane.value,
            "postlane.recipients": len(email.recipients),
            "postlane.recipient_domain": email.recipients[0].destination if email.recipients else "",
            "postlane.campaign_id": str(email.campaign_id or ""),
            "postlane.scheduled": email.scheduled_at is not None,
        }
    )
    return Span(
        "accept", place, request.span if request and same else 0, begun, ended, about, "producer",
        links=(request,) if request and not same else (),
    )  # fmt: skip
