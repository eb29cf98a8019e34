"""Traced mail leaves spans of its steps, each under the right one; other mail leaves none, and no span an address."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from core import tracing
from core.tracing import Caller, Place, Span
from messages.model import MessageRef, NewEmail
from messages.timeline import EventKind
from outcomes import late
from outcomes.late import LateNews
from store.database import Database
from tests.collector import noting
from tests.integration.messages.emails import store
from tests.integration.workers.lane import IPS, LaneTest, lane_test
from tests.smtp_sink import Rule

THROTTLED = Rule("dot", "421 4.7.0 Too many messages from this IP address, try again in 10 minutes", source=IPS[0])
YES, NO = (Caller(Place(1, 1), sampled) for sampled in (True, False))


@pytest.fixture
def spans() -> Iterator[list[Span]]:
    with noting() as found:
        yield found


async def _put(lane: LaneTest, address: str, caller: Caller) -> NewEmail:
    email = replace(lane.email(address), id=tracing.mail_id(caller))
    await store(lane.database, email)
    return email


def _of(spans: list[Span], email: NewEmail) -> dict[str, list[Span]]:
    """By name; those that have been noted."""
    found: dict[str, list[Span]] = {}
    for span in spans:
        if span.place.trace == email.id.int:
            found.setdefault(span.name, []).append(span)
    return found


async def test_spans_of_traced_mail(
    spans: list[Span], database: Database, database_url: str, redis_url: str, tmp_path: Path
) -> None:
    refusing = Rule("rcpt", "550 5.1.1 no such user", local="unknown")
    async with lane_test(database, database_url, redis_url, tmp_path, THROTTLED, refusing) as lane:
        mails = [await _put(lane, f"u{number}@one.example", YES) for number in range(6)]
        unknown = await _put(lane, "unknown@one.example", YES)
        untraced = await _put(lane, "somebody@one.example", NO)
        await lane.deliver()

        for email in mails:
            _check_one(_of(spans, email), email)
        tried = Counter(len(_of(spans, email)["send"]) for email in mails)
        assert tried[2] >= 1, "one at least was tried on the IP that is throttled"
        first = next(found["send"] for email in mails if len((found := _of(spans, email))["send"]) == 2)
        assert [(one.about["postlane.ip"] == IPS[0], one.about["postlane.code"], one.trouble) for one in first] == [
            (True, 421, "421"), (False, 250, ""),
        ]  # fmt: skip

        refused = _of(spans, unknown)
        assert [one.trouble for name in ("send", "deliver") for one in refused[name]] == ["550", "bounced"]
        assert refused["deliver"][0].about["postlane.state"] == "bounced"
        assert _of(spans, untraced) == {}

        await _late_bounce(lane, mails[0])
        (report,) = _of(spans, mails[0])["report"]
        assert (report.parent, report.about["postlane.event"]) == (tracing.root(mails[0].id).span, "bounced")
    values = [str(value) for span in spans for value in span.about.values()]
    assert [value for value in values if "@" in value] == []


def _check_one(found: dict[str, list[Span]], email: NewEmail) -> None:
    (deliver,) = found["deliver"]
    (record,) = found["record"]
    assert deliver.parent == tracing.root(email.id).span
    assert deliver.about == {
        "postlane.message_id": f"{email.id}/0", "postlane.stream": "transactional",
        "postlane.recipient_domain": "one.example",
        "postlane.state": "delivered", "postlane.attempt": 1,
    }  # fmt: skip
    steps = ("claim", "route", "choose", "wait", "compose", "sign", "send")
    assert found.keys() == {"deliver", "record", *steps}
    inner = [span for name in steps for span in found[name]]
    assert {span.parent for span in inner} | {record.parent} == {deliver.place.span}
    assert [len(found[name]) for name in steps[:-1]] == [1] * 6
    assert all(span.begun <= span.ended for span in [*inner, deliver, record])
    begun = [found[name][0].begun for name in steps]
    assert begun == sorted(begun)
    assert len({span.place.span for spans in found.values() for span in spans}) == len(inner) + 2


async def _late_bounce(lane: LaneTest, email: NewEmail) -> None:
    async with lane.database.transaction() as connection:
        known = await late.find_message(connection, MessageRef(email.id, 0))
        assert known is not None
        await late.record_late_news(connection, known, LateNews(EventKind.BOUNCED, datetime.now(UTC), "said"))


async def test_what_waits_for_an_ip_is_a_delivery_that_was_given_back(
    spans: list[Span], database: Database, database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async with lane_test(database, database_url, redis_url, tmp_path, replace(THROTTLED, source=None)) as lane:
        await _put(lane, "first@one.example", NO)
        await lane.deliver()
        waiting = await _put(lane, "second@one.example", YES)
        await asyncio.wait_for(lane.deliver(), 20)
        (deliver,) = _of(spans, waiting)["deliver"]
    assert deliver.about["postlane.state"] == "given back"
    assert "record" not in _of(spans, waiting)
