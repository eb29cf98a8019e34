"""Lists as text: what is taken, what is refused with its line, and that an export comes back."""

import gzip
import io
import zipfile
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from core.list_files import decoded
from core.refusal import Refused
from suppression.entries import Addition, Suppression
from suppression.reading import Fault, Item, ListReader, Passed, Terms
from suppression.reasons import Reason, Source, SuppressionScope
from suppression.rules import plain_detail
from suppression.subjects import hashed
from suppression.transfer import write_header, write_rows

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def taken(text: str, **terms: Any) -> list[Item]:
    return list(ListReader(io.StringIO(text), Terms(NOW, **terms)))


def addresses(items: Iterable[Item]) -> list[str]:
    return [item.address for item in items if isinstance(item, Addition)]


def faults(items: Iterable[Item]) -> list[Fault]:
    return [item for item in items if isinstance(item, Fault)]


def test_a_plain_list_with_comments_and_blank_lines() -> None:
    items = taken("# exported\n\nAnn@Example.com\r\nbob@example.com,ignored\n  \ncarl@example.com;x\n")
    assert addresses(items) == ["ann@example.com", "bob@example.com", "carl@example.com"]
    assert not faults(items)


def test_the_usual_reason_and_scope_hold_for_a_plain_list() -> None:
    (item,) = taken("a@example.com", scope=SuppressionScope.MARKETING, reason=Reason.UNSUBSCRIBE)
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


def test_an_open_quotation_mark_costs_no_line_but_its_own() -> None:
    names = [f"u{n}@example.com" for n in range(50)]
    items = taken("\n".join(["email,detail", 'b@example.com,"open', *(f"{name},x" for name in names)]) + "\n")
    assert addresses(items) == ["b@example.com", *names]
    assert not faults(items)


@pytest.mark.parametrize("end", ["", 'x@example.com,"Manual\n', 'o"hara@example.com,"Manual\n'])
@pytest.mark.parametrize("between", [3, 17, 30])
def test_quotation_marks_in_names_lose_nobody(end: str, between: int) -> None:
    """Whether the next one comes soon, late or never."""
    names = [f"u{n}@example.com" for n in range(between)]
    items = taken('email,reason\no"neil@example.com,"Manual\n' + "".join(f"{name},bounce\n" for name in names) + end)
    assert [one for one in addresses(items) if one[0] == "u"] == names
    assert faults(items)[0].line == 2
    assert len(items) == 1 + between + bool(end)


def test_a_detail_of_several_lines_stays_with_its_address() -> None:
    items = taken('email,detail\na@example.com,"550 no such user\nsee ""help""\n"\nb@example.com,"x"\n')
    assert addresses(items) == ["a@example.com", "b@example.com"]
    assert not faults(items)


def test_lines_count_on_behind_a_quotation_mark() -> None:
    """An import that was stopped goes on behind the line it reached."""
    reader = ListReader(io.StringIO('email,detail\na@example.com,"x\nb@example.com,y\n'), Terms(NOW))
    assert [(next(items), reader.line)[1] for items in [iter(reader)] for _ in range(2)] == [2, 3]


def test_a_field_too_large_for_the_reader_is_a_fault() -> None:
    items = taken("email,detail\na@example.com," + "x" * 200_000 + "\nb@example.com,y\n")
    assert addresses(items) == ["b@example.com"]
    assert len(faults(items)) == 1


def test_a_domain_is_taken_only_when_it_is_asked_for() -> None:
    (fault,) = taken("@example.com\n")
    assert isinstance(fault, Fault)
    assert "--domains" in fault.reason
    assert addresses(taken("@example.com\na@example.com\n", domains=True)) == ["@example.com", "a@example.com"]


