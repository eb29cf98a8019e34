"""Payloads of events and the schemas they are checked by."""

from typing import Any

import pytest

from campaigns.automations.payload import fitting, schema
from core.refusal import Refused

TYPES = {"plan": "string", "seats": "number", "trial": "boolean", "since": "date"}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"plan": "pro", "seats": 3, "trial": True, "since": "2026-12-01"}, None),
        ({"plan": 7, "seats": "12", "trial": "TRUE", "since": "2026-12-01T09:00:00Z"},
         {"plan": "7", "seats": 12, "trial": True, "since": "2026-12-01T09:00:00Z"}),
        ({"seats": "1.5", "other": [1, {"a": None}]}, {"seats": 1.5, "other": [1, {"a": None}]}),
        ({"plan": None}, None), ({}, None),
    ],
)  # fmt: skip
def test_what_fits_is_taken(given: dict[str, Any], expected: dict[str, Any] | None) -> None:
    assert fitting(given, TYPES) == (given if expected is None else expected)


@pytest.mark.parametrize(
    ("name", "value"),
    [("plan", True), ("plan", {}), ("seats", "many"), ("seats", "nan"), ("seats", "1e999"), ("seats", True),
     ("seats", "9" * 50), ("trial", 1), ("trial", "yes"), ("since", "soon"), ("since", 7)],
)  # fmt: skip
def test_what_does_not_fit_is_refused_by_name(name: str, value: object) -> None:
    with pytest.raises(Refused) as refused:
        fitting({name: value}, TYPES)

    assert refused.value.field == f"payload.{name}"


@pytest.mark.parametrize("given", [[], "x", {"a": "\0"}, {"a": "x" * 70_000}, {"a": 2**70}, {"a": "\ud800"}])
def test_what_cannot_be_stored_is_refused(given: object) -> None:
    with pytest.raises(Refused, match="payload"):
        fitting(given, None)


def test_what_is_no_number_is_nothing() -> None:
    assert fitting({"a": float("nan")}, None) == {"a": None}
    assert fitting(None, None) == {}


@pytest.mark.parametrize("given", [[], {"a": "text"}, {"": "string"}, {7: "string"}, {"a": ["string"]},
                                   {f"f{n}": "string" for n in range(101)}])  # fmt: skip
def test_schemas_that_cannot_be(given: object) -> None:
    with pytest.raises(Refused, match="schema"):
        schema(given)


def test_a_schema_may_be_taken_away() -> None:
    assert (schema(None), schema(TYPES)) == (None, TYPES)
