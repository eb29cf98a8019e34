"""For all drafts: the standard library's parser reads what was given, and the bytes are fit for the wire."""

import re
from binascii import b2a_qp
from datetime import UTC, datetime
from email import message_from_bytes
from email.header import decode_header, make_header
from email.message import EmailMessage
from email.policy import default
from email.utils import getaddresses

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from core.addresses import Mailbox
from mta.compose import compose, compose_raw
from mta.mime_parts import encode_text
from mta.model import Attachment, Draft

_UNICODE = st.characters(exclude_categories=["Cs"])
_HEADER_CHAR = st.characters(exclude_categories=["Cs"], exclude_characters="\r\n\0")
_PRINTABLE = st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"])
_WORDY = st.lists(
    st.sampled_from(["Hello", "=?utf-8?q?x?=", "Größe", "日本語" * 9, "", "\t", "x" * 80, "👩‍🚀", "?=", "_"])
)
_VALUES = st.text(_HEADER_CHAR, max_size=300) | _WORDY.map(" ".join) | st.text("aé ", max_size=400)
_NAMES = st.text(_PRINTABLE, max_size=120) | _WORDY.map(" ".join).map(lambda text: text.replace("\t", ""))
_LINES = st.lists(
    st.sampled_from(["word ", "ü", "=", ".", "From ", "\n", "\r\n", "\r", "  ", "\t", "x" * 700, "--", "\0"])
)
_BODIES = st.text(_UNICODE, max_size=400) | _LINES.map("".join)
_FILES = st.builds(
    Attachment,
    filename=st.text(_HEADER_CHAR, max_size=120) | _VALUES.map(lambda text: text[:200]),
    content_type=st.sampled_from(["application/pdf", "text/plain", "text/html; charset=utf-8", "image/png"]),
    data=st.binary(max_size=300),
    content_id=st.sampled_from(["", "cid1", "<cid2@acme.example>"]),
)


_TAIL = "ü" + "a" * 40


def _draft(**changes: object) -> Draft:
    fields: dict[str, object] = {
        "sender": "a@acme.example",
        "to": ("b@customer.example",),
        "subject": "s",
        "message_id": "<1@acme.example>",
        "date": datetime(2026, 11, 22, tzinfo=UTC),
    }
    return Draft(**(fields | changes))  # type: ignore[arg-type]


def _checked(raw: bytes) -> EmailMessage:
    """Fit for the wire: CRLF only, short lines, 7-bit; then parsed."""
    assert raw.endswith(b"\r\n")
    assert raw.count(b"\r\n") == raw.count(b"\n") == raw.count(b"\r")
    assert max(map(len, raw.split(b"\r\n"))) <= 998
    assert raw.isascii()
    message = message_from_bytes(raw, policy=default)
    assert isinstance(message, EmailMessage)
    return message


def _text(value: str) -> str:
    """A header decoded the compat32 way, which keeps every character."""
    return str(make_header(decode_header(re.sub(r"\r\n", "", value))))


def _raw_header(raw: bytes, name: str) -> str:
    field = next(
        field for field in re.split(rb"\r\n(?![ \t])", raw) if field.lower().startswith(name.lower().encode() + b":")
    )
    return field.decode().partition(":")[2].strip(" ")


def _crlf(text: str) -> bytes:
    return re.sub("\r\n|\r|\n", "\r\n", text).encode()


@given(_VALUES)
@example("=?utf-8?q?literal?=")
@example(" " * 1_200 + "x" + " " * 1_200 + "y")
@example("x" * 2_000)
@example("x " * 500 + "ü")
def test_subjects(subject: str) -> None:
    raw = compose(_draft(subject=subject))
    message = _checked(raw)
    assert message["Subject"] == subject.strip(" \t")
    assert all(len(word) <= 75 for word in re.findall(r"=\?utf-8\?[qb]\?[^?]*\?=", _raw_header(raw, "Subject")))


@given(st.text(_HEADER_CHAR, min_size=1, max_size=300))
def test_folded_lines_keep_to_78_when_words_are_short(subject: str) -> None:
    assume(max(map(len, subject.split(" "))) <= 60)
    head = compose(_draft(subject=subject)).partition(b"\r\n\r\n")[0]
    assert max(map(len, head.split(b"\r\n"))) <= 78


@given(_VALUES)
def test_custom_headers(value: str) -> None:
    assume("=?" not in value)
    message = _checked(compose(_draft(headers=(("X-Own", value),))))
    assert message["X-Own"] == value.strip(" \t")


@given(st.lists(_NAMES, min_size=1, max_size=8))
@example(["=?utf-8?q?Fake?= <evil@evil.example>,"])
def test_names(names: list[str]) -> None:
    boxes = [Mailbox(name, f"user{index}", "example.com") for index, name in enumerate(names)]
    raw = compose(_draft(to=tuple(box.header for box in boxes), sender=boxes[0].header))
    message = _checked(raw)
    assert [address.addr_spec for address in message["To"].addresses] == [box.wire for box in boxes]
    # getaddresses reads the structure, and decoding comes after it, as RFC 2047 section 6.2 demands.
    read = getaddresses([_raw_header(raw, "To").replace("\r\n", "")])
    assert [(_text(name), address) for name, address in read] == [(box.name, box.wire) for box in boxes]


