"""Refusals of services as errors of the API."""

import pytest

from api.errors import refused
from core.refusal import Refused


@pytest.mark.parametrize(
    ("refusal", "name", "status", "message"),
    [
        (Refused("invalid", "it is too long", "name"), "validation_error", 422, "The `name` field is not valid: it is"),
        (Refused("invalid", "one is needed", "html", code="missing_required_field"), "missing_required_field", 422,
         "Missing `html` field: one is needed."),
        (Refused("invalid", "no such thing.", hint="Try."), "validation_error", 422, "No such thing. Try."),
        (Refused("not_found", "it is gone"), "not_found", 404, "It is gone."),
        (Refused("not_found", "it is gone", code="not_warming"), "not_found", 404, "It is gone."),
        (Refused("conflict", "it is taken", code="name_taken"), "conflict", 409, "It is taken."),
        (Refused("invalid", "not yours", code="invalid_from_address"), "invalid_from_address", 403, "Not yours."),
    ],
)  # fmt: skip
def test_by_code_where_it_is_one_of_ours_else_by_kind(refusal: Refused, name: str, status: int, message: str) -> None:
    error = refused(refusal)

    assert (error.name, error.status) == (name, status)
    assert error.message.startswith(message)
