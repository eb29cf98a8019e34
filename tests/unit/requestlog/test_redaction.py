"""What is kept of bodies: shape and words of ours; no text of a mail and no address, whatever it is called."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from requestlog.redaction import LONGEST, READ, kept_of, name_in, path_of


def _kept(body: object, *, answer: bool = False) -> object:
    text = kept_of(orjson.dumps(body), answer=answer)
    return orjson.loads(text)


def test_a_mail_is_told_by_its_fields() -> None:
    body = {
        "from": "Acme <hello@acme.example>", "to": ["anna@example.com"], "subject": "Your divorce", "html": "<p>Hi</p>",
        "scheduled_at": "2026-12-24T09:00:00Z", "stream": "marketing", "expires_in": 3600, "open_tracking": False,
        "topic_id": "01a2213e-0000-7000-8000-000000000000", "tags": [{"name": "case", "value": "divorce"}],
        "headers": {"X-Case": "divorce"}, "template": {"id": "01a2", "variables": {"first": "Anna", "owes": 17.5}},
    }  # fmt: skip

    assert _kept(body) == {
        "from": "…@acme.example", "to": ["(16 characters)"], "subject": "(12 characters)", "html": "(9 characters)",
        "scheduled_at": "2026-12-24T09:00:00Z", "stream": "marketing", "expires_in": 3600, "open_tracking": False,
        "topic_id": "01a2213e-0000-7000-8000-000000000000",
        "tags": [{"name": "(4 characters)", "value": "(7 characters)"}], "headers": {"X-Case": "(7 characters)"},
        "template": {"id": "01a2", "variables": {"first": "(4 characters)", "owes": "(number)"}},
    }  # fmt: skip


def test_of_a_batch_the_first_are_shown() -> None:
    assert _kept([{"subject": "a"}] * 5) == [{"subject": "(1 character)"}] * 2 + ["(3 more)"]


def test_keys_and_secrets_of_answers_are_not_kept() -> None:
    assert _kept({"id": "01a2", "token": "pl_live_secret", "signing_secret": "whsec_x"}) == {
        "id": "01a2", "token": "(14 characters)", "signing_secret": "(7 characters)",
    }  # fmt: skip


def test_the_message_of_an_error_names_no_address() -> None:
    body = {"statusCode": 422, "name": "validation_error", "message": "There is no anna@example.com, <bob@x.example>."}

    assert _kept(body, answer=True) == {
        "statusCode": 422, "name": "validation_error", "message": "There is no (address), <(address)>.",
    }  # fmt: skip
    theirs = {"statusCode": 422, "name": "(16 characters)", "message": "(46 characters)"}
    assert _kept(body) == theirs, "an application may say so too, of a person"
    assert _kept({"data": body}, answer=True) == {"data": {**theirs, "statusCode": "(number)"}}
    assert name_in(orjson.dumps(body)) == "validation_error"
    assert name_in(orjson.dumps({"name": "<b>a name of somebody</b>"})) == ""


@pytest.mark.parametrize(
    ("body", "kept"),
    [
        (b"", ""),
        (b"not json", '"(8 bytes that are no JSON)"'),
        (123_456, '"(123,456 bytes)"'),
        (b'"' + b"x" * READ + b'"', f'"({READ + 2:,} bytes)"'),
        (b'"anna@example.com"', '"(16 characters)"'),
        (b'{"anna@example.com": 1}', '{"(a name of 16 characters)":1}'),
    ],
)
def test_what_is_no_object_of_ours_is_told_by_its_size(body: bytes | int, kept: str) -> None:
    assert kept_of(body) == kept


def test_addresses_are_taken_out_of_paths() -> None:
    assert path_of("/contacts/anna@example.com/topics") == "/contacts/(address)/topics"
    assert path_of("/emails/01a2\0") == "/emails/01a2"


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.text(max_size=40) | st.just("anna@example.com"),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text(max_size=20), inner, max_size=6),
    max_leaves=60,
)


@given(_JSON)
def test_no_body_is_kept_long_or_with_an_address(body: object) -> None:
    kept = kept_of(orjson.dumps(body))

    assert "anna@" not in kept
    assert "\0" not in kept
    assert len(kept) < 2 * LONGEST
