"""Raw mail → `NewEmail`: what is read from the headers, what leaves, what is refused."""

from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from uuid import UUID, uuid4

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.queues import Lane
from core.refusal import Refused
from messages.model import NewEmail
from messages.submission import (
    SubmissionFacts,
    SubmittedEmail,
    idempotency_of,
    new_email,
    read_submission,
)
from messages.submit import refusal
from mta.compose import compose_raw

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
ID = UUID("019a0000-0000-7000-8000-000000000001")


def _mail(*headers: str, body: str = "Hello\n", sender: str = "From: Shop <orders@shop.example>") -> bytes:
    return "\r\n".join([sender, *headers, "", body]).encode()


def _read(*headers: str, to: tuple[str, ...] = ("a@x.example",), **options: str) -> SubmittedEmail:
    return read_submission(_mail(*headers, **options), to)


def _refused(content: bytes, to: tuple[str, ...] = ("a@x.example",)) -> str:
    with pytest.raises(Refused) as caught:
        read_submission(content, to)
    return refusal(caught.value)


def _facts(mail: SubmittedEmail, *, test: bool = False) -> SubmissionFacts:
    return SubmissionFacts(
        ID,
        uuid4(),
        uuid4(),
        mail.lane or Lane.TRANSACTIONAL,
        None,
        None,
        NOW,
        "mail.shop.example",
        mail.recipients,
        test,
    )


def _email(mail: SubmittedEmail) -> NewEmail:
    return new_email(mail, _facts(mail))


def test_headers_are_read() -> None:
    mail = _read(
        'To: "Doe, Ann" <ann@x.example>, Bob <BOB@y.example>',
        "Cc: c@z.example (Cee)",
        "Reply-To: help@shop.example",
        "Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?= and more",
        "Message-ID: <1@shop.example>",
    )
    assert mail.sender.header == "Shop <orders@shop.example>"
    assert mail.to == ('"Doe, Ann" <ann@x.example>', "Bob <BOB@y.example>")
    assert (mail.cc, mail.reply_to) == (("Cee <c@z.example>",), ("help@shop.example",))
    assert (mail.subject, mail.message_id) == ("Grüße and more", "<1@shop.example>")
    assert (mail.lane, mail.pool, mail.expires_in) == (None, "", None)


def test_the_envelope_says_who_gets_it() -> None:
    mail = _read("To: ann@x.example", "Cc: cee@x.example", to=("Ann@x.example", "cee@x.example", "z@x.example"))
    assert [(r.recipient, r.address, r.destination, r.kind) for r in mail.recipients] == [
        ("Ann@x.example", "ann@x.example", "x.example", "to"),
        ("cee@x.example", "cee@x.example", "x.example", "cc"),
        ("z@x.example", "z@x.example", "x.example", "bcc"),
    ]
    assert _email(mail).bcc == ("z@x.example",)


def test_the_same_recipient_twice_gets_one_mail() -> None:
    assert len(_read(to=("a@x.example", "A@X.example", "a@x.example")).recipients) == 1


def test_what_must_not_leave_does_not_leave() -> None:
    mail = _read(
        "Bcc: secret@x.example,",
        "\tsecret2@x.example",
        "X-Postlane-Stream: marketing",
        "Return-Path: <me@shop.example>",
        "Resend-Idempotency-Key: k1",
        "X-Mine: stays",
    )
    raw = _email(mail).raw
    assert raw is not None
    names = [name.lower() for name in message_from_bytes(raw)]
    assert names == ["received", "from", "x-mine"]
    assert b"secret" not in raw
    assert (mail.lane, mail.idempotency_key) == (Lane.MARKETING, "k1")


def test_the_rest_stays_as_it_was() -> None:
    content = _mail("To: a@x.example", "X-Odd:  two  blanks", "Subject: fold", "\ted", body="cafe\r\n..\r\n.\r\n")
    assert read_submission(content, ("a@x.example",)).content == content


def test_bare_line_ends_cannot_hide_a_header() -> None:
    """A bare LF begins one, as other software takes it; a bare CR begins none."""
    mail = _read("X-A: 1\nBcc: secret@x.example\nX-Postlane-Stream: marketing")
    assert b"secret" not in mail.content
    assert mail.lane is Lane.MARKETING
    mail = _read("X-A: 1\rBcc: secret@x.example\rX-Postlane-Stream: marketing")
    assert (mail.lane, b"\r\nX-A: 1 Bcc: secret@x.example X-Postlane-Stream: marketing\r\n" in mail.content) == (
        None,
        True,
    )


