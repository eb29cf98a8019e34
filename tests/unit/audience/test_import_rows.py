"""Lists of contacts as people have them: columns guessed or said, and no line that takes another with it."""

import io
from collections.abc import Iterable
from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audience.importing.columns import ColumnMap
from audience.importing.rows import ContactReader, Fault, Row, Why
from audience.properties import Property, PropertyType
from core.list_rows import LONGEST_LINE, bounded
from core.refusal import Refused

KNOWN = {
    key: Property(UUID(int=n), UUID(int=9), key, kind, None, datetime(2026, 1, 1, tzinfo=UTC))
    for n, (key, kind) in enumerate({"city": PropertyType.STRING, "orders": PropertyType.NUMBER}.items())
}


def read(text: str | Iterable[str], given_map: ColumnMap | None = None) -> list[Row | Fault]:
    lines = text.splitlines(keepends=True) if isinstance(text, str) else text
    return list(ContactReader(lines, KNOWN, given_map or ColumnMap()))


def rows(text: str, given_map: ColumnMap | None = None) -> list[Row]:
    return [one for one in read(text, given_map) if isinstance(one, Row)]


def faults(text: str) -> list[tuple[int, Why]]:
    return [(one.line, one.why) for one in read(text) if isinstance(one, Fault)]


@pytest.mark.parametrize(
    "text",
    [
        "Email,First Name,Last Name\nAnn@example.com,Ann,Lee\n",
        "E-Mail;Vorname;Nachname\r\nAnn@example.com;Ann;Lee\r\n",
        'A list of ours\n\n"Adresse e-mail"\t"Prénom"\t"Nom"\n"Ann@example.com"\t"Ann"\t"Lee"\n',
        "name|email\nAnn Lee|Ann@example.com\n",
        "email\nAnn Lee <Ann@example.com>\n",
    ],
)
def test_what_columns_are_called(text: str) -> None:
    (found,) = rows(text)

    assert (found.address, found.email, found.fields[:2]) == ("ann@example.com", "Ann@example.com", ("Ann", "Lee"))


def test_properties_language_zone_and_what_is_left() -> None:
    reader = ContactReader(
        ["Email,City,ORDERS,Locale,TZ,Shoe size\n", "a@example.com,Köln,12,de_at,europe/vienna,43\n"], KNOWN
    )
    (found,) = list(reader)

    assert isinstance(found, Row)
    assert (found.fields[2:], found.properties) == (("de-AT", "Europe/Vienna"), '{"city":"Köln","orders":12}')
    assert reader.layout is not None
    assert reader.layout.left == ("Shoe size",)


def test_what_is_said_of_columns_comes_first() -> None:
    wanted = ColumnMap({"email": "Work", "first_name": "2"}, {"city": "Town"})
    (found,) = rows("Work,Rufname,Email,Town\na@example.com,Ann,b@example.com,Bonn\n", wanted)

    assert (found.address, found.fields[0], found.properties) == ("a@example.com", "Ann", '{"city":"Bonn"}')


@pytest.mark.parametrize("column", ["Nowhere", "9", "0"])
def test_a_column_that_is_not_there_is_said(column: str) -> None:
    with pytest.raises(Refused, match="there are Email, Name"):
        read("Email,Name\na@example.com,A\n", ColumnMap({"first_name": column}))


def test_a_list_without_a_header() -> None:
    assert [one.address for one in rows("a@example.com\nb@example.com\n\n# note\n")] == [
        "a@example.com", "b@example.com",
    ]  # fmt: skip
    assert rows("Ann,a@example.com\n", ColumnMap({"first_name": "1"}))[0].fields[0] == "Ann"


def test_lines_that_are_wrong_are_named_and_take_no_other_along() -> None:
    text = (
        'Email,Name,Orders,Status\nnobody,A,1,\na@example.com,"A,1,\nb@example.com,B,many,\nc@example.com,C,3,\n'
        "d@example.com,D,4,cleaned\ne@example.com,E,5,subscribed\n"
    )

    assert faults(text) == [(2, Why.SYNTAX), (4, Why.VALUE), (6, Why.LEFT_THERE)]
    assert [one.address for one in rows(text)] == ["a@example.com", "c@example.com", "e@example.com"]


@pytest.mark.parametrize(
    "text", ["", "\n\n", "# nothing\n", "one\ntwo\n", "EMAIL,UNSUB_TIME\na@example.com,2026-01-01\n"]
)
def test_what_is_no_list_of_contacts_is_refused(text: str) -> None:
    with pytest.raises(Refused, match=r"empty|no column holds addresses|people who left"):
        read(text)


def test_a_line_of_ten_megabytes_takes_no_memory_and_no_other_line() -> None:
    text = io.StringIO(f"email,name\na@example.com,{'x' * (10 * LONGEST_LINE)}\nb@example.com,B\n")
    found = read(bounded(text))

    assert max(len(line) for line in bounded(io.StringIO("x" * (3 * LONGEST_LINE)))) == LONGEST_LINE
    assert [type(one) for one in found] == [Fault, Row]


def test_reading_goes_on_behind_a_line() -> None:
    lines = ["email\n", *(f"p{n}@example.com\n" for n in range(50))]
    found = list(ContactReader(iter(lines), KNOWN, behind=41))

    assert [one.line for one in found] == list(range(42, 52))


def test_formulas_are_text() -> None:
    (found,) = rows('email,first_name\na@example.com,"=HYPERLINK(""http://x.example"")"\n')

    assert found.fields[0] == '=HYPERLINK("http://x.example")'


@settings(max_examples=50)
@given(st.lists(st.text(max_size=60), max_size=12))
def test_anything_may_stand_in_a_list(lines: list[str]) -> None:
    found = read([f"{line}\n" for line in ("email,first_name", *lines)])

    assert all(isinstance(one, Row | Fault) for one in found)
