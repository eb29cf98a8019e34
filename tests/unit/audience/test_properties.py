"""Values of properties and a contact's own fields: one stored form for each type, and bounds."""

from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audience import properties
from audience.contact_fields import checked_email, checked_fields
from audience.contacts import Contact, Status
from audience.properties import Property, PropertyType, shaped_value
from audience.variables import variables_of
from core.refusal import Refused

NOW = datetime(2026, 11, 28, tzinfo=UTC)
ID = UUID(int=7)


def defined(**types: str) -> dict[str, Property]:
    return {key: Property(ID, ID, key, PropertyType(kind), None, NOW) for key, kind in types.items()}


@pytest.mark.parametrize(
    ("kind", "given_value", "stored"),
    [
        ("string", "x", "x"),
        ("string", 7, "7"),
        ("string", "", ""),
        ("number", "12", 12),
        ("number", " -1.5 ", -1.5),
        ("number", 0, 0),
        ("boolean", "TRUE", True),
        ("boolean", False, False),
        ("date", "1931-02-28", "1931-02-28"),
        ("date", "2026-11-28T09:00:00+01:00", "2026-11-28T08:00:00Z"),
    ],
)
def test_a_value_has_one_stored_form(kind: str, given_value: object, stored: object) -> None:
    found = shaped_value(PropertyType(kind), given_value, "p")

    assert (found, type(found)) == (stored, type(stored))


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("string", True), ("string", ["x"]), ("string", "a\0b"), ("string", "x" * 2001), ("string", "\ud800"),
        ("number", "twelve"), ("number", True), ("number", float("nan")), ("number", "1e400"), ("number", 10**16),
        ("boolean", 1), ("boolean", "yes"),
        ("date", "28.11.2026"), ("date", "2026-02-30"), ("date", "2026-11-28T09:00:00"), ("date", "9999-01-01"),
        ("date", 20261128),
    ],
)  # fmt: skip
def test_what_is_of_another_type_is_refused(kind: str, value: object) -> None:
    with pytest.raises(Refused, match=r"properties\.p"):
        shaped_value(PropertyType(kind), value, "properties.p")


@given(
    st.sampled_from(list(PropertyType)),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=5,
    ),
)
def test_a_stored_value_is_its_own_stored_form(kind: PropertyType, value: object) -> None:
    """Whatever is taken is taken again as it is, and anything else is refused, never an accident."""
    try:
        stored = shaped_value(kind, value, "p")
    except Refused:
        return
    assert shaped_value(kind, stored, "p") == stored


def test_properties_are_known_or_refused() -> None:
    definitions = defined(plan="string", age="number", since="date")
    assert properties.checked({"plan": "pro", "age": None, "since": ""}, definitions) == {
        "plan": "pro", "age": None, "since": None,
    }  # fmt: skip
    with pytest.raises(Refused, match="colour"):
        properties.checked({"colour": "red"}, definitions)


def test_all_values_of_a_contact_together_have_a_bound() -> None:
    values = {f"p{n}": "x" * 2000 for n in range(8)}
    assert properties.merged({"a": 1, "b": 2}, {"a": None, "c": 3}) == {"b": 2, "c": 3}
    with pytest.raises(Refused, match="16,384 bytes"):
        properties.merged({}, values | {"p9": "x" * 2000})


@pytest.mark.parametrize(
    ("field", "text", "stored"),
    [
        ("first_name", "  Ann ", "Ann"),
        ("last_name", "", None),
        ("language", "PT_br", "pt-BR"),
        ("language", "zh-hant-tw", "zh-Hant-TW"),
        ("time_zone", "europe/berlin", "Europe/Berlin"),
        ("time_zone", None, None),
    ],
)
def test_fields_have_one_stored_form(field: str, text: str | None, stored: str | None) -> None:
    assert checked_fields({field: text}) == {field: stored}


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("first_name", "a\nBcc: b"), ("first_name", "x" * 201), ("last_name", "a\u2028b"),
        ("language", "german"), ("language", "de-" + "x" * 9), ("time_zone", "Berlin"), ("time_zone", "../etc/passwd"),
    ],
)  # fmt: skip
def test_fields_that_cannot_be_are_named(field: str, text: str) -> None:
    with pytest.raises(Refused, match=field):
        checked_fields({field: text})


def test_an_address_stands_alone() -> None:
    assert checked_email(" Ann.B@Example.COM ").wire == "Ann.B@example.com"
    with pytest.raises(Refused, match="alone"):
        checked_email("Ann <ann@example.com>")


def test_a_template_sees_fields_and_properties() -> None:
    definitions = defined(plan="string", age="number")
    definitions["plan"] = Property(ID, ID, "plan", PropertyType.STRING, "free", NOW)
    contact = Contact(
        ID, ID, "ann@example.com", "Ann@example.com", "Ann", None, "de", None, {"age": 40, "gone": "x"},
        Status.CONFIRMED, NOW, NOW, NOW,
    )  # fmt: skip
    seen = {
        "email": "Ann@example.com", "first_name": "Ann", "last_name": None, "language": "de", "time_zone": None,
        "plan": "free", "age": 40,
    }  # fmt: skip

    assert variables_of(contact, definitions) == seen | {"contact": seen}
