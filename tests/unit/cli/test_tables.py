"""Tables on narrow terminals: whole columns go, whole cells stay, ids above all."""

import dataclasses
import io

import pytest
from rich.console import Console

from alarms.breakers import Breaker
from cli.commands.alarms import _BREAKERS
from cli.tables import Column, print_object, print_rows

_ID = "01a20446-b6a1-7000-8a97-c8c4fb13728d"
_COLUMNS = [
    Column("name"),
    Column("state"),
    Column("detail", wrap=True, drop=3),
    Column("at", "created", drop=2),
    Column("id", drop=0),
]
_ROWS = [
    {"name": "shop.example", "state": "verified", "detail": "word " * 20, "at": "2026-03-01 12:30:00", "id": _ID},
    {"name": "other.example", "state": "pending", "detail": "", "at": "", "id": _ID},
]


def _printed(width: int, columns: list[Column] = _COLUMNS) -> str:
    out = io.StringIO()
    print_rows(Console(file=out, width=width, force_terminal=False), _ROWS, columns, "")
    return out.getvalue()


@pytest.mark.parametrize(
    ("width", "left_out"),
    [(200, ""), (110, ""), (85, "detail"), (80, "detail, created"), (60, "state, detail, created")],
)
def test_columns_go_by_importance_and_are_named(width: int, left_out: str) -> None:
    out = _printed(width)

    assert (f"Left out: {left_out}." in out) == bool(left_out)
    assert out.count(_ID) == 2
    assert "…" not in out
    assert all(len(line) <= width for line in out.splitlines() if not line.startswith("Left out"))


def test_a_title_is_as_wide_as_the_terminal_and_not_as_the_table() -> None:
    out = io.StringIO()
    title = "offers: pool of the marketing lane, overflows to bulk"
    print_rows(Console(file=out, width=80), [{"IP": "192.0.2.11"}], [Column("IP")], title)

    assert out.getvalue().splitlines()[0] == title


@pytest.mark.parametrize("width", [20, 40, 48])
def test_what_does_not_fit_at_all_is_a_block_a_row(width: int) -> None:
    out = _printed(width)

    assert out.count(_ID) == 2
    assert "2026-03-01 12:30:00" in out
    assert "Left out" not in out
    assert "None" not in out
    assert out.count("\n\n") == 1, "a blank line between two"


def test_sentences_wrap_at_words_and_nothing_is_lost() -> None:
    assert _printed(110).split().count("word") == 20


def test_a_long_value_of_one_object_stays_on_one_line() -> None:
    out = io.StringIO()
    print_object(Console(file=out, width=40), {"token": "t" * 90, "name": "web"}, [Column("token"), Column("name")], "")

    assert "t" * 90 in out.getvalue()


def test_wide_letters_are_counted_by_their_cells() -> None:
    out = io.StringIO()
    rows = [{"name": "世界" * 8, "id": _ID, "more": "x" * 20}]
    columns = [Column("name"), Column("id", drop=0), Column("more")]
    print_rows(Console(file=out, width=80), rows, columns, "")

    assert "世界" * 8 in out.getvalue()
    assert "Left out: more." in out.getvalue()


def test_a_stopped_stream_is_named() -> None:
    """Columns name what the rows have."""
    fields = {field.name for field in dataclasses.fields(Breaker)}
    assert {column.key for column in _BREAKERS} <= fields


@pytest.mark.parametrize(("width", "lines"), [(120, 3), (60, 5)])
def test_a_long_id_gives_way_to_a_line_of_its_own(width: int, lines: int) -> None:
    columns = [Column("id", below=True), Column("name", drop=0), Column("at", "created"), Column("state")]
    told = _printed(width, columns).splitlines()

    assert len(told) == lines
    assert all(one in told[1] for one in ("shop.example", "2026-03-01 12:30:00", "verified"))
    assert (told[2] == f"  {_ID}") is (width == 60)
