"""What commands print: JSON for programs, tables for people, errors with a code."""

import json
import re
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

import pytest
from _pytest.capture import CaptureIO

from cli.output import Column, emit, print_error, print_raw, shown, tell, visible


class _Colour(StrEnum):
    RED = "red"


@dataclass(frozen=True, slots=True)
class _Row:
    id: str
    at: datetime
    colour: _Colour | None = None


_ROW = _Row("m1", datetime(2026, 3, 1, 12, 30, tzinfo=UTC), _Colour.RED)


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Standard output and error look like a terminal, wide enough and without colours."""
    # the class and not the object: pytest puts in a new one between set-up and test
    monkeypatch.setattr(CaptureIO, "isatty", lambda _self: True)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("TERM", "dumb")


def test_piped_output_is_json_whatever_the_columns(capsys: pytest.CaptureFixture[str]) -> None:
    emit([_ROW], columns=[Column("id")])
    assert json.loads(capsys.readouterr().out) == [{"id": "m1", "at": "2026-03-01T12:30:00+00:00", "colour": "red"}]


def test_no_rows_is_an_empty_list_for_a_program(capsys: pytest.CaptureFixture[str]) -> None:
    emit([])
    assert json.loads(capsys.readouterr().out) == []


@pytest.mark.usefixtures("terminal")
def test_json_is_json_on_a_terminal_too(capsys: pytest.CaptureFixture[str]) -> None:
    emit({"a": 1}, as_json=True)
    assert json.loads(capsys.readouterr().out) == {"a": 1}


@pytest.mark.usefixtures("terminal")
def test_rows_for_a_person(capsys: pytest.CaptureFixture[str]) -> None:
    emit([_ROW], columns=[Column("id", "Message"), Column("at"), Column("colour", show=lambda value: value.upper())])
    heading, line = (text.split("  ") for text in capsys.readouterr().out.strip().split("\n"))
    assert [word.strip() for word in heading if word.strip()] == ["Message", "at", "colour"]
    assert [word.strip() for word in line if word.strip()] == ["m1", "2026-03-01 12:30:00", "RED"]


@pytest.mark.usefixtures("terminal")
def test_an_object_for_a_person_and_nothing_found(capsys: pytest.CaptureFixture[str]) -> None:
    emit(_ROW)
    assert ["id", "m1"] in [line.split() for line in capsys.readouterr().out.split("\n")]
    emit([], empty="No keys yet.")
    assert capsys.readouterr().out == "No keys yet.\n"


@pytest.mark.usefixtures("terminal")
def test_remote_text_cannot_steer_the_terminal_nor_use_markup(capsys: pytest.CaptureFixture[str]) -> None:
    emit([{"reply": "550 \x1b[2Jno [red]such[/red] user\x07"}])
    out = capsys.readouterr().out
    assert "\x1b[2J" not in out
    assert r"550 \x1b[2Jno [red]such[/red] user\x07" in out


@pytest.mark.usefixtures("terminal", "capsys")
def test_a_bare_string_is_no_table() -> None:
    with pytest.raises(TypeError):
        emit("text")


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, ""), (True, "yes"), (0, "0"), (["a", None], "a, "), ({"k": False}, "k=no"), (_Colour.RED, "red")],
)
def test_cells(value: object, text: str) -> None:
    assert shown(value) == text


def test_visible_keeps_lines_and_tabs() -> None:
    assert visible("a\tb\nc\r\x9b") == "a\tb\nc\\x0d\\x9b"


def test_errors_for_a_program(capsys: pytest.CaptureFixture[str]) -> None:
    print_error("not_found", "no such message", "look again")
    captured = capsys.readouterr()
    assert captured.out == ""
    body = {"code": "not_found", "message": "no such message", "hint": "look again"}
    assert json.loads(captured.err) == {"error": body}


@pytest.mark.usefixtures("terminal")
def test_errors_for_a_person(capsys: pytest.CaptureFixture[str]) -> None:
    print_error("not_found", "no such message", "look again")
    assert capsys.readouterr().err == "error[not_found]: no such message\n  hint: look again\n"


RAW = b"Subject: \x1b]0;hello\x07\x9b31m\r\n\r\nB\xf6se \xe2\x80\xae\r\n"


def test_raw_bytes_are_for_files_and_programs(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    print_raw(RAW)
    assert capsysbinary.readouterr().out == RAW


@pytest.mark.usefixtures("terminal")
def test_raw_bytes_cannot_steer_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    print_raw(RAW)
    assert capsys.readouterr().out == "Subject: \\x1b]0;hello\\x07\\x9b31m\n\nB\\xf6se \\u202e\n"


def test_a_sentence_is_wrapped_at_words_on_a_terminal_only(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sentence = "  delivered at gmail through 127.0.1.13: https://shop.example/a-path-that-is-longer-than-a-line ok"
    monkeypatch.setenv("COLUMNS", "30")
    tell(sentence)
    assert capsys.readouterr().out == f"{sentence}\n"
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    tell(sentence)
    lines = [
        "  delivered at gmail through", "    127.0.1.13:", "    https://shop.example/a-path-that-is-longer-than-a-line",
        "    ok",
    ]  # fmt: skip
    assert re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out).splitlines() == lines
