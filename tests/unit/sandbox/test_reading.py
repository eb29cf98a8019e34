"""A captured mail taken apart."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from mta.compose import compose
from mta.model import Attachment, Draft
from sandbox.reading import parsed


def test_texts_headers_and_files() -> None:
    draft = Draft(
        sender="Jürgen <a@acme.example>",
        to=("ann@x.example",),
        subject="Grüße €",
        message_id="<1@acme.example>",
        date=datetime(2026, 11, 28, tzinfo=UTC),
        html='<p>Grüße <img src="cid:logo"></p>',
        text="Grüße",
        headers=(("X-Mine", "yes"),),
        attachments=(
            Attachment("rechnung ä.pdf", "application/pdf", b"%PDF"),
            Attachment("logo.png", "image/png", b"\x89PNG", "logo"),
            Attachment("notes.txt", "text/plain", b"a note"),
        ),
    )

    found = parsed(compose(draft))

    assert found.text is not None
    assert (found.text.strip(), found.html is not None and "Grüße" in found.html) == ("Grüße", True)
    headers = dict(found.headers)
    assert (headers["Subject"], headers["From"], headers["X-Mine"]) == ("Grüße €", "Jürgen <a@acme.example>", "yes")
    files = {part.filename: part for part in found.attachments}
    assert files["rechnung ä.pdf"].data == b"%PDF"
    assert (files["logo.png"].content_id, files["logo.png"].content_type) == ("logo", "image/png")
    assert files["notes.txt"].data == b"a note"
    assert sorted(part.number for part in found.attachments) == [1, 2, 3]


_PIECES = st.sampled_from(
    [b"Content-Type: ", b"multipart/mixed; boundary=b", b"text/html; charset=", b"\xff", b"utf-99", b"\r\n", b"--b",
     b"--b--", b"Content-Transfer-Encoding: base64", b"=?utf-8?q?", b"?=", b"filename*=utf-8''%ff", b"; ", b'"', b"<",
     b"Content-Disposition: attachment", b"Content-ID: ", b"=E9", b"\0", b"message/rfc822", b"name*0*=x''a"]
)  # fmt: skip


@given(st.one_of(st.binary(max_size=200), st.lists(_PIECES, max_size=40).map(b"".join)))
def test_any_bytes(raw: bytes) -> None:
    found = parsed(raw)

    assert all(isinstance(part.data, bytes) for part in found.attachments)
    assert found.text is None or isinstance(found.text, str)


def test_a_mail_of_nothing_but_parts_is_read_up_to_a_bound() -> None:
    """Each boundary open at once, and each line like all of them: minutes for the parser of the standard library."""
    nested = b"".join(
        b"--%s\r\nContent-Type: multipart/mixed; boundary=%s\r\n\r\n" % (b"b" * n, b"b" * (n + 1)) for n in range(1, 70)
    )
    head = b"From: a@x.example\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
    found = parsed(head + nested + b"--\r\n" * 50_000)
    assert (dict(found.headers)["From"], len(found.attachments) <= 1_000) == ("a@x.example", True)
    assert len(parsed(head + b"--b\r\n\r\nx\r\n" * 20_000).attachments) == 999, "the first text is none"
