"""HTML bodies of foreign mail: which are changed, in which encoding they leave, and that nothing else moves."""

from base64 import b64decode, encodebytes
from email import message_from_bytes, policy
from email.message import EmailMessage

import pytest

from mta.html_parts import change_html

HTML = '<p>Gr\u00fc\u00dfe, <a href="x">da</a></p>\n'


def changed(text: str) -> str:
    return text.replace('href="x"', 'href="y"')


def mail(cte: str = "quoted-printable", charset: str = "utf-8") -> EmailMessage:
    made = EmailMessage(policy=policy.SMTP.clone(cte_type="8bit"))
    made["From"] = "a@acme.example"
    made["Subject"] = "Hi"
    made.set_content('text href="x"')
    made.add_alternative(HTML, subtype="html", charset=charset, cte=cte)
    return made


def html_of(data: bytes) -> str:
    found = message_from_bytes(data, policy=policy.default)
    assert isinstance(found, EmailMessage)
    body = found.get_body(("html",))
    assert body is not None
    return str(body.get_content())


@pytest.mark.parametrize("cte", ["quoted-printable", "base64", "8bit"])
@pytest.mark.parametrize("charset", ["utf-8", "iso-8859-1", "windows-1252"])
def test_the_html_is_changed_whatever_it_is_written_in(cte: str, charset: str) -> None:
    before = mail(cte, charset)
    after = change_html(bytes(before), changed)
    assert html_of(after).strip() == changed(HTML).strip()
    found = message_from_bytes(after, policy=policy.default)
    assert [part.get_content_type() for part in found.walk()] == ["multipart/alternative", "text/plain", "text/html"]
    assert 'href="x"' in found.get_payload()[0].get_content()  # type: ignore[union-attr, index]


@pytest.mark.parametrize("end", ["\r\n", "\n"])
@pytest.mark.parametrize("charset", ["utf-16", "utf-16-le", "utf-32", "cp037"])
def test_line_ends_of_html_are_found_in_its_text_and_not_in_its_octets(charset: str, end: str) -> None:
    html = f'<p>{end}<a href="x">\u00e9</a>{end}</p>{end}'
    head = f'Content-Type: text/html; charset="{charset}"\r\nContent-Transfer-Encoding: base64\r\n\r\n'
    after = message_from_bytes(change_html(head.encode() + encodebytes(html.encode(charset)), changed))

    assert b64decode(str(after.get_payload())).decode(charset) == changed(html).replace(end, "\r\n")


def test_files_and_inline_pictures_stay_byte_for_byte() -> None:
    before = mail()
    before.add_attachment(b"\x00\x01" * 50, maintype="image", subtype="png", filename="a.png")
    before.add_attachment(HTML, subtype="html", filename="page.html")
    before.add_attachment(mail())
    raw = bytes(before)
    after = change_html(raw, changed)
    assert html_of(after).strip() == changed(HTML).strip()
    parts = zip(message_from_bytes(raw).get_payload()[1:], message_from_bytes(after).get_payload()[1:], strict=True)
    assert all(bytes(old) == bytes(new) for old, new in parts)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "raw",
    [
        b"From: a@b.example\r\n\r\n<a href=\"x\">plain</a>\r\n",
        b"Content-Type: multipart/signed; boundary=b\r\n\r\n"
        b"--b\r\nContent-Type: text/html\r\n\r\n<a href=\"x\">\r\n--b--\r\n",
        b"Content-Type: text/html; charset=nonsense\r\n\r\n<a href=\"x\">\r\n",
        b"Content-Type: text/html; charset=utf-8\r\n\r\n<a href=\"x\">\xff\r\n",
        b"Content-Type: text/html\r\nContent-Transfer-Encoding: x-uue\r\n\r\n<a href=\"x\">\r\n",
        b"Content-Type: text/html\r\nContent-Disposition: attachment\r\n\r\n<a href=\"x\">\r\n",
        b"Content-Type: text/html\r\n\r\n<a href=\"z\">\r\n",
        b"Content-Type: multipart/mixed\r\n\r\n--b\r\nContent-Type: text/html\r\n\r\n<a href=\"x\">\r\n--b--\r\n",
        b"Content-Type: text/html\r\n\r\n",
    ],
)  # fmt: skip
def test_what_must_not_be_changed_is_the_same_object(raw: bytes) -> None:
    assert change_html(raw, changed) is raw


def test_a_mail_that_is_html_alone() -> None:
    raw = b'Subject: Hi\r\nContent-Type: TEXT/HTML; charset="utf-8"\r\n\r\n<a href="x">\r\n'
    assert change_html(raw, changed) == raw.replace(b'"x"', b'"y"')


def test_long_lines_leave_encoded() -> None:
    raw = b'Content-Type: text/html; charset=utf-8\r\n\r\n<a href="x">\r\n'
    after = change_html(raw, lambda text: text + "a" * 2000)
    assert max(map(len, after.split(b"\r\n"))) <= 76 + 30
    assert html_of(after).rstrip("\n").endswith("a" * 2000)
