"""Foreign mail from SMTP submission: completed, cleaned of Bcc, otherwise left alone."""

from datetime import UTC, datetime

import pytest

from mta.compose import compose_raw

_DATE = datetime(2026, 11, 22, 9, 5, 7, tzinfo=UTC)


def _sent(raw: bytes, feedback_id: str = "f:a:tx:postlane") -> bytes:
    return compose_raw(raw, "<1@acme.example>", _DATE, feedback_id)


def test_missing_headers_are_added_at_the_end_and_line_ends_normalised() -> None:
    assert _sent(b"From: a@acme.example\nTo: b@c.example\nSubject: s\n\nbody\rend") == (
        b"From: a@acme.example\r\nTo: b@c.example\r\nSubject: s\r\n"
        b"Message-ID: <1@acme.example>\r\nDate: Sun, 22 Nov 2026 09:05:07 +0000\r\nFeedback-ID: f:a:tx:postlane\r\n"
        b"\r\nbody\r\nend\r\n"
    )


def test_what_is_there_stays_byte_for_byte() -> None:
    raw = (
        b"Received: from x\r\n\tby y\r\nDKIM-Signature: v=1; d=other.example\r\nfrom: a@acme.example\r\n"
        b"message-id: <theirs@acme.example>\r\nDATE: yesterday\r\nFeedback-ID: theirs\r\n"
        b"Content-Transfer-Encoding: 8bit\r\n\r\n\xfc\xff  \r\n.\r\n"
    )
    assert _sent(raw) == raw


def test_bcc_and_return_path_go_with_their_folded_lines() -> None:
    raw = (
        b"Return-Path: <x@y.example>\r\nBcc: one@y.example,\r\n two@y.example\r\nFrom: a@acme.example\r\n"
        b"Resent-Bcc: three@y.example\r\nBCC : four@y.example\r\n\r\nBcc: stays in the body\r\n"
    )
    sent = _sent(raw)
    head, _, body = sent.partition(b"\r\n\r\n")
    assert b"y.example" not in head
    assert body == b"Bcc: stays in the body\r\n"


def test_a_message_without_body() -> None:
    for raw in (b"From: a@acme.example", b"From: a@acme.example\r\n", b"From: a@acme.example\r\n\r\n"):
        sent = _sent(raw, "")
        assert sent.startswith(b"From: a@acme.example\r\nMessage-ID:")
        assert sent.endswith(b"+0000\r\n\r\n")


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "not a header"),
        (b"\r\nFrom: a@b.example\r\n", "not a header"),
        (b"From a@b.example Mon\r\nFrom: a@b.example\r\n\r\n", "not a header"),
        (b" folded: first\r\nFrom: a@b.example\r\n\r\n", "not a header"),
        (b"Subject: none\r\n\r\nbody", "exactly one From"),
        (b"From: a@b.example\r\nfrom: c@d.example\r\n\r\nbody", "exactly one From"),
        (b"From: a@b.example\r\n\r\n\0", "NUL"),
        (b"From: a@b.example\r\n\r\n" + b"x" * 999 + b"\r\n", "998"),
        (b"From: a@b.example\r\nX: " + b"x" * 996 + b"\r\n\r\nbody", "998"),
    ],
)
def test_refused(raw: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        _sent(raw)


def test_lines_of_998_octets_pass() -> None:
    raw = b"From: a@b.example\r\n\r\n" + b"x" * 998 + b"\r\n"
    assert _sent(raw).endswith(b"x" * 998 + b"\r\n")
