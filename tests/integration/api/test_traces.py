"""Where a request stands among traces: of its caller's, of its mail's, or of its own with links."""

from collections.abc import Iterator
from uuid import UUID

import httpx
import pytest

from core import tracing
from core.tracing import Place, Span
from tests.collector import noting
from tests.integration.api.account import email

TRACE, SPAN = 0x4BF92F3577B34DA6A3CE929D0E0E4736, 0x00F067AA0BA902B7


def caller(flags: str) -> dict[str, str]:
    """As an application that has traces of its own sends it."""
    return {"traceparent": f"00-{TRACE:032x}-{SPAN:016x}-{flags}"}


@pytest.fixture
def spans() -> Iterator[list[Span]]:
    """All mail is traced whose caller does not say otherwise."""
    with noting(1.0) as found:
        yield found


async def test_one_mail_and_its_request_are_one_trace(client: httpx.AsyncClient, spans: list[Span]) -> None:
    made = UUID((await client.post("/emails", json=email())).json()["id"])
    accept, request = spans
    assert accept.place == tracing.root(made)
    assert (request.name, request.kind, request.place.trace, request.parent) == ("POST /emails", "server", made.int, 0)
    assert (accept.name, accept.parent, accept.links) == ("accept", request.place.span, ())
    assert request.begun <= accept.begun <= accept.ended <= request.ended
    assert request.about["http.response.status_code"] == 200
    assert (accept.about["postlane.email_id"], accept.about["postlane.recipients"]) == (str(made), 1)


async def test_each_mail_of_a_batch_is_linked(client: httpx.AsyncClient, spans: list[Span]) -> None:
    answer = await client.post("/emails/batch", json=[email(), email()])
    *accepts, request = spans
    roots = [tracing.root(UUID(one["id"])) for one in answer.json()["data"]]
    assert [accept.place for accept in accepts] == roots == list(request.links)
    assert {(accept.parent, tuple(accept.links)) for accept in accepts} == {(0, (request.place,))}
    assert request.place.trace not in {root.trace for root in roots}


async def test_a_caller_that_traces_is_followed(client: httpx.AsyncClient, spans: list[Span]) -> None:
    made = UUID((await client.post("/emails", json=email(), headers=caller("01"))).json()["id"])
    accept, request = spans
    assert (request.place.trace, request.parent, list(request.links)) == (TRACE, SPAN, [tracing.root(made)])
    assert (accept.place, accept.parent, accept.links) == (tracing.root(made), 0, (request.place,))


async def test_what_is_not_accepted_or_not_traced_leaves_nothing(client: httpx.AsyncClient, spans: list[Span]) -> None:
    """Refused, traced by nobody, or answered before."""
    assert (await client.post("/emails", json={"from": "broken"}, headers=caller("01"))).status_code == 422
    assert (await client.post("/emails", json=email(), headers=caller("00"))).status_code == 200
    assert spans == []
    for _ in range(2):
        await client.post("/emails", json=email(), headers={"idempotency-key": "once"})
    assert [span.name for span in spans] == ["accept", "POST /emails"]
    assert Place(0, 0) not in {span.place for span in spans}
