"""The official `resend` Python SDK, unmodified, against a real server: only RESEND_API_URL differs."""

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import resend
from resend.exceptions import (
    InvalidApiKeyError,
    MissingRequiredFieldsError,
    RateLimitError,
    ResendError,
    ValidationError,
)

from core.settings import Settings
from tests.integration.api.account import Account, email
from tests.integration.api.conftest import Server


@pytest.fixture(autouse=True)
def sdk(server: Server, account: Account, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What RESEND_API_URL and RESEND_API_KEY set when the module is imported."""
    monkeypatch.setattr(resend, "api_url", server.url)
    monkeypatch.setattr(resend, "api_key", account.full)
    return iter((None,))


def params(**changes: Any) -> resend.Emails.SendParams:
    return email(**changes)  # type: ignore[return-value]


def test_send_get_and_list() -> None:
    sent = resend.Emails.send(
        params(
            cc=["c@example.com"], html="<p>x</p>", reply_to="help@acme.example", tags=[{"name": "a", "value": "b"}],
            headers={"X-Entity-Ref-ID": "1"}, attachments=[{"filename": "a.txt", "content": list(b"file")}],
        )
    )  # fmt: skip
    got = resend.Emails.get(sent["id"])
    assert (got["id"], got["from"], got["to"]) == (sent["id"], "Acme <hello@acme.example>", ["bob@example.com"])
    assert (got["subject"], got["html"], got["text"]) == ("Your receipt", "<p>x</p>", "Thank you.")
    assert (got["cc"], got["bcc"], got["reply_to"], got["last_event"]) == (
        ["c@example.com"],
        [],
        ["help@acme.example"],
        "queued",
    )
    assert got["message_id"].endswith("@acme.example>")
    listed = resend.Emails.list({"limit": 1})
    assert (listed["object"], listed["has_more"], listed["data"][0]["id"]) == ("list", False, sent["id"])
    assert resend.Emails.list({"after": sent["id"]})["data"] == []


def test_schedule_move_and_cancel() -> None:
    sent = resend.Emails.send(params(scheduled_at="in 10 min"))
    moved = resend.Emails.update({"id": sent["id"], "scheduled_at": "in 2 hours"})
    assert (moved["object"], moved["id"]) == ("email", sent["id"])
    cancelled = resend.Emails.cancel(sent["id"])
    assert (cancelled["object"], cancelled["id"]) == ("email", sent["id"])
    assert resend.Emails.get(sent["id"])["last_event"] == "canceled"


def test_batch_in_both_modes() -> None:
    strict = resend.Batch.send([params(), params()])
    assert len(strict["data"]) == 2
    permissive = resend.Batch.send([params(), params(to="wrong")], {"batch_validation": "permissive"})
    assert len(permissive["data"]) == 1
    assert permissive["errors"][0]["index"] == 1
    with pytest.raises(ValidationError, match=r"\[1\]"):
        resend.Batch.send([params(), params(to="wrong")])


def test_idempotency_keys() -> None:
    first = resend.Emails.send(params(), {"idempotency_key": "order-1"})
    again = resend.Emails.send(params(), {"idempotency_key": "order-1"})
    assert first["id"] == again["id"]
    with pytest.raises(ResendError) as caught:
        resend.Emails.send(params(subject="Another"), {"idempotency_key": "order-1"})
    assert (caught.value.code, caught.value.error_type) == (409, "invalid_idempotent_request")


def test_two_connections_that_race_send_once() -> None:
    answers: list[str] = []
    start = threading.Barrier(4)

    def race() -> None:
        start.wait()
        try:
            answers.append(resend.Emails.send(params(), {"idempotency_key": "race"})["id"])
        except ResendError as error:
            answers.append(error.error_type)

    threads = [threading.Thread(target=race) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ids = set(answers) - {"concurrent_idempotent_requests"}
    assert len(ids) == 1
    assert len(resend.Emails.list()["data"]) == 1


def test_errors_become_the_sdks_own(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValidationError, match="`to`"):
        resend.Emails.send(params(to="wrong"))
    with pytest.raises(MissingRequiredFieldsError, match="subject"):
        resend.Emails.send(params(subject=None))
    with pytest.raises(ResendError) as caught:
        resend.Emails.get("00000000-0000-7000-8000-000000000000")
    assert (caught.value.code, caught.value.error_type) == (404, "not_found")
    monkeypatch.setattr(resend, "api_key", "pl_wrong")
    with pytest.raises(InvalidApiKeyError):
        resend.Emails.send(params())


class TestRate:
    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        return settings.model_copy(update={"api_requests_per_second": 1})

    def test_too_many_requests(self) -> None:
        def many() -> None:
            for _ in range(5):
                resend.Emails.list()

        with pytest.raises(RateLimitError) as caught:
            many()
        assert {name.lower(): value for name, value in caught.value.headers.items()}["retry-after"] == "1"


async def test_the_async_client() -> None:
    sent = await asyncio.gather(*(resend.Emails.send_async(params(subject=str(n))) for n in range(3)))
    assert len({answer["id"] for answer in sent}) == 3
    got = await resend.Emails.get_async(sent[0]["id"])
    assert got["subject"] == "0"