def test_hashes_are_taken() -> None:
    kept = hashed("ann@example.com")
    assert addresses(taken(f"{kept}\n{kept.upper()}\nsha256:12\n")) == [kept, kept]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # Amazon SES: its import format, and the answer of list-suppressed-destinations
        ("a@x.example,BOUNCE\nb@x.example, COMPLAINT\n", "hard_bounce complaint"),
        ('{"emailAddress":"a@x.example","reason":"BOUNCE"}\n{"emailAddress":"b@x.example","reason":"COMPLAINT"}\n',
         "hard_bounce complaint"),
        ('{"SuppressedDestinationSummaries": [\n {"EmailAddress": "a@x.example", "Reason": "BOUNCE",'
         ' "LastUpdateTime": "2020-04-10T21:03:05+00:00"}]}', "hard_bounce"),
        # SendGrid
        ("status,reason,email,created\n5.1.1,550 5.1.1 no such user,a@x.example,1443651125\n", "hard_bounce"),
        ("status,reason,email,created\n5.7.1,550 5.7.1 blocked for spam,a@x.example,1443651125\n", "import"),
        ("ip,email,created\n192.0.2.1,a@x.example,1443651125\n", "complaint"),
        ("email,created\na@x.example,1443651125\n", "import"),
        # Postmark
        ("EmailAddress,SuppressionReason,Origin,CreatedAt\n"
         "a@x.example,SpamComplaint,Recipient,2019-12-17T08:58:33-05:00\n"
         "b@x.example,ManualSuppression,Customer,2019-12-17T08:58:33-05:00\n", "complaint manual"),
        # Mailgun
        ("address,code,error,created_at\na@x.example,550,No such mailbox,\"Fri, 21 Oct 2011 11:02:55 UTC\"\n",
         "hard_bounce"),
        ("address,tags,created_at\na@x.example,*,\"Fri, 21 Oct 2011 11:02:55 UTC\"\n", "unsubscribe"),
        # Mailchimp
        ('"Email Address",Name,UNSUB_TIME,UNSUB_CAMPAIGN_TITLE,UNSUB_REASON,LEID,EUID\n'
         "a@x.example,A,2020-01-01 10:00:00,News,NORMAL,1,x\n", "unsubscribe"),
        ('"Email Address",Name,CLEAN_TIME,CLEAN_CAMPAIGN_TITLE,LEID\na@x.example,A,2020-01-01 10:00:00,News,1\n',
         "hard_bounce"),
        ('"Email Address",Name,MEMBER_RATING,OPTIN_TIME,LEID\na@x.example,A,2,2020-01-01 10:00:00,1\n', "-"),
        # listmonk
        ('uuid,email,name,attributes,status,created_at,updated_at\n1,a@x.example,A,"{""city"": ""X""}",enabled,,\n'
         "2,b@x.example,B,{},blocklisted,2023-01-02 15:04:05.123456 +0000 UTC,\n", "- manual"),
        # BillionMail
        ("email,attributes,active,create_time\na@x.example,{},1,2024-01-01 00:00:00\n"
         "b@x.example,{},0,2024-01-01 00:00:00\n",
         "- unsubscribe"),
        ("Email,Status\na@x.example,Subscribe\nb@x.example,Unsubscribe\n", "- unsubscribe"),
        # Others
        ("sep=;\nE-Mail-Adresse;Name\na@x.example;A\n", "import"),
        ("List of 2020\n\nKontakt|Wer\nA|a@x.example\nB|b@x.example\n", "import import"),
        ('"A","a@x.example"\n', "import"),
        ('[{"email": "a@x.example", "origin": "bounce"}]', "hard_bounce"),
    ],
)  # fmt: skip
def test_exports_of_other_systems(text: str, expected: str) -> None:
    items = taken(text)
    told = [i.entry.reason.value if isinstance(i, Addition) else "-" if i is Passed.GETS_MAIL else "?" for i in items]
    assert " ".join(told) == expected, faults(items)


@pytest.mark.parametrize(
    ("written", "since"),
    [
        ("2019-12-17T08:58:33-05:00", datetime(2019, 12, 17, 13, 58, 33, tzinfo=UTC)),
        ("1443651125", datetime(2015, 9, 30, 22, 12, 5, tzinfo=UTC)),
        ('"Fri, 21 Oct 2011 11:02:55 UTC"', datetime(2011, 10, 21, 11, 2, 55, tzinfo=UTC)),
        ("2023-01-02 15:04:05.123456789 +0000 UTC", datetime(2023, 1, 2, 15, 4, 5, 123456, tzinfo=UTC)),
        ("2020-01-01 10:00:00", datetime(2020, 1, 1, 10, tzinfo=UTC)),
        ("2999-01-01", None),
        ("soon", None),
    ],
)
def test_since_when(written: str, since: datetime | None) -> None:
    (item,) = taken(f"email,created_at\na@x.example,{written}\n")
    assert isinstance(item, Addition)
    assert item.since == since


