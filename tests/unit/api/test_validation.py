"""pydantic's findings as our errors, and the table of errors itself."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from api.errors import ABOUT, ERRORS, ApiError
from api.schemas.emails import BATCH, SendEmail, Tag
from api.validation import api_error

GOOD: dict[str, Any] = {"from": "a@b.example", "to": "c@d.example", "subject": "x", "text": "y"}


def refusal(body: object) -> ApiError:
    with pytest.raises(ValidationError) as caught:
        SendEmail.model_validate_json(json.dumps(body))
    return api_error(caught.value.errors())


@pytest.mark.parametrize(
    ("change", "status", "name", "message"),
    [
        ({"to": 5}, 422, "validation_error", "The `to` field is not valid: it must be a text."),
        ({"to": None}, 422, "missing_required_field", "Missing `to` field."),
        ({"headers": {"X": None}}, 422, "validation_error", "The `headers.X` field is not valid: it must be a text."),
        ({"to": ["a", None]}, 422, "validation_error", "The `to[1]` field is not valid: it must be a text."),
        ({"to": ["a"] * 101}, 422, "validation_error", "The `to` field is not valid: it may hold at most 100 entries."),
        ({"stream": "bulk"}, 422, "validation_error",
         "The `stream` field is not valid: it must be 'transactional' or 'marketing'."),
        ({"tags": [{}]}, 422, "missing_required_field", "Missing `tags[0].name` field."),
        ({"headers": {"X": 1}}, 422, "validation_error", "The `headers.X` field is not valid: it must be a text."),
        ({"attachments": [5]}, 422, "validation_error",
         "The `attachments[0]` field is not valid: it must be an object."),
        ({"expires_in": 1.5}, 422, "validation_error",
         "The `expires_in` field is not valid: it must be a whole number."),
    ],
)  # fmt: skip
def test_the_first_wrong_field_is_named(change: dict[str, Any], status: int, name: str, message: str) -> None:
    error = refusal({**GOOD, **change})
    assert (error.status, error.name, error.message) == (status, name, message)
    assert error.body() == {"statusCode": status, "name": name, "message": message}


def test_null_and_empty_are_absent_where_there_is_a_default() -> None:
    for nothing in (None, ""):
        body = {
            **GOOD,
            "expires_in": nothing,
            "pool": nothing,
            "tags": [{"name": "a", "value": nothing}],
        }
        found = SendEmail.model_validate_json(json.dumps(body))
        assert (found.expires_in, found.tags) == (None, [Tag(name="a", value="")])


@pytest.mark.parametrize("field", ["topic_id", "stream", "scheduled_at"])
def test_an_empty_text_where_absence_sends_mail_another_way_is_refused(field: str) -> None:
    error = refusal({**GOOD, field: ""})
    assert (error.status, error.name) == (422, "validation_error")
    assert error.message == f"The `{field}` field is not valid: it is empty: give a value, or leave the field out."
    assert getattr(SendEmail.model_validate_json(json.dumps({**GOOD, field: None})), field) is None


def test_a_batch_stops_at_its_first_mistake() -> None:
    """Otherwise a body of 55 MB of `{}` would become millions of findings."""
    with pytest.raises(ValidationError) as caught:
        BATCH.validate_json(json.dumps([{}] * 500))
    assert len(caught.value.errors()) < 5


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from([*SendEmail.model_fields, "x"]), inner),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(["from", *SendEmail.model_fields]), JSON) | JSON)
def test_any_json_is_an_email_or_an_error_we_know(body: Any) -> None:
    try:
        SendEmail.model_validate_json(json.dumps(body))
    except ValidationError as error:
        found = api_error(error.errors())
        assert found.name in ("validation_error", "missing_required_field")
        assert found.status in (400, 422)
        assert "[str]" not in found.message, "no inner names of pydantic"


def test_every_error_is_explained() -> None:
    assert set(ABOUT) == set(ERRORS)
