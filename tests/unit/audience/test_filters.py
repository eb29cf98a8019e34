"""Filters of contacts: text and JSON are the same, and what is no filter is told with its place."""

import re
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audience.filters import reading
from audience.filters.tree import (
    DEEPEST,
    LONGEST_TEXT,
    MOST_RULES,
    All,
    Filter,
    FilterError,
    Not,
    Operator,
    Rule,
    Span,
    Unit,
)
from audience.filters.tree import Any as Either
from audience.properties import PropertyType
from tests.unit.audience import filter_examples
from tests.unit.audience.filter_examples import KEYS

ROOT = Path(__file__).parent.parent.parent.parent


def read(text: object) -> Filter:
    return reading.read(text, KEYS)


@given(filter_examples.filters(20))
def test_text_and_json_are_the_same_filter(tree: Filter) -> None:
    text, stored = reading.shown(tree), orjson.loads(orjson.dumps(reading.to_json(tree)))

    assert read(text) == tree
    assert read(stored) == tree
    assert reading.shown(read(text)) == text


@given(st.text(st.sampled_from('andornotisset inlast30days()=<>!,"“\\.-0129 countryopened'), max_size=40))
def test_whatever_is_written_is_a_filter_or_told_with_its_place(text: str) -> None:
    try:
        read(text)
    except FilterError as error:
        place = re.fullmatch(r"at character (\d+)", error.where)
        assert place is not None
        assert 1 <= int(place[1]) <= len(text) + 1


_JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.floats(), st.text(max_size=5), st.sampled_from(list(Operator))),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(["type", "rules", "rule", "field", "operator", "value", "x"]), inner),
    ),
)


@given(_JSON)
def test_any_json_is_a_filter_or_refused(given: object) -> None:
    try:
        read([given] if isinstance(given, str) else given)
    except FilterError as error:
        told = str(error)
        assert told.startswith("filter")  # either is right, and this says which


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("OPENED In The Last 2 Weeks", Rule("opened", Operator.WITHIN, Span(2, Unit.WEEK))),
        ("never clicked", Rule("clicked", Operator.IS_EMPTY)),
        ("active", Rule("active", Operator.EXISTS)),
        ("email = 'Ann@Example.COM'", Rule("email", Operator.EQ, "ann@example.com")),
        ("“DE” = country", None),
        ("country = „DE“", Rule("properties.country", Operator.EQ, "DE")),
        ("country <> \"DE\"", Rule("properties.country", Operator.NEQ, "DE")),
        ("in segment \"VIP\"", Rule("list", Operator.EQ, "VIP")),
        ("properties.opened > 3", Rule("properties.opened", Operator.GT, 3)),
        ("not not vip = true", Not(Not(Rule("properties.vip", Operator.EQ, True)))),
    ],
)  # fmt: skip
def test_what_people_write(text: str, meant: Filter | None) -> None:
    if meant is None:
        with pytest.raises(FilterError):
            read(text)
    else:
        assert read(text) == meant


def test_and_binds_before_or() -> None:
    a, b, c = (Rule(name, Operator.EXISTS) for name in ("opened", "clicked", "active"))

    assert read("opened or clicked and active") == Either((a, All((b, c))))
    assert read("(opened or clicked) and not active") == All((Either((a, b)), Not(c)))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "at character 1: expected a rule"),
        ("country", "at character 8: expected `=`"),
        ("country = DE", 'at character 11: expected "a text", a number'),
        ("country = \"DE", "at character 11: the text that begins here has no closing"),
        ("(opened", "at character 8: expected `)`, found the end"),
        ("opened clicked", "at character 8: expected `=`"),
        ("opened and", "at character 11: expected a rule"),
        ("opened in last 30", "at character 16: a span is a number with hours, days"),
        ("opened in last 999999 years", "at character 16: a span is at most 100 years"),
        ("country = \"DE\" & opened", "at character 16: `&` means nothing here"),
        ("contry = \"DE\"", "at character 1: there is no property `contry`: is `country` meant?"),
        ("age > \"DE\"", "at character 1: `age` is a number and cannot be compared with a text"),
        ("country > 3", "at character 1: `country` is a text, and what is less or more cannot be asked of it"),
        ("vip = 1", "at character 1: `vip` is true or false and cannot be compared with a number"),
        ("born = true", "at character 1: `born` is a date and cannot be compared with true or false"),
        ("opened > 3", "at character 1: `opened` is a time and cannot be compared with a number"),
        ("born in last 3 hours", "at character 1: `born` is a date, and dates are counted in days"),
        ("opened before 2026-02-30", "at character 15: a date is written as 2026-01-31"),
        ("opened in next 3 days", "at character 1: `opened` is a time, and `ahead` cannot be asked of it"),
        ("opened since 2026-01-01T10:00:00", "at character 14: a time needs its zone"),
        ("email = \"ann\"", "at character 1: no address"),
        ("country = \"\"", "at character 1: the text is empty: `country is not set`"),
        ("country = \"a\x00b\"", "at character 11: a text holds no control characters"),
        ("age = 1e400", "at character 7: a number lies between"),
        ("status = \"gone\"", "at character 1: the status is confirmed or unconfirmed"),
    ],
)  # fmt: skip
def test_mistakes_are_told_with_their_place(text: str, told: str) -> None:
    with pytest.raises(FilterError) as caught:
        read(text)

    assert str(caught.value).startswith(told)


