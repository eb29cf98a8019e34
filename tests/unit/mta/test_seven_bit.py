"""Foreign mail made 7-bit: the same text, names and files for every reader, in bytes that every server carries."""

import contextlib
import random
from base64 import b64encode
from email import message_from_bytes, policy
from email.message import EmailMessage

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.raw_headers import seven_bit_field
from mta.raw_mail import MAX_FIELDS, MAX_HEAD, join_mail, once, read_mail
from mta.seven_bit import seven_bit


def _made(mail: bytes) -> bytes:
    made = join_mail(*seven_bit(*read_mail(mail)))
    assert max(map(len, made.split(b"\r\n"))) <= 998
    assert made.count(b"\r\n") == made.count(b"\n") == made.count(b"\r")
    assert b"\0" not in made
    return made


def _parsed(mail: bytes) -> EmailMessage:
    made = _made(mail)
    assert made.isascii()
    parsed = message_from_bytes(made, policy=policy.SMTP)
    assert isinstance(parsed, EmailMessage)
    return parsed


def _leaves(mail: bytes) -> list[tuple[str, str | None, bytes]]:
    """Type, charset and decoded bytes of each leaf."""
    parsed = message_from_bytes(mail, policy=policy.SMTP)
    leaves = [part for part in parsed.walk() if not part.is_multipart()]
    return [(part.get_content_type(), part.get_content_charset(), part.get_payload(decode=True)) for part in leaves]


def _multipart(*parts: bytes, boundary: bytes = b"b1", kind: bytes = b"mixed") -> bytes:
    """A multipart entity, its own header in front."""
    body = b"".join(b"--" + boundary + b"\r\n" + part + b"\r\n" for part in parts) + b"--" + boundary + b"--\r\n"
    return b"Content-Type: multipart/" + kind + b'; boundary="' + boundary + b'"\r\n\r\n' + body


_HEAD = b"From: a@acme.sim\r\nMIME-Version: 1.0\r\n"
_LATIN = b"Content-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: 8bit\r\n\r\nGr\xfc\xdfe"
_PDF = b'Content-Type: application/pdf; name="x.pdf"\r\nContent-Transfer-Encoding: binary\r\n\r\n%PDF\xff\xfe\r\n'


def test_mail_that_fits_stays_byte_for_byte() -> None:
    mail = _HEAD + _multipart(b"Content-Type: text/plain\r\n\r\nHello", _multipart(b"\r\nx", boundary=b"b2"))
    assert _made(mail) == mail


@pytest.mark.parametrize(
    ("body", "charset", "text"),
    [
        ("Grüße\r\n".encode(), "utf-8", "Grüße\r\n"),
        (b"Gr\xfc\xdfe \x80\r\n", "windows-1252", "Grüße €\r\n"),
    ],
)
def test_text_without_mime_gets_the_charset_it_has(body: bytes, charset: str, text: str) -> None:
    parsed = _parsed(b"From: a@acme.sim\r\nSubject: s\r\n\r\n" + body)
    assert (parsed["MIME-Version"], parsed.get_content_charset(), parsed.get_content()) == (
        "1.0", charset, text,
    )  # fmt: skip


def test_parts_keep_type_charset_and_bytes() -> None:
    long = b"Content-Type: text/html; charset=us-ascii\r\n\r\n" + b"<p>" * 1_000
    inner = _multipart(_LATIN, long, boundary=b"b1-inner", kind=b"alternative")
    mail = _HEAD + _multipart(inner, _PDF, b"\r\nplain")
    made = _made(mail)
    assert made.isascii()
    assert _leaves(made) == [
        ("text/plain", "iso-8859-1", b"Gr\xfc\xdfe"),
        ("text/html", "us-ascii", b"<p>" * 1_000),
        ("application/pdf", None, b"%PDF\xff\xfe\r\n"),
        ("text/plain", None, b"plain"),
    ]
    assert made.endswith(b"\r\n--b1\r\n\r\nplain\r\n--b1--\r\n")


def test_a_message_in_a_message_is_taken_apart() -> None:
    inner = "From: Jürgen <j@x.example>\r\nSubject: Grüße\r\n\r\nLiebe Grüße\r\n".encode()
    mail = _HEAD + _multipart(b"Content-Type: message/rfc822\r\nContent-Transfer-Encoding: 8bit\r\n\r\n" + inner)
    part = next(_parsed(mail).iter_attachments())
    assert part["Content-Transfer-Encoding"] == "7bit"
    attached = part.get_content()
    assert (attached["Subject"], attached["From"]) == ("Grüße", "Jürgen <j@x.example>")
    assert attached.get_content() == "Liebe Grüße\r\n"


def test_a_digest_holds_messages() -> None:
    mail = _HEAD + _multipart("\r\nSubject: Grüße\r\n\r\nGrüße\r\n".encode(), kind=b"digest")
    parsed = _parsed(mail)
    assert parsed.get_payload()[0].get_payload()[0]["Subject"] == "Grüße"  # type: ignore[index,union-attr]