@given(_BODIES, _BODIES)
def test_bodies(text: str, html: str) -> None:
    both = _checked(compose(_draft(text=text, html=html)))
    parts = [part for part in both.walk() if not part.is_multipart()]
    # An empty body is an absent one; a mail with neither is an empty text.
    given = [_crlf(body) for body in (text, html) if body] or [b""]
    read = [part.get_payload(decode=True) for part in parts]
    assert read == given if len(given) == 2 else read in (given, [given[0] + b"\r\n"])
    assert {part.get_content_charset() for part in parts} == {"utf-8"}
    alone = _checked(compose(_draft(text=text))).get_payload(decode=True)
    assert alone in (_crlf(text), _crlf(text) + b"\r\n")


@given(_BODIES)
@example("ü" + "x" * 68 + " \n" + "ü" + "x" * 68 + "\t\n" + "ü" + "x" * 72 + ".\n")
def test_quoted_printable_lines_keep_to_76(text: str) -> None:
    message = _checked(compose(_draft(text=text + _TAIL)))
    assert message["Content-Transfer-Encoding"] in ("quoted-printable", "base64")
    payload = message.get_payload()
    assert isinstance(payload, str)
    assert max(map(len, payload.split("\r\n"))) <= 76
    assert message.get_payload(decode=True) in (_crlf(text + _TAIL), _crlf(text + _TAIL) + b"\r\n")


@given(st.text("ab= .\t\nxyzü\x0c", max_size=600), st.text(_UNICODE, max_size=90))
@example("a" * 73 + "=\n" + "a" * 74 + " \n.\n" + "a" * 75 + ".\n" + "=" * 80, "")
@example("a" * 73 + " \n" + "a" * 72 + "=\n", "".join(map(chr, range(1040, 1104))))
def test_quoted_printable_is_that_of_b2a_qp(often: str, seldom: str) -> None:
    assume(".\0" not in seldom)  # escaped there, and here not: no server minds either
    data = _crlf(f"{often}\n{seldom}\n{'x' * 5000}")
    lines = b2a_qp(data + b"\r\n", istext=True).split(b"\r\n")
    moved = b"\r\n".join(line if len(line) <= 76 else line[:-3] + b"=\r\n" + line[-3:] for line in lines)
    assert encode_text(data, ascii_only=False) == ("quoted-printable", moved.removesuffix(b"\r\n"))


@given(st.text(_UNICODE, min_size=40, max_size=600))
def test_the_smaller_encoding_is_taken(text: str) -> None:
    data = _crlf(text + "ü")
    message = _checked(compose(_draft(text=text + "ü")))
    payload = message.get_payload()
    assert isinstance(payload, str)
    smaller = min(len(b2a_qp(data + b"\r\n")), len(data) * 4 / 3 * 78 / 76)
    assert len(payload) <= smaller * 1.1 + 8  # the choice is an estimate, within a tenth


@given(st.lists(_FILES, max_size=4), st.booleans())
def test_attachments(files: list[Attachment], with_html: bool) -> None:
    message = _checked(compose(_draft(text="t", html="<p>" if with_html else None, attachments=tuple(files))))
    found = [part for part in message.walk() if part.get_content_disposition()]
    # get_filename() strips white space, whatever its spelling on the wire.
    key = [(file.filename.strip() if file.filename else None, file.data, file.content_id.strip("<>")) for file in files]
    seen = [
        (part.get_filename(), part.get_payload(decode=True), str(part["Content-ID"] or "").strip("<>"))
        for part in found
    ]
    assert sorted(seen, key=repr) == sorted(key, key=repr)


@given(st.binary(max_size=300), st.sampled_from(["\n", "\r\n", "\r"]))
def test_raw_mail_keeps_its_body_or_is_refused(body: bytes, line_end: str) -> None:
    head = line_end.join(["From: a@acme.example", "Subject: s", "", ""]).encode()
    date = datetime(2026, 11, 22, tzinfo=UTC)
    if b"\0" in body:
        with pytest.raises(ValueError, match="NUL"):
            compose_raw(head + body, "<1@a.example>", date, "")
        return
    sent = compose_raw(head + body, "<1@a.example>", date, "")
    assert sent.count(b"\r\n") == sent.count(b"\n") == sent.count(b"\r")
    expected = re.sub(b"\r\n|\r|\n", b"\r\n", head + body).partition(b"\r\n\r\n")[2]
    assert sent.partition(b"\r\n\r\n")[2] in (expected, expected + b"\r\n")


@given(st.binary(max_size=200) | st.text("From: a\r\n\t", max_size=60).map(str.encode))
def test_raw_mail_never_raises_anything_but_value_error(raw: bytes) -> None:
    try:
        sent = compose_raw(raw, "<1@a.example>", datetime(2026, 11, 22, tzinfo=UTC), "f")
    except ValueError:
        return
    assert message_from_bytes(sent)["From"] is not None