def rule(**changes: object) -> dict[str, object]:
    return {"type": "rule", "field": "country", "operator": "eq", "value": "DE", **changes}


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (3, "filter: expected an object"),
        ({}, "filter.type: expected the `type`"),
        ({"type": "and", "rules": []}, "filter.rules: expected a list with at least one filter"),
        (
            {"type": "and", "rules": [rule(), rule(operator="like")]},
            "filter.rules[1].operator: expected one of eq, neq",
        ),
        ({"type": "not", "rules": [rule()]}, "filter: `rules` is no part of a filter of type not"),
        (rule(operator="in"), "filter.value: expected a list"),
        (rule(operator="in", value=["DE", 3]), "filter: `country` is a text and cannot be compared with a number"),
        (rule(value=None), "filter: expected a text to compare `country` with"),
        (rule(value={"a": 1}), "filter.value: expected a text, a number, true or false"),
        (rule(field="age", value=float("nan")), "filter.value: a number lies between"),
        (rule(field="age", value=float("inf")), "filter.value: a number lies between"),
        (rule(field="age", value=10**5000), "filter.value: a number lies between"),
        (rule(field="opened", operator="within", value=30), "filter.value: a span is a number with"),
        (rule(operator="exists"), "filter: `exists` takes no value"),
        (rule(field="topic", operator="contains"), "filter: of a topic is asked eq"),
    ],
)
def test_mistakes_in_json_are_told_with_their_place(given: object, told: str) -> None:
    with pytest.raises(FilterError) as caught:
        read(given)

    assert str(caught.value).startswith(told)


def nested(levels: int) -> dict[str, object]:
    return {"type": "not", "rule": nested(levels - 1)} if levels else rule()


def test_the_deepest_filter_can_be_written_as_text() -> None:
    tree = read(nested(DEEPEST))

    assert read(reading.shown(tree)) == tree


def test_filters_are_bounded() -> None:
    for written, told in (
        (" or ".join(["opened"] * (MOST_RULES + 1)), "rules"),
        ("(" * 500 + "opened", "levels"),
        ("not " * 500 + "opened", "levels"),
        ("x" * (LONGEST_TEXT + 1), "characters"),
        ({"type": "or", "rules": [rule()] * (MOST_RULES + 1)}, "rules"),
        ({"type": "or", "rules": [{"type": "and", "rules": [rule()] * 60}] * 2}, "rules"),
        (nested(DEEPEST + 1), "levels"),
    ):
        with pytest.raises(FilterError, match=told):
            read(written)


def test_every_filter_of_the_page_is_one() -> None:
    page = (ROOT / "docs" / "segments.md").read_text(encoding="utf-8")
    table = page.partition("| about | for example |")[2].partition("\n\n")[0]
    known = {**KEYS, "plan": PropertyType.STRING, "renewal": PropertyType.DATE}
    written = re.findall(r"`([^`]+)`", table)

    assert len(written) > 20
    for text in written:
        assert reading.read(reading.shown(reading.read(text, known)), known) == reading.read(text, known)