def test_what_cannot_be_read_as_a_message_goes_as_a_file() -> None:
    part = next(
        _parsed(_HEAD + _multipart(b"Content-Type: message/rfc822\r\n\r\nno header \xff\r\n")).iter_attachments()
    )
    assert part.get_content_type() == "application/octet-stream"
    assert part.get_payload(decode=True) == b"no header \xff\r\n"


def test_signed_parts_are_not_touched() -> None:
    signed = _multipart(_LATIN, b"Content-Type: application/pgp-signature\r\n\r\nx", boundary=b"s", kind=b"signed")
    mail = _HEAD + _multipart(signed, _LATIN)
    made = _made(mail)
    assert signed in made
    assert made.count(b"\xfc") == 1
    assert b"Content-Transfer-Encoding: 8bit" in made.partition(b"\r\n\r\n")[0]
    with pytest.raises(ValueError, match="must not be changed"):
        seven_bit(*read_mail(_HEAD + _multipart(b"\r\n" + b"x" * 999, kind=b"signed")))


@pytest.mark.parametrize(
    ("encoding", "body", "meant"),
    [
        (b"base64", b64encode(b"x" * 3_000), b"x" * 3_000),
        (b"BASE64", b64encode(b"x" * 3_000)[:2_000] + b"\xff" + b64encode(b"x" * 3_000)[2_000:], b"x" * 3_000),
        (b"quoted-printable", b"=C3=BC" + b"x" * 2_000 + b"=\r\ny", "ü".encode() + b"x" * 2_000 + b"y"),
        (b"quoted-printable", "=C3=BCü".encode(), "üü".encode()),
        (b"quoted-printable", b"=0A\xff", b"\n\xff"),
        (b"8bit", "日本語".encode() * 200, "日本語".encode() * 200),
        (b"8bit", b"nul \0", b"nul \0"),
    ],
)
def test_transfer_encodings(encoding: bytes, body: bytes, meant: bytes) -> None:
    head = _HEAD + b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: " + encoding
    [(kind, charset, read)] = _leaves(_made(head + b"\r\n\r\n" + body))
    assert (kind, charset) == ("text/plain", "utf-8")
    assert (read or b"").removesuffix(b"\r\n") == meant


def test_a_soft_line_break_does_not_make_a_boundary() -> None:
    text = ("ü" + "x" * 69 + "--b1 ") * 40
    made = _made(_HEAD + _multipart(b"Content-Type: text/plain; charset=utf-8\r\n\r\n" + text.encode()))
    assert _leaves(made) == [("text/plain", "utf-8", text.encode())]


def test_bombs_cost_little() -> None:
    """Deep nesting, very many parts, parts without end: nothing here takes long, and none grows."""
    deep = _LATIN
    for level in range(60):
        deep = _multipart(deep, boundary=b"n%d" % level)
    many = b"Content-Type: multipart/mixed; boundary=x\r\n\r\n" + b"--x\r\n" * 400_000 + b"\xff"
    messages = b"Content-Type: message/rfc822\r\n\r\n" * 200 + b"\xff"
    for bomb in (deep, many, messages):
        assert len(_made(_HEAD + bomb)) < 4 * len(bomb) + 10_000


_PARTS = st.recursive(
    st.sampled_from([_LATIN, _PDF, b"\r\n", b"", b"\r\n--b1", b"junk \xff", b"\r\n" + b"x" * 1_200, b"\r\nx\0"]),
    lambda parts: st.builds(
        lambda chosen, boundary, kind: _multipart(*chosen, boundary=boundary, kind=kind),
        st.lists(parts, max_size=3),
        st.sampled_from([b"b1", b"b1-", b"b2", b"=_x y"]),
        st.sampled_from([b"mixed", b"alternative", b"digest", b"signed"]),
    ),
    max_leaves=6,
)


@given(_PARTS | st.binary(max_size=200))
def test_anything_is_made_or_refused(part: bytes) -> None:
    with contextlib.suppress(ValueError):
        _made(_HEAD + part)


@given(st.binary(max_size=2_000), st.sampled_from(["text/plain", "text/html; charset=koi8-r", "image/png"]))
def test_bytes_arrive(data: bytes, kind: str) -> None:
    body = data.replace(b"\r", b"").replace(b"\n", b"\r\n").replace(b"--b1", b"")
    mail = _HEAD + _multipart(f"Content-Type: {kind}\r\n\r\n".encode() + body)
    [(_, _, read)] = _leaves(_made(mail))
    assert (read or b"") == body


# Fields