def test_the_email() -> None:
    email = _email(_read("Subject: Hi", "X-Postlane-Expires-In: 600"))
    assert email.message_id == f"<{ID}@mail.shop.example>"
    assert email.expires_at == NOW + timedelta(minutes=10)
    assert (email.sender, email.subject, email.created_at) == ("Shop <orders@shop.example>", "Hi", NOW)
    assert email.raw is not None
    assert email.raw.startswith(b"Received: by mail.shop.example with ESMTPA id ")
    composed = compose_raw(email.raw, email.message_id, NOW, "")
    assert message_from_bytes(composed)["Message-ID"] == email.message_id


@pytest.mark.parametrize(
    ("sender", "expected"),
    [
        ("From: orders@shop.example", "orders@shop.example"),
        ("From: =?utf-8?q?J=C3=BCrgen=2C_Shop?= <orders@shop.example>", '"Jürgen, Shop" <orders@shop.example>'),
        ("From: root@shop.example (Cron Daemon)", "Cron Daemon <root@shop.example>"),
        ("FROM:\r\n Shop\r\n <orders@b\u00fccher.example>", "Shop <orders@xn--bcher-kva.example>"),
        ("From: =?no-such-charset?q?Shop?= <orders@shop.example>", "Shop <orders@shop.example>"),
    ],
)
def test_senders(sender: str, expected: str) -> None:
    assert _read(sender=sender).sender.header == expected


@pytest.mark.parametrize(
    "sender",
    [
        "From: a@shop.example, b@other.example",
        "From: a@shop.example <b@other.example>, c@shop.example",
        "From: a@shop.example\r\nFrom: b@other.example",
        "From: ",
        "From: Team: a@shop.example;",
        "From: <a@shop.example> <b@other.example>",
        "From: a@shop.example\x00",
        "Subject: no sender",
        "From a@shop.example Sun Nov 22",
    ],
)
def test_senders_that_are_not_one_address(sender: str) -> None:
    assert _refused(_mail(sender=sender)).startswith("550 5.6.0 ")


@pytest.mark.parametrize(
    "header",
    [
        "X-Postlane-Stream: bulk",
        "X-Postlane-Steam: marketing",
        "X-Postlane-Expires-In: soon",
        "X-Postlane-Click-Tracking: perhaps",
        "X-Postlane-Expires-In: 259201",
        "X-Postlane-Expires-In: 0",
        "X-Postlane-Idempotency-Key: " + "k" * 257,
        "no colon here",
        "Message-ID: <" + "x" * 1200 + "@shop.example>",
        "X-Nul: \x00",
        "Subject: one\r\nSubject: another",
        "Date: Sun, 22 Nov 2026 09:05:07 +0000\r\nDate: Mon, 23 Nov 2026 09:05:07 +0000",
    ],
)
def test_headers_that_are_refused(header: str) -> None:
    assert _refused(_mail(header)).startswith("550 5.6.0 ")


def test_a_body_without_a_header_is_told_in_words() -> None:
    assert _refused("just ä body\r\n".encode()) == "550 5.6.0 Not a header line: 'just \\xe4 body'"


def test_the_longest_life_is_that_of_the_api() -> None:
    assert _read("X-Postlane-Expires-In: 259200").expires_in == timedelta(hours=72)


@pytest.mark.parametrize(("text", "wanted"), [("true", True), ("False", False), ("", None)])
def test_tracking_is_switched_by_headers(text: str, wanted: bool | None) -> None:
    mail = _read(f"X-Postlane-Open-Tracking: {text}", "X-Postlane-Click-Tracking: false")
    assert (mail.open_tracking, mail.click_tracking) == (wanted, False)
    email = _email(mail)
    assert (email.open_tracking, email.click_tracking) == (wanted, False)
    assert b"X-Postlane" not in (email.raw or b"")


@pytest.mark.parametrize("option", ["Stream", "Topic"])
def test_an_empty_stream_or_topic_is_refused(option: str) -> None:
    with pytest.raises(Refused, match=f"{option.lower()}: it is empty"):
        _read(f"X-Postlane-{option}: ")


@pytest.mark.parametrize("option", ["Pool", "Expires-In", "Idempotency-Key"])
def test_an_empty_option_is_a_missing_one(option: str) -> None:
    mail = _read(f"X-Postlane-{option}: ")
    assert (mail.pool, mail.expires_in, mail.idempotency_key) == ("", None, "")


@pytest.mark.parametrize("option", ["Stream", "Topic", "Pool", "Tag", "Open-Tracking", "Expires-In", "Idempotency-Key"])
@pytest.mark.parametrize(
    "value",
    ["a\0b", "a\u2028X-Evil: yes", "=?utf-8?q?a=0D=0AX-Evil:_yes?=", "a\x0bX-Evil: yes", "a" * 1200, "a\rX-Evil: yes"],
)
def test_an_option_adds_no_header(option: str, value: str) -> None:
    """It is refused, or the mail leaves without it."""
    try:
        raw = _email(_read(f"X-Postlane-{option}: {value}", "Subject: Hi")).raw
    except Refused:
        raw = _email(_read("Subject: Hi")).raw
    assert raw is not None
    head = compose_raw(raw, "<1@shop.example>", NOW, "").partition(b"\r\n\r\n")[0]
    names = {line.partition(b":")[0].lower() for line in head.split(b"\r\n") if line[:1] not in b" \t"}
    assert names == {b"received", b"from", b"subject", b"date", b"message-id"}
    assert not {b"\r", b"\n", b"\0"} & {bytes([octet]) for octet in head.replace(b"\r\n", b"")}


