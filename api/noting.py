"""From a request that was answered to the log of requests, where it came with an application's key.

Runs for every request, after its answer has left: what is not kept costs a look into a dictionary (`requestlog`).
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from fastapi import FastAPI
from starlette.types import Scope

from accounts.directory import OPERATOR, Caller
from api.auditing import CALLER
from core.settings import Settings
from flags import declared
from requestlog.gathering import FAILURES, Gatherer, Passed, Rates
from requestlog.redaction import READ
from web.bodies import BODY
from web.edge import Note, request_id

_AGENT: Final = b"user-agent"


def rates_of(settings: Settings) -> Rates:
    """How many are kept, as the settings have it."""
    if not settings.request_log_days:
        return Rates(0, 0)
    return Rates(settings.request_log_per_second, FAILURES)


def note_in(app: FastAPI) -> Note:
    """What notes the requests of this application, once its collaborators are open."""

    def note(scope: Scope, status: int, seconds: float, answer: bytes) -> None:
        who: Caller | None = scope.get(CALLER)
        if who is None or who.permission == OPERATOR:
            return
        gatherer: Gatherer = app.state.deps.requests
        if not declared.REQUEST_LOG.on(who.application_id):
            return
        if gatherer.wants(who.application_id, failed=status >= 400):
            gatherer.put(_passed(scope, who, (status, seconds), answer))

    return note


def _passed(scope: Scope, who: Caller, became: tuple[int, float], answer: bytes) -> Passed:
    status, seconds = became
    return Passed(
        id=UUID(request_id(scope)),
        at=datetime.now(UTC) - timedelta(seconds=seconds),
        application_id=who.application_id,
        key_id=who.key_id,
        test=who.test,
        method=scope["method"],
        path=scope["path"],
        status=status,
        milliseconds=seconds * 1000,
        user_agent=_agent(scope["headers"]),
        request=scope.get(BODY, b""),
        response=answer if len(answer) <= READ else len(answer),
    )


def _agent(headers: Sequence[tuple[bytes, bytes]]) -> str:
    found = next((value for name, value in headers if name == _AGENT), b"")
    return found.decode("utf-8", "replace")
