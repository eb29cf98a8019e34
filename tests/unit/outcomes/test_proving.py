"""Keys of feedback loops: asked for together, remembered, and not for ever."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from core.errors import UnavailableError
from core.secrets import InstanceSecret
from mta.loops import Loop
from outcomes import proving
from outcomes.inbound import InboundMail
from outcomes.proving import LONGEST, PATIENCE, SHORTEST, proofs, remembered_keys, wait_for_key
from outcomes.reading import Reading, read

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
LOOPS = (Loop("One", "one.example"), Loop("Two", "two.example"))


def reading(domain: str) -> Reading:
    raw = (
        f"DKIM-Signature: v=1; a=rsa-sha256; d={domain}; s=k1; h=from; bh=x; b=y\r\nFrom: fbl@{domain}\r\n"
        "Content-Type: multipart/report; report-type=feedback-report; boundary=p\r\n\r\n"
        "--p\r\nContent-Type: message/feedback-report\r\n\r\nFeedback-Type: abuse\r\n\r\n--p--\r\n"
    ).encode()
    return read(InboundMail(UUID(int=1), NOW, "fbl@mail.example", raw), InstanceSecret(b"5" * 32))


async def test_one_that_does_not_answer_holds_up_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """A question that never ends, one that fails, one that is answered: in one turn of the deadline."""
    monkeypatch.setattr(proving, "KEY_SECONDS", 0.05)
    asked: list[str] = []

    async def txt(name: str) -> list[str]:
        asked.append(name)
        if "one" in name:
            await asyncio.Event().wait()
        if "two" in name:
            raise UnavailableError("nobody answers")
        return []

    readings = [reading(domain) for domain in ("one.example", "two.example", "stranger.example")] * 20
    found = await proofs(readings, LOOPS, remembered_keys(txt))
    assert found == [None, None, ""] * 20
    assert sorted(asked) == ["k1._domainkey.one.example", "k1._domainkey.two.example"]


async def test_a_bug_is_a_bug() -> None:
    async def txt(_name: str) -> list[str]:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await proofs([reading("one.example")], LOOPS, txt)


@pytest.mark.parametrize(
    ("age", "wait"),
    [
        (timedelta(0), SHORTEST),
        (timedelta(minutes=10), timedelta(minutes=10)),
        (timedelta(hours=5), LONGEST),
        (PATIENCE, None),
    ],
)
def test_who_cannot_be_asked_is_asked_again_for_a_day(age: timedelta, wait: timedelta | None) -> None:
    assert wait_for_key(NOW - age, NOW) == wait