@pytest.mark.parametrize(
    ("field", "written"),
    [
        ("Subject: Grüße", b"Subject: =?utf-8?b?R3LDvMOfZQ==?="),
        (b"Subject: Gr\xfc\xdfe \x80", b"Subject: =?utf-8?b?R3LDvMOfZSDigqw=?="),
        ("To: Jürgen <j@x.example>, Zoë <z@x.example>",
         b"To: =?utf-8?q?J=C3=BCrgen?= <j@x.example>, =?utf-8?q?Zo=C3=AB?= <z@x.example>"),
        ('Cc: "Müller, J." <j@x.example>, plain@x.example',
         b"Cc: =?utf-8?b?TcO8bGxlciwgSi4=?= <j@x.example>, plain@x.example"),
        ("To: a@bücher.example", b"To: a@xn--bcher-kva.example"),
        ("To: ü@x.example", "To: ü@x.example".encode()),
        ("To: Gruppe Süd: a@x.example;", b"To: Gruppe =?utf-8?b?U8O8ZDo=?= a@x.example;"),
        ('Content-Type: application/pdf; name="Prüfung.pdf"; x=1',
         b"Content-Type: application/pdf; name*=utf-8''Pr%C3%BCfung.pdf; x=1"),
        ("Content-Disposition: attachment; filename=Prüfung 1.pdf",
         b"Content-Disposition: attachment; filename*=utf-8''Pr%C3%BCfung%201.pdf"),
        ("List-Unsubscribe: <https://x.example/ü>", b"List-Unsubscribe: <https://x.example/%C3%BC>"),
        ("X-Text: über", b"X-Text: =?utf-8?b?w7xiZXI=?="),
        ("X-Plain: as  it\tis", b"X-Plain: as  it\tis"),
    ],
)  # fmt: skip
def test_fields(field: str | bytes, written: bytes) -> None:
    data = field if isinstance(field, bytes) else field.encode()
    [(_, made)] = [seven_bit_field(known) for known in read_mail(data)[0]]
    assert made.replace(b"\r\n", b"") == written


def test_a_long_list_of_addresses_is_folded_between_them() -> None:
    addresses = [f"user-{n}@example.com" for n in range(200)]
    [field] = read_mail(b"To: " + ",".join(addresses).encode())[0]
    made = seven_bit_field(field)[1]
    assert max(map(len, made.split(b"\r\n"))) <= 78
    assert made.replace(b"\r\n", b"").decode() == "To: " + ", ".join(addresses)


def test_one_spelling() -> None:
    fields, body = read_mail(b"Subject \t: x\n \t\n \n y\nTo: a@x.example\n \n\nbody\n")
    assert fields == [(b"subject", b"Subject: x\r\n y"), (b"to", b"To: a@x.example")]
    assert body == b"body\r\n"


def test_what_may_stand_once() -> None:
    fields, _ = read_mail(
        b"To: a@x\r\nCc: \r\nTo: b@x\r\nSubject:\r\nDate: \r\nX-A: 1\r\nX-A: 1\r\n"
        b"Message-ID: <1@x>\r\nMessage-ID:  <1@x>"
    )
    assert [field for _, field in once(fields)] == [
        b"To: a@x,\r\n b@x", b"Subject:", b"X-A: 1", b"X-A: 1", b"Message-ID: <1@x>",
    ]  # fmt: skip
    with pytest.raises(ValueError, match="one Subject header"):
        once(read_mail(b"Subject: a\r\nSubject: b")[0])


@pytest.mark.parametrize(
    "mail", [b"a:b\r\n" * 8_000_000, b"X: " + b"x" * (MAX_HEAD + 1), b"a:b\r\n" * (MAX_FIELDS + 1), b"X: \0"]
)
def test_the_size_of_a_header(mail: bytes) -> None:
    """39 MB of `a:b` took 4.4 GB: measured before it is taken apart."""
    with pytest.raises(ValueError, match="header"):
        read_mail(mail)


@pytest.mark.parametrize("piece", ["ü,", "a@bü.example,", '"ü" <a@x.example>,'])
def test_a_header_full_of_addresses(piece: str) -> None:
    """A thousand are looked at: an international domain costs 0.3 ms, and a header has room for 15,000."""
    [field] = read_mail(b"To: " + (piece * (MAX_HEAD // len(piece.encode()) - 1)).encode())[0]
    assert seven_bit_field(field)[1].isascii()


@given(st.binary(max_size=300), st.randoms())
def test_any_field(value: bytes, chance: random.Random) -> None:
    name = chance.choice([b"To", b"Subject", b"Content-Type", b"Message-ID", b"X-Any", b"List-Id", b"Sender"])
    try:
        [field] = read_mail(name + b": " + value.replace(b"\r", b" ").replace(b"\n", b"\n ") + b"x")[0]
    except ValueError:
        return
    lower, made = seven_bit_field(field)
    assert read_mail(made + b"\r\n\r\n")[0] == [(lower, made)]
    assert made.isascii() or lower in (b"to", b"sender")
