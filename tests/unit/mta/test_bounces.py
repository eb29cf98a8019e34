"""Reports are read in all their spellings, and whatever is no report stays none."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.queues import Lane
from mta.bounces import BounceReport, RecipientReport, ReportKind, parse_bounce
from mta.model import Phase
from mta.replies import classify
from suppression.rules import suppression_for
from tests.unit.mta.bounce_corpus import CORPUS, EXIM_OLD, POSTFIX_UNKNOWN_USER, Sample
from tests.unit.mta.notice_corpus import NOTICES

ALL = CORPUS | NOTICES


def _report(sample: Sample) -> BounceReport:
    report = parse_bounce(sample.data)
    assert report is not None
    return report


@pytest.mark.parametrize("name", ALL)
def test_kind(name: str) -> None:
    sample = ALL[name]
    report = parse_bounce(sample.data)
    assert (report.kind if report else None) is sample.kind


@pytest.mark.parametrize("name", [name for name, sample in ALL.items() if sample.recipient])
def test_recipient(name: str) -> None:
    sample = ALL[name]
    report = _report(sample)
    first = report.recipients[0]
    response = first.response
    assert (response.code, response.enhanced, first.final_recipient) == (sample.code, sample.enhanced, sample.recipient)
    assert sample.text in response.text
    assert first.remote_mta.startswith(sample.remote)
    assert report.reporting_mta == sample.reporting
    assert response.phase is Phase.RCPT


@pytest.mark.parametrize(
    ("name", "suppressed"),
    [
        ("postfix, unknown user", True),
        ("exchange, not found", True),
        ("gmail-like, codes on each line", True),
        ("exim, old", True),
        ("qmail", True),
        ("prose only", True),
        ("exim, with report", False),  # a full mailbox
        ("opensmtpd, action error", False),  # says nothing about the mailbox
        ("appliance, one block", False),  # content policy
        ("expired in their queue", False),
        ("exchange 5.5", True),
        ("domino", True),
        ("imail", True),
        ("interscan", True),
        ("opensmtpd, old", True),
        ("zoho", True),
        ("yahoo japan", True),
        ("verizon", True),
        ("silent fields", True),
        ("blank lines in a group", True),
        ("imail, full", False),
        ("gmx", False),
        ("phone", False),
        ("yahoo", False),
        ("list manager", False),
        ("dragonfly", False),
        ("rate under a dead code", False),
        ("advice", False),  # what a text says in general is said of nobody
        ("refused by receipt", False),
    ],
)
def test_only_dead_mailboxes_are_suppressed(name: str, suppressed: bool) -> None:
    response = _report(ALL[name]).recipients[0].response
    entry = suppression_for(classify(response, ""), None, Lane.MARKETING, response.text)
    assert (entry is not None) is suppressed


def test_several_recipients_keep_their_own_lines() -> None:
    report = _report(CORPUS["several recipients"])
    assert [recipient.kind for recipient in report.recipients] == [
        ReportKind.DONE,
        ReportKind.DELAYED,
        ReportKind.FAILED,
    ]
    assert [recipient.response.code for recipient in report.recipients] == [0, 452, 550]


def test_a_notice_about_two_has_a_line_for_each() -> None:
    report = _report(NOTICES["yahoo japan"])
    assert [recipient.final_recipient for recipient in report.recipients] == ["ana@yahoo.example", "ben@yahoo.example"]
    assert "over quota" in report.recipients[1].response.text
    assert [r.final_recipient for r in _report(NOTICES["blank lines in a group"]).recipients] == [
        "pia@weg.example",
        "pit@weg.example",
    ]


@pytest.mark.parametrize(("name", "certain"), [("imail", True), ("list manager", False), ("phone", True)])
def test_what_no_mail_system_wrote_is_not_certain(name: str, certain: bool) -> None:
    assert _report(NOTICES[name]).certain is certain


def test_what_only_the_second_reader_knows_is_not_certain() -> None:
    text = "--> Error description:\nError-for:  zoe@sonst.example\nError-Code: 3\nError-End: one error\n"
    report = parse_bounce(f"From: MAILER-DAEMON@sonst.example\nSubject: Hello\n\n{text}".encode())
    assert report is not None
    assert (report.kind, report.reader, report.certain) == (ReportKind.FAILED, "flufl.bounce", False)
    assert report.recipients[0].final_recipient == "zoe@sonst.example"
    assert parse_bounce(f"From: Zoe <zoe@sonst.example>\nSubject: Hello\n\n{text}".encode()) is None


def test_the_repeated_code_is_not_part_of_the_text() -> None:
    assert "550" not in _report(CORPUS["gmail-like, codes on each line"]).recipients[0].response.text


def test_feedback_report_names_its_type() -> None:
    assert _report(CORPUS["complaint"]).feedback_type == "abuse"


@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r\r\n"])
def test_line_ends_do_not_matter(ends: str) -> None:
    raw = POSTFIX_UNKNOWN_USER.lstrip().replace("\n", ends).encode()
    assert parse_bounce(raw) is not None


def test_a_report_that_was_cut_off_still_counts() -> None:
    raw = CORPUS["postfix, unknown user"].data
    cut = raw[: raw.index(b"rejected: User unknown") + 10]
    report = parse_bounce(cut)
    assert report is not None
    assert report.recipients[0].response.code == 550


def test_a_boundary_that_begins_with_another() -> None:
    raw = POSTFIX_UNKNOWN_USER.replace(
        "Content-Type: text/plain; charset=us-ascii\n",
        'Content-Type: multipart/mixed; boundary="4B1F2C0091.1793610847/mx1.firma.example.inner"\n',
        1,
    ).replace("The mail system", "--4B1F2C0091.1793610847/mx1.firma.example.inner\n\nThe mail system")
    report = parse_bounce(raw.lstrip().encode())
    assert report is not None
    assert report.recipients[0].final_recipient == "jana@firma.example"


def test_a_full_stop_of_an_address_is_no_code() -> None:
    raw = EXIM_OLD.replace("550 No such user here", "connection refused").replace("192.0.2.55", "203.0.113.250")
    report = parse_bounce(raw.lstrip().encode())
    assert report is not None
    assert report.recipients[0].response.code == 0
    assert report.recipients[0].response.enhanced == "5.0.0"


def test_of_differing_codes_the_refusal_is_reported() -> None:
    raw = POSTFIX_UNKNOWN_USER.replace("smtp; 550 5.1.1 <jana", "smtp; 220-mx.firma.example 521 5.3.2 <jana", 1)
    report = parse_bounce(raw.lstrip().encode())
    assert report is not None
    assert report.recipients[0].response.code == 521


@given(st.binary(max_size=3000))
def test_any_bytes(raw: bytes) -> None:
    assert parse_bounce(raw) is None or isinstance(parse_bounce(raw), BounceReport)


@given(
    st.sampled_from(sorted(ALL)),
    st.lists(st.tuples(st.integers(0, 2500), st.integers(0, 60), st.binary(max_size=30)), min_size=1, max_size=6),
)
def test_damaged_reports(name: str, damages: list[tuple[int, int, bytes]]) -> None:
    raw = ALL[name].data
    for at, length, instead in damages:
        raw = raw[:at] + instead + raw[at + length :]
    report = parse_bounce(raw)
    for recipient in report.recipients if report else ():
        _holds(recipient)


@given(st.text(max_size=400), st.text(max_size=40), st.text(max_size=80))
def test_any_diagnostic(diagnostic: str, action: str, recipient: str) -> None:
    fields = f"Final-Recipient: rfc822; {recipient}\nAction: {action}\nStatus: 5.1.1\nDiagnostic-Code: {diagnostic}\n"
    head = "Content-Type: multipart/report; boundary=x\n\n--x\nContent-Type: message/delivery-status\n\n"
    report = parse_bounce((head + fields).encode("utf-8", "replace"))
    assert report is None or all(_holds(recipient) for recipient in report.recipients)


def _holds(recipient: RecipientReport) -> bool:
    response = recipient.response
    assert len(response.text) <= 1000
    assert response.text.isprintable()
    assert recipient.final_recipient.isprintable() or "?" in recipient.final_recipient
    if recipient.kind is ReportKind.FAILED:
        assert response.code >= 400 or response.enhanced[0] in "45"
    return True


_DEEP = b"".join(b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (n, n) for n in range(20_000))
HOSTILE = {
    "nested containers": _DEEP,
    "nested mails": b"Content-Type: message/rfc822\n\n" * 30_000,
    "many boundary lines": b"Content-Type: multipart/mixed; boundary=b\n\n" + b"--b\n" * 250_000,
    "one long parameter list": b"Content-Type: a/b" + b";" * 1_000_000 + b"\n\n",
    "one long header": b"Subject: " + b"=?" * 500_000 + b"\n\nfrom mailer-daemon",
    "blank lines": b"From: mailer-daemon\nSubject: failed\n\n" + b"\n" * 1_000_000,
    "blanks": b"From: mailer-daemon\nSubject: failed\n\n550 " + b" " * 1_000_000,
    "codes": b"From: mailer-daemon\nSubject: failed\n\n" + b"550 5.1.1 " * 100_000,
    "brackets": b"From: mailer-daemon\nSubject: failed\n\n550 x" + b"<a" * 500_000,
    "status": b"Content-Type: multipart/report; boundary=x\n\n--x\nContent-Type: message/delivery-status\n\n"
    + b"Action: failed\nStatus: 5.1.1\n\n" * 30_000,
    "diagnostic": b"Content-Type: multipart/report; boundary=x\n\n--x\nContent-Type: message/delivery-status\n\n"
    + b"Action: failed\nDiagnostic-Code: smtp; 550 "
    + b"550-" * 200_000,
    "fields": b"a:\n" * 300_000,
    "addresses": b"From: mailer-daemon\nSubject: failed\n\n" + b"a@b.c " * 100_000,
    "lines of addresses": b"From: mailer-daemon\nSubject: failed\n\n" + b"<a@b.c>:\n" * 50_000,
    "half addresses": b"From: mailer-daemon\nSubject: failed\n\n" + b"a" * 60 + b"@" + b"a-" * 300_000,
    "originals": b"From: mailer-daemon\nSubject: failed\n\n" + b"\n" + b"-" * 30 + b" original" * 30_000,
    "unknown to all": b"From: mailer-daemon\nSubject: hello\n\n" + b"the mail to <> could " * 30_000,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_mail_costs_little(name: str) -> None:
    """The bound is wide, for slow machines: a quadratic reader takes minutes here, this one some milliseconds."""
    started = time.process_time()
    parse_bounce(HOSTILE[name])
    assert time.process_time() - started < 2.0
