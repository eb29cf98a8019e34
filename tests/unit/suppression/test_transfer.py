"""Lists as text: what is taken, what is refused with its line, and that an export comes back."""

import io
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from suppression.reasons import Reason, Source, SuppressionScope
from suppression.repository import Addition, Suppression
from suppression.transfer import Fault, plain_detail, read, write_header, write_rows

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def taken(text: str) -> list[Addition | Fault]:
    return list(read(io.StringIO(text, newline=""), SuppressionScope.ALL, Source.IMPORT, NOW))


def addresses(items: Iterable[Addition | Fault]) -> list[str]:
    return [item.address for item in items if isinstance(item, Addition)]


def faults(items: Iterable[Addition | Fault]) -> list[Fault]:
    return [item for item in items if isinstance(item, Fault)]


def test_a_plain_list_with_comments_and_blank_lines() -> None:
    items = taken("\ufeff# exported\n\nAnn@Example.com\r\nbob@example.com,ignored\n  \ncarl@example.com;x\n")
    assert addresses(items) == ["ann@example.com", "bob@example.com", "carl@example.com"]
    assert not faults(items)


def test_the_usual_reason_and_scope_hold_for_a_plain_list() -> None:
    (item,) = read(["a@example.com"], SuppressionScope.MARKETING, Source.IMPORT, NOW, Reason.UNSUBSCRIBE)
    assert isinstance(item, Addition)
    assert (item.entry.scope, item.entry.reason, item.entry.source) == ("marketing", "unsubscribe", "import")
    assert item.entry.expires_at is None


def test_wrong_lines_are_named_by_number_and_the_rest_is_taken() -> None:
    items = taken("a@example.com\nnot an address\nb@example.com\n@example.com\n")
    assert addresses(items) == ["a@example.com", "b@example.com"]
    assert [(fault.line, fault.text) for fault in faults(items)] == [(2, "not an address"), (4, "@example.com")]
    assert all(fault.reason for fault in faults(items))


def test_a_stray_quotation_mark_in_a_plain_list_costs_its_own_line_at_most() -> None:
    items = taken('a@example.com\n"b@example.com\nc@example.com\n')
    assert addresses(items) == ["a@example.com", "b@example.com", "c@example.com"]


@pytest.mark.parametrize("header", ["email", "Email", "EmailAddress", "recipient", '"email"', "E-mail", "address"])
def test_headers_of_other_systems(header: str) -> None:
    items = taken(f"{header},created\na@example.com,2020-01-01\n")
    assert addresses(items) == ["a@example.com"]
    assert not faults(items)


@pytest.mark.parametrize("mark", [",", ";", "\t"])
def test_columns_by_name_in_any_order_and_with_any_separator(mark: str) -> None:
    rows = [["created", "reason", "email", "scope"], ["x", "SpamComplaint", "a@example.com", "Marketing"]]
    (item,) = taken("\n".join(mark.join(row) for row in rows))
    assert isinstance(item, Addition)
    assert (item.address, item.entry.reason, item.entry.scope) == ("a@example.com", "complaint", "marketing")


@pytest.mark.parametrize(
    ("word", "reason", "detail"),
    [
        ("hard_bounce", "hard_bounce", ""),
        ("HardBounce", "hard_bounce", ""),
        ("Spam Complaint", "complaint", ""),
        ("unsubscribed", "unsubscribe", ""),
        ("Blocked by moon", "import", "Blocked by moon"),
        ("", "import", ""),
    ],
)
def test_words_for_the_reason(word: str, reason: str, detail: str) -> None:
    (item,) = taken(f"email,reason\na@example.com,{word}\n")
    assert isinstance(item, Addition)
    assert (item.entry.reason, item.entry.detail) == (reason, detail)


def test_entries_that_are_over_are_passed_over_and_bad_dates_named() -> None:
    items = taken(
        "email,expires_at\nover@example.com,2026-11-22T11:59:59Z\nnext@example.com,2026-11-23\nbad@example.com,soon\n"
    )
    (item,) = (item for item in items if isinstance(item, Addition))
    assert item.entry.expires_at == datetime(2026, 11, 23, tzinfo=UTC)
    assert [fault.line for fault in faults(items)] == [4]


def test_an_unknown_scope_is_a_fault() -> None:
    (fault,) = taken("email,scope\na@example.com,everything\n")
    assert isinstance(fault, Fault)
    assert "everything" in fault.reason


def test_an_open_quotation_mark_does_not_swallow_the_file_in_silence() -> None:
    lines = ["email,detail", "a@example.com,ok", 'b@example.com,"open', *(f"u{n}@example.com,x" for n in range(50))]
    items = taken("\n".join(lines) + "\n")
    assert addresses(items) == ["a@example.com"]
    (fault,) = faults(items)
    assert fault.line == 3
    assert "lines 3 to 53" in fault.reason


def test_a_field_too_large_for_the_reader_is_a_fault() -> None:
    items = taken("email,detail\na@example.com," + "x" * 200_000 + "\nb@example.com,y\n")
    assert addresses(items) == ["b@example.com"]
    assert len(faults(items)) == 1


@pytest.mark.parametrize("text", ["", "\n\n", "# nothing\n", "email\n"])
def test_an_empty_list_is_empty(text: str) -> None:
    assert taken(text) == []


def test_an_export_comes_back_as_it_was() -> None:
    entries = [
        Suppression(
            UUID(int=1), "a@example.com", SuppressionScope.ALL, Reason.HARD_BOUNCE, Source.SMTP,
            'r1 at rcpt: 550 5.1.1 "no, such" user; sorry', NOW, None,
        ),
        Suppression(
            UUID(int=2), "ü@xn--mnchen-3ya.example", SuppressionScope.MARKETING, Reason.UNSUBSCRIBE, Source.LINK,
            "", NOW, NOW + timedelta(days=3),
        ),
    ]  # fmt: skip
    out = io.StringIO(newline="")
    write_header(out)
    write_rows(out, entries)
    items = taken(out.getvalue())
    assert [
        (item.address, item.entry.scope, item.entry.reason, item.entry.detail, item.entry.expires_at)
        for item in items
        if isinstance(item, Addition)
    ] == [(entry.address, entry.scope, entry.reason, entry.detail, entry.expires_at) for entry in entries]


@pytest.mark.parametrize(
    ("given", "kept"), [("a\x00b", "a b"), ("x\ud800", "x"), ("line\r\nbreak", "line  break"), ("y" * 600, "y" * 500)]
)
def test_a_detail_can_always_be_stored(given: str, kept: str) -> None:
    assert plain_detail(given) == kept
    plain_detail(given).encode()
