"""The span of a request that brought traced mail."""

import time
from collections.abc import Sequence
from typing import Final, NamedTuple
from uuid import UUID

from starlette.types import Scope

from core import tracing
from core.tracing import Caller, Place, Span

TRACED: Final = "postlane.traced"
"""Key in the ASGI scope of an `Asked`: `web/edge` notes its span once the request is answered."""
_MOST_LINKS: Final = 100


class Asked(NamedTuple):
    """Where a request stands among traces."""

    place: Place
    parent: int
    links: Sequence[Place]


def asked_for(mails: Sequence[UUID], caller: Caller | None) -> Asked:
    """Of a request that brought these traced mails. It is of its caller's trace; without one it begins the trace of its
    mail, if it is only one. Each mail of another trace is linked."""
    if caller is not None:
        return Asked(tracing.within(caller.place), caller.place.span, _roots(mails))
    if len(mails) == 1:
        return Asked(tracing.within(tracing.root(mails[0])), 0, ())
    return Asked(tracing.apart(), 0, _roots(mails))


def _roots(mails: Sequence[UUID]) -> Sequence[Place]:
    return [tracing.root(mail) for mail in mails[:_MOST_LINKS]]


def answered(asked: Asked, scope: Scope, route: str, status: int, started: float) -> None:
    """The request is over. `started` by `time.perf_counter`."""
    about = {"http.request.method": scope["method"], "http.route": route, "http.response.status_code": status}
    trouble = str(status) if status >= 500 else ""
    tracing.note(
        Span(
            f"{scope['method']} {route}", asked.place, asked.parent, tracing.when(started), time.time_ns(), about,
            "server", trouble, asked.links,
        )
    )  # fmt: skip
