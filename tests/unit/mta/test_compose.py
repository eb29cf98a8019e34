"""Composed mail: the tree of parts, the headers, and what is refused."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default

import pytest

from core.addresses import AddressError
from mta.compose import check_header, compose
from mta.model import Attachment, Draft

_DATE = datetime(2026, 11, 22, 9, 5, 7, tzinfo=UTC)
_DRAFT = Draft(
    sender="Acme Shop <orders@acme.example>",
    to=("Jane Doe <jane@customer.example>",),
    subject="Your order",
    message_id="<1@acme.example>",
    date=_DATE,
    text="Hello\nJane\n",
)
_PNG = Attachment("logo.png", "image/png", b"\x89PNG\r\n\x1a\n\0\xff", content_id="logo")
_PDF = Attachment("invoice.pdf", "application/pdf", bytes(range(256)))


def _parsed(draft: Draft) -> EmailMessage:
    message = message_from_bytes(compose(draft), policy=default)
    assert isinstance(message, EmailMessage)
    assert not message.defects
    return message


def _tree(part: EmailMessage) -> object:
    if not part.is_multipart():
        return part.get_content_type()
    return [part.get_content_subtype(), *[_tree(child) for child in part.iter_parts()]]  # type: ignore[arg-type]


def test_a_plain_mail_to_the_byte() -> None:
    assert compose(replace(_DRAFT, feedback_id="c:a:tx:postlane")) == (
        b"From: Acme Shop <orders@acme.example>\r\n"
        b"To: Jane Doe <jane@customer.example>\r\n"
        b"Subject: Your order\r\n"
        b"Message-ID: <1@acme.example>\r\n"
        b"Date: Sun, 22 Nov 2026 09:05:07 +0000\r\n"
        b"MIME-Version: 1.0\r\n"
        b"Feedback-ID: c:a:tx:postlane\r\n"
        b"Content-Type: text/plain; charset=utf-8\r\n"
        b"Content-Transfer-Encoding: 7bit\r\n"
        b"\r\n"
        b"Hello\r\nJane\r\n"
    )


@pytest.mark.parametrize(
    ("draft", "tree"),
    [
        (_DRAFT, "text/plain"),
        (replace(_DRAFT, text=None), "text/plain"),
        (replace(_DRAFT, text=None, html="<p>"), "text/html"),
        (replace(_DRAFT, html="<p>"), ["alternative", "text/plain", "text/html"]),
        (replace(_DRAFT, attachments=(_PDF,)), ["mixed", "text/plain", "application/pdf"]),
        (replace(_DRAFT, attachments=(_PNG,)), ["mixed", "text/plain", "image/png"]),
        (replace(_DRAFT, text=None, html="<p>", attachments=(_PNG,)), ["related", "text/html", "image/png"]),
        (
            replace(_DRAFT, html="<p>", attachments=(_PDF, _PNG)),
            ["mixed", ["alternative", "text/plain", ["related", "text/html", "image/png"]], "application/pdf"],
        ),
    ],
)
def test_tree_of_parts(draft: Draft, tree: object) -> None:
    assert _tree(_parsed(draft)) == tree


def test_files_arrive_byte_for_byte_with_name_and_role() -> None:
    message = _parsed(replace(_DRAFT, html="<img src=cid:logo>", attachments=(_PDF, _PNG)))
    files = {part.get_filename(): part for part in message.walk() if part.get_filename()}
    assert files["invoice.pdf"].get_payload(decode=True) == _PDF.data
    assert files["invoice.pdf"].get_content_disposition() == "attachment"
    assert files["logo.png"].get_payload(decode=True) == _PNG.data
    assert files["logo.png"].get_content_disposition() == "inline"
    assert files["logo.png"]["Content-ID"] == "<logo>"


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ("text/calendar; charset=utf-8; method=REQUEST", "text/calendar"),
        ("IMAGE/PNG", "image/png"),
        ("multipart/mixed; boundary=x", "application/octet-stream"),
        ("nonsense", "application/octet-stream"),
        ("", "application/octet-stream"),
        ("text/ünicode", "application/octet-stream"),
        ("text/plain; broken parameter", "text/plain"),
    ],
)
def test_content_type_of_a_file(given: str, sent: str) -> None:
    message = _parsed(replace(_DRAFT, attachments=(Attachment("file", given, b"data\n"),)))
    part = next(message.iter_attachments())
    assert part.get_content_type() == sent
    assert part.get_payload(decode=True) == b"data\n"


@pytest.mark.parametrize(
    ("given", "kind", "parameters"),
    [
        ('application/pdf; name="Rechnung 1.pdf"', "application/pdf", {"name": "Rechnung 1.pdf"}),
        ('application/pdf;name="Prüfung.pdf"', "application/pdf", {"name": "Prüfung.pdf"}),
        ("application/pdf ; name=a b.pdf;", "application/pdf", {"name": "a b.pdf"}),
        ("text/csv; charset=iso-8859-1; header=present", "text/csv", {"charset": "iso-8859-1", "header": "present"}),
        ('text/plain;charset="Windows-1252";  broken', "text/plain", {"charset": "Windows-1252"}),
        ("text/plain; name=" + "x" * 600 + "; charset=koi8-r", "text/plain", {"charset": "koi8-r"}),
    ],
)
def test_a_file_keeps_its_type_its_charset_and_its_bytes(given: str, kind: str, parameters: dict[str, str]) -> None:
    message = _parsed(replace(_DRAFT, attachments=(Attachment("file", given, b"Gr\xfc\xdfe\n"),)))
    part = next(message.iter_attachments())
    assert (part.get_content_type(), dict(part["Content-Type"].params)) == (kind, parameters)
    assert part.get_payload(decode=True) == b"Gr\xfc\xdfe\n"


@pytest.mark.parametrize(
    ("text", "html", "tree"),
    [
        ("Hello", "", "text/plain"),
        ("", "<p>", "text/html"),
        ("", "", "text/plain"),
        (None, "", "text/plain"),
        ("", None, "text/plain"),
    ],
)
def test_an_empty_part_is_no_part(text: str | None, html: str | None, tree: str) -> None:
    """A mail program shows the last alternative: an empty HTML beside a text was a blank mail."""
    message = _parsed(replace(_DRAFT, text=text, html=html, cc=("",), reply_to=("", "r@acme.example")))
    assert (_tree(message), message["Cc"], message["Reply-To"]) == (tree, None, "r@acme.example")


def test_an_attached_message_is_not_base64() -> None:
    inner = b"From: a@b.example\r\nSubject: inner\r\n\r\nbody\r\n"
    message = _parsed(replace(_DRAFT, attachments=(Attachment("m.eml", "message/rfc822", inner),)))
    part = next(message.iter_attachments())
    assert part.get_content_type() == "message/rfc822"
    assert part["Content-Transfer-Encoding"] == "7bit"
    assert part.get_content()["Subject"] == "inner"


def test_an_attached_message_that_is_not_ascii_goes_as_a_file() -> None:
    inner = "From: a@b.example\n\nü\n".encode()
    message = _parsed(replace(_DRAFT, attachments=(Attachment("m.eml", "message/rfc822", inner),)))
    part = next(message.iter_attachments())
    assert part.get_content_type() == "application/octet-stream"
    assert part.get_payload(decode=True) == inner


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("plain ASCII\n", "7bit"),
        ("x" * 998 + "\n" + "y" * 998, "7bit"),
        ("x" * 999, "quoted-printable"),
        ("a NUL: \0", "quoted-printable"),
        ("Grüße aus Köln, und vielen Dank für Ihren Auftrag.\n" * 3, "quoted-printable"),
        ("こんにちは\n", "base64"),
        ("\0" * 2_000, "base64"),
    ],
)
def test_transfer_encoding(text: str, encoding: str) -> None:
    message = _parsed(replace(_DRAFT, text=text))
    assert message["Content-Transfer-Encoding"] == encoding


def test_line_ends_become_crlf_once() -> None:
    assert compose(replace(_DRAFT, text="a\r\nb\rc\nd\n\re")).endswith(b"\r\n\r\na\r\nb\r\nc\r\nd\r\n\r\ne\r\n")


def test_headers_of_the_application() -> None:
    given = (
        ("X-Entity-Ref-ID", "123"),
        ("message-id", "<own@acme.example>"),
        ("Message-ID", "<second@acme.example>"),
        ("DATE", "Mon, 1 Jan 2024 00:00:00 +0000"),
        ("Feedback-ID", "theirs"),
        ("Reply-To", "Other <other@acme.example>"),
        ("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"),
    )
    draft = replace(_DRAFT, headers=given, reply_to=("first@acme.example",), feedback_id="ours")
    message = _parsed(draft)
    assert message["X-Entity-Ref-ID"] == "123"
    assert message.get_all("Message-ID") == ["<own@acme.example>"]
    assert message.get_all("Date") == ["Mon, 01 Jan 2024 00:00:00 +0000"]
    assert message.get_all("Feedback-ID") == ["theirs"]
    assert message.get_all("Reply-To") == ["Other <other@acme.example>"]
    assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"


def test_headers_that_are_not_the_applications_are_left_out() -> None:
    names = ["Bcc", "bcc", "Resent-Bcc", "DKIM-Signature", "Return-Path", "Received", "From", "To", "Cc", "Subject"]
    names += ["MIME-Version", "Content-Type", "content-transfer-encoding"]
    draft = replace(_DRAFT, headers=tuple((name, "forged@evil.example") for name in names))
    assert compose(draft) == compose(_DRAFT)


@pytest.mark.parametrize("evil", ["a\rb", "a\nb", "a\r\nBcc: x@y.example", "a\0b"])
def test_line_breaks_in_any_value_are_refused_by_name(evil: str) -> None:
    cases = {
        "Subject": replace(_DRAFT, subject=evil),
        "Message-ID": replace(_DRAFT, message_id=evil),
        "Feedback-ID": replace(_DRAFT, feedback_id=evil),
        "X-Own": replace(_DRAFT, headers=(("X-Own", evil),)),
        "Sender": replace(_DRAFT, headers=(("Sender", f"ü{evil}"),)),
        "filename": replace(_DRAFT, attachments=(Attachment(evil, "text/plain", b""),)),
        "Content-Type": replace(_DRAFT, attachments=(Attachment("f", evil, b""),)),
        "Content-ID": replace(_DRAFT, attachments=(Attachment("f", "text/plain", b"", evil),)),
    }
    for name, draft in cases.items():
        with pytest.raises(ValueError, match=name):
            compose(draft)
    for draft in (
        replace(_DRAFT, sender=f"{evil} <a@b.example>"),
        replace(_DRAFT, to=(f"{evil} <a@b.example>",)),
        replace(_DRAFT, cc=(f"a@b.example{evil}",)),
        replace(_DRAFT, reply_to=(f"{evil} <a@b.example>",)),
    ):
        with pytest.raises(AddressError):
            compose(draft)


@pytest.mark.parametrize("name", ["X Own", "X-Own:", "", "X-Öwn", "X\r\nY", "x" * 77])
def test_header_names_must_be_names(name: str) -> None:
    with pytest.raises(ValueError, match="not a header name"):
        compose(replace(_DRAFT, headers=((name, "value"),)))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Bcc", "a@b.example"),
        ("received", "from x"),
        ("X-Own", "a\nb"),
        ("X Own", "a"),
        ("List-Unsubscribe", f"<https://a.example/{'x' * 1_000}>"),
        ("List-Unsubscribe", "<https://a.example/ü>"),
        ("Message-ID", "<ü@a.example>"),
    ],
)
def test_the_api_can_ask_beforehand(name: str, value: str) -> None:
    with pytest.raises(ValueError, match=name):
        check_header(name, value)
    check_header("X-Own", "Größe")


def test_lone_surrogates_are_refused_by_name() -> None:
    with pytest.raises(ValueError, match="Subject"):
        compose(replace(_DRAFT, subject="\ud800"))
    with pytest.raises(ValueError, match="plain body"):
        compose(replace(_DRAFT, text="\ud800"))


def test_international_addresses() -> None:
    idn = replace(_DRAFT, to=("Jürgen <j@bücher.example>",))
    assert compose(idn).isascii()
    assert b"<j@xn--bcher-kva.example>" in compose(idn)
    assert compose(idn).isascii()
    utf8 = replace(_DRAFT, to=("Jürgen <jürgen@bücher.example>",))
    assert "<jürgen@xn--bcher-kva.example>".encode() in compose(utf8)
    assert not compose(utf8).isascii()
    assert not compose(replace(_DRAFT, headers=(("Sender", "jürgen@bücher.example"),))).isascii()


def test_a_moment_is_written_with_the_offset_it_has() -> None:
    here = datetime(2026, 11, 22, 9, 5, 7, 250, tzinfo=UTC)
    there = here.astimezone(timezone(timedelta(hours=-5)))
    dates = [message_from_bytes(compose(replace(_DRAFT, date=date)))["Date"] for date in (here, there, here)]
    assert dates == ["Sun, 22 Nov 2026 09:05:07 +0000", "Sun, 22 Nov 2026 04:05:07 -0500", dates[0]]


def test_an_overridden_reply_to_does_not_ask_for_smtputf8() -> None:
    draft = replace(_DRAFT, reply_to=("jürgen@acme.example",), headers=(("Reply-To", "j@acme.example"),))
    assert compose(draft).isascii()
    assert compose(draft).isascii()
    assert not compose(replace(draft, headers=())).isascii()


def test_a_boundary_in_the_text_does_no_harm(monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = iter([1, 2])
    monkeypatch.setattr("random.getrandbits", lambda bits: next(numbers))
    taken = f"=_{1:024x}"
    message = _parsed(replace(_DRAFT, text=f"--{taken}\n", html="<p>"))
    assert message.get_boundary() == f"=_{2:024x}"
    assert _tree(message) == ["alternative", "text/plain", "text/html"]