def test_a_reader_goes_on_behind_a_line() -> None:
    lines = ["email,reason\n", *(f"u{n}@x.example,bounce\n" for n in range(100))]
    for behind in (0, 1, 5, 19, 20, 21, 60, 101, 200):
        reader = ListReader(iter(lines), Terms(NOW), behind)
        assert addresses(reader) == [f"u{n}@x.example" for n in range(max(0, behind - 1), 100)], behind
    assert ListReader(iter(lines), Terms(NOW)).line == 0


@pytest.mark.parametrize(
    "raw",
    [
        b"\xef\xbb\xbfEmail;Name\r\na@x.example;A\r\nb@x.example;B",
        "Email;Name\ra@x.example;\u00e4\rb@x.example;B\r".encode("latin-1"),
        "Email\tName\na@x.example\tA\nb@x.example\tB\n".encode("utf-16"),
        "Email\tName\na@x.example\tA\nb@x.example\tB\n".encode("utf-16-le"),
        "Email\tName\na@x.example\tA\nb@x.example\tB\n".encode("utf-16-be"),
        gzip.compress(b"Email,Name\na@x.example,A\nb@x.example,B\n", mtime=0),
        b"a@x.example\xa0\nb@x.example\n",
    ],
)
def test_files_as_people_have_them(raw: bytes) -> None:
    reader = ListReader(decoded(io.BytesIO(raw)), Terms(NOW))
    assert addresses(reader)[-1] == "b@x.example"


def zipped(*names: str) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            archive.writestr(name, "Email,Name\na@x.example,A\nb@x.example,B\n")
    return packed.getvalue()


def test_an_archive_with_one_file_is_that_file() -> None:
    reader = ListReader(decoded(io.BytesIO(zipped("list.csv", "__MACOSX/._list.csv"))), Terms(NOW))

    assert addresses(reader) == ["a@x.example", "b@x.example"]


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        (zipped("[Content_Types].xml", "xl/sheet.xml"), "save the sheet as CSV"),
        (zipped("one.csv", "two.csv"), "holds 2: one.csv, two.csv"),
        (b"PK\x03\x04 and so on", "cannot be read"),
    ],
)
def test_a_spreadsheet_is_no_text(raw: bytes, told: str) -> None:
    with pytest.raises(Refused, match=told):
        decoded(io.BytesIO(raw))


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
            "=1+1", NOW, NOW + timedelta(days=3),
        ),
    ]  # fmt: skip
    out = io.StringIO(newline="")
    write_header(out)
    write_rows(out, entries)
    assert '," =1+1",' in out.getvalue() or ", =1+1," in out.getvalue(), "a spreadsheet would reckon"
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


@pytest.mark.parametrize(
    "end", ["9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+14:00", "99999999999", "9999-12-31", "infinity"]
)
def test_an_end_that_nobody_could_read_again_is_a_fault(end: str) -> None:
    (fault,) = taken(f"email,expires_at\na@example.com,{end}\n")
    assert isinstance(fault, Fault)
    assert end in fault.reason


@pytest.mark.parametrize("zone", ["+14:00", "-23:00", "+23:59", "-00:00:01"])
def test_times_are_kept_in_utc(zone: str) -> None:
    """PostgreSQL refuses zones that Python takes."""
    text = f"2026-01-02T03:04:05{zone}"
    (item,) = taken(f"email,created_at,expires_at\na@example.com,{text},2030{text[4:]}\n")
    assert isinstance(item, Addition)
    assert item.since == datetime.fromisoformat(text)
    for moment in (item.since, item.entry.expires_at):
        assert moment is not None
        assert moment.utcoffset() == timedelta(0)


@pytest.mark.parametrize("since", ["0001-01-01T00:00:00+14:00", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59-14:00"])
def test_a_beginning_without_meaning_costs_nobody_their_entry(since: str) -> None:
    """Go writes the year 1 for no time at all."""
    (item,) = taken(f"email,reason,created_at\na@example.com,manual,{since}\n")
    assert isinstance(item, Addition)
    assert item.since is None
