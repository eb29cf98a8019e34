"""The practice application takes what is signed, by the rules of Standard Webhooks, and answers as its path says."""

import contextlib
import http.client
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from standardwebhooks import Webhook

from simulator.loopback import NotLoopbackError
from simulator.receiver import Receiver

SECRET = "whsec_" + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
EVENT = json.dumps({"type": "email.bounced", "data": {"to": ["a@gmail.sim"]}})


def signed(secret: str = SECRET, ago: float = 0) -> dict[str, str]:
    """Headers as a sender with the standard's own library makes them."""
    at = datetime.fromtimestamp(time.time() - ago, UTC)
    signature = Webhook(secret).sign("evt_1", at, EVENT)
    return {"webhook-id": "evt_1", "webhook-timestamp": str(int(at.timestamp())), "webhook-signature": signature}


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    receiver.trust(SECRET)
    yield receiver
    receiver.stop()


def test_what_is_signed_is_taken_and_remembered(receiver: Receiver) -> None:
    assert receiver.take("/ok", signed(), EVENT.encode()) == 200
    (told,) = receiver.told()
    assert (told.id, told.type, told.about, told.signed) == ("evt_1", "email.bounced", "a@gmail.sim", True)


@pytest.mark.parametrize(
    "headers",
    [{}, signed("whsec_" + "A" * 32), signed(ago=3600), signed() | {"webhook-timestamp": "now"}],
    ids=["none", "another secret", "old", "no time"],
)
def test_everything_else_is_not(receiver: Receiver, headers: dict[str, str]) -> None:
    assert receiver.take("/ok", headers, EVENT.encode()) == 401
    assert not receiver.told()[0].signed


def test_before_a_secret_is_known_it_asks_for_patience() -> None:
    assert Receiver().take("/ok", signed(), EVENT.encode()) == 503


def test_the_path_says_how_it_answers(receiver: Receiver) -> None:
    def answers(path: str) -> list[int]:
        return [receiver.take(path, signed(), EVENT.encode()) for _ in range(3)]

    assert answers("/fail+2/a") == [503, 503, 200]
    assert answers("/fail+1/b") == [503, 200, 200]
    assert answers("/fail") == [503] * 3
    assert answers("/redirect") == [302] * 3
    assert answers("/gone/x") == [410] * 3


def test_over_http_it_answers_keeps_the_connection_and_refuses_what_is_no_event(receiver: Receiver) -> None:
    port = receiver.start("127.0.0.1", 0)
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as client:
        for path, status in (("/ok", 200), ("/redirect", 302), ("/ok", 200)):
            client.request("POST", path, EVENT.encode(), signed())
            answer = client.getresponse()
            assert (answer.status, answer.read()) == (status, b"")
        client.request("POST", "/ok", b"no JSON", signed())
        assert client.getresponse().status == 401
    with pytest.raises(NotLoopbackError):
        Receiver().start("0.0.0.0", 0)