@pytest.mark.parametrize("charset", ["utf-8", "cp1252"])
def test_raw_text_in_headers_is_encoded_when_the_addresses_are_ascii(charset: str) -> None:
    head = 'From: Jürgen <a@shop.example>\r\nTo: "Müller, Jörg" <j@x.example>\r\nSubject: Grüße €\r\n\r\nHi\r\n'
    mail = read_submission(head.encode(charset), ("j@x.example",))
    assert mail.content.isascii()
    assert (mail.sender.name, mail.subject, mail.to) == ("Jürgen", "Grüße €", ('"Müller, Jörg" <j@x.example>',))
    parsed = message_from_bytes(mail.content, policy=policy.SMTP)
    assert (parsed["Subject"], parsed["To"]) == ("Grüße €", '"Müller, Jörg" <j@x.example>')
    assert mail.recipients[0].kind == "to"


def test_an_address_outside_ascii_stays_what_it_is() -> None:
    mail = _read("To: Jürgen <jürgen@bücher.example>", to=("jürgen@bücher.example",))
    assert "<jürgen@xn--bcher-kva.example>".encode() in mail.content
    assert mail.recipients[0].kind == "to"


def test_empty_headers_are_missing_ones() -> None:
    mail = _read("Cc: ", "Reply-To:", "Message-ID: ", "Date:\r\n \r\n\t", "Subject:", "To: a@x.example")
    assert mail.content == _mail("Subject:", "To: a@x.example", body="Hello\r\n")
    email = _email(mail)
    assert email.raw is not None
    composed = message_from_bytes(compose_raw(email.raw, email.message_id, NOW, ""))
    assert (composed["Date"], composed["Message-ID"]) == ("Sun, 22 Nov 2026 12:00:00 +0000", email.message_id)


def test_recipients_in_several_headers_are_one_list() -> None:
    mail = _read("To: a@x.example", "Subject : Hi", "To: b@x.example", to=("a@x.example", "b@x.example"))
    assert mail.to == ("a@x.example", "b@x.example")
    assert b"\r\nTo: a@x.example,\r\n b@x.example\r\nSubject: Hi\r\n" in mail.content


def test_a_mail_that_goes_round_in_circles() -> None:
    assert _refused(_mail(*["Received: by x"] * 51)).startswith("554 5.4.6 ")


def test_a_second_try_has_the_same_fingerprint() -> None:
    def attempt(number: int, text: str = "Hello", stream: str = "marketing") -> SubmittedEmail:
        boundary = f"==={number}=="
        return _read(
            f"Date: {number}",
            f"Message-ID: <{number}@shop.example>",
            "X-Postlane-Idempotency-Key: k",
            f"X-Postlane-Stream: {stream}",
            f'Content-Type: multipart/alternative; boundary="{boundary}"',
            body=f"--{boundary}\r\n\r\n{text}\r\n--{boundary}--\r\n",
        )

    first = attempt(1)
    assert attempt(2).fingerprint == first.fingerprint
    assert attempt(1, "Other").fingerprint != first.fingerprint
    assert attempt(1, stream="transactional").fingerprint != first.fingerprint
    kept = idempotency_of(first, _facts(first))
    assert kept is not None
    assert orjson.loads(kept.response) == {"id": str(ID)}
    assert idempotency_of(_read(), _facts(_read())) is None


_WORDS = st.sampled_from(
    ["From: ", "a@shop.example", "<", ">", '"', "\\", ",", "(", ")", "=?utf-8?q?", "?=", "\r\n", "\r\n ", "To: ",
     "Cc: ", ":", ";", "\x00", "ü", "X-Postlane-Stream: ", "Subject: ", "\r\n\r\n", "=?utf-8?b?", "\ud7ff"]
)  # fmt: skip


@given(st.one_of(st.binary(max_size=300), st.lists(_WORDS, max_size=40).map(lambda words: "".join(words).encode())))
def test_any_bytes(content: bytes) -> None:
    reply, read = "", None
    try:
        read = read_submission(content, ("a@x.example",))
    except Refused as error:
        reply = refusal(error)
    if read is None:
        assert reply[:3] in ("550", "554")
        return
    email = _email(read)
    assert email.raw is not None
    compose_raw(email.raw, email.message_id, NOW, "")
    assert email.subject.isprintable()
    assert "\x00" not in "".join((*email.to, *email.cc, *email.reply_to, email.sender))
