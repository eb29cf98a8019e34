"""Signatures that other people's libraries accept."""

import base64
from datetime import UTC, datetime

import pytest
import resend
from hypothesis import given, settings
from hypothesis import strategies as st
from resend.exceptions import ResendError
from standardwebhooks import Webhook, WebhookVerificationError

from webhooks.signing import head, new_secret

BODY = b'{"type":"email.sent"}'


def headers(secrets: list[str], identifier: str, timestamp: int, body: bytes) -> dict[str, str]:
    lines = head(secrets, identifier, timestamp, body).removesuffix("\r\n").split("\r\n")
    return dict(line.split(": ", 1) for line in lines)


def of_family(found: dict[str, str], family: str) -> dict[str, str]:
    return {f"webhook-{part}": found[f"{family}-{part}"] for part in ("id", "timestamp", "signature")}


@settings(max_examples=30)
@given(st.dictionaries(st.text(max_size=20), st.text(max_size=50), max_size=5))
def test_the_reference_library_accepts_every_body(data: dict[str, str]) -> None:
    import orjson

    secret, body = new_secret(), orjson.dumps(data)
    found = headers([secret], "id-1", int(datetime.now(UTC).timestamp()), body)
    for family in ("webhook", "svix"):
        assert Webhook(secret).verify(body, of_family(found, family)) == data


def test_resends_own_check_accepts_it() -> None:
    secret, timestamp = new_secret(), int(datetime.now(UTC).timestamp())
    found = headers([secret], "id-1", timestamp, BODY)
    told = {"id": found["svix-id"], "timestamp": found["svix-timestamp"], "signature": found["svix-signature"]}
    resend.Webhooks.verify({"payload": BODY.decode(), "headers": told, "webhook_secret": secret})
    with pytest.raises((ResendError, ValueError)):
        resend.Webhooks.verify({"payload": "{}", "headers": told, "webhook_secret": secret})


def test_either_secret_is_enough_while_both_sign() -> None:
    old, new, other = new_secret(), new_secret(), new_secret()
    found = headers([new, old], "id-1", int(datetime.now(UTC).timestamp()), BODY)
    for secret in (old, new):
        Webhook(secret).verify(BODY, found)
    with pytest.raises(WebhookVerificationError):
        Webhook(other).verify(BODY, found)


def test_a_secret_has_as_many_bytes_as_the_standard_wants() -> None:
    assert len(base64.b64decode(new_secret().removeprefix("whsec_"), validate=True)) == 32
    assert len({new_secret() for _ in range(10)}) == 10
