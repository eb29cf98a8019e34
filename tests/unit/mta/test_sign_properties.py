"""For all messages: dkimpy verifies what we signed, and both have the same canonical forms."""

from datetime import UTC, datetime

from dkim.canonicalization import Relaxed  # type: ignore[import-untyped]
from hypothesis import given
from hypothesis import strategies as st

from mta import sign
from mta.compose import compose
from mta.model import Attachment, Draft
from mta.sign import Algorithm
from tests.unit.mta.dkim_reader import verifies

_RSA_DER, _RSA_PUBLIC = sign.generate_rsa()
_ED_DER, _ED_PUBLIC = sign.generate_ed25519()
_KEYS = (sign.load_key("acme.example", "r1", _RSA_DER), sign.load_key("acme.example", "e1", _ED_DER))
_RECORDS = {
    "r1._domainkey.acme.example.": sign.dns_record(_RSA_PUBLIC, Algorithm.RSA),
    "e1._domainkey.acme.example.": sign.dns_record(_ED_PUBLIC, Algorithm.ED25519),
}
_NOW = datetime(2026, 11, 22, 9, 5, 7, tzinfo=UTC)

_PIECES = [b" ", b"  ", b"\t", b"\r\n", b"\r\n\r\n", b"a", b"b c", b".", b"\xc3\xbc", b" " * 70, b" \t \r\n", b"="]
_BODIES = st.lists(st.sampled_from(_PIECES), max_size=40).map(lambda pieces: b"".join([*pieces, b"\r\n"]))
_BARE = st.lists(st.sampled_from([*_PIECES, b"\r", b"\n", b"\x0b", b"\x00"]), max_size=30).map(
    lambda pieces: b"".join([*pieces, b"\r\n"])
)
_NAMES = st.sampled_from([*sign.SIGNED, "from", "SUBJECT", "X-Own", "Received", "DKIM-Signature-Not", "To", "To"])
# A continuation is never of blanks alone: dkimpy takes such a line for folding, other readers for the header's end.
_WORDS = st.lists(
    st.sampled_from(["word", " ", "\t", "  ", "ü", ":", ";", "b=", "bh=x", "\r\n x", "\r\n\ty"]), max_size=12
)
_FIELDS = st.lists(st.tuples(_NAMES, st.sampled_from([":", ": ", ":\t"]), _WORDS.map("".join)), max_size=15)


@given(_BODIES | _BARE)
def test_relaxed_bodies_are_dkimpys(body: bytes) -> None:
    assert sign.relaxed_body(body) == Relaxed.canonicalize_body(body)


@given(
    st.lists(st.sampled_from([b" ", b"\t", b"a", b"bc", b"\xff", b"  ", b"\r\n ", b"\r\n\t"]), max_size=30).map(
        b"".join
    )
)
def test_relaxed_headers_are_dkimpys(value: bytes) -> None:
    [(name, expected)] = Relaxed.canonicalize_headers([(b"Subject", value + b"\r\n")])
    assert sign._signed_headers(b"Subject:" + value)[1] == name + b":" + expected


@given(_FIELDS, _BODIES)
def test_signatures_of_generated_messages_verify(fields: list[tuple[str, str, str]], body: bytes) -> None:
    lines = ["From: a@acme.example", *[f"{name}{colon}{value}" for name, colon, value in fields]]
    message = "\r\n".join(lines).encode() + b"\r\n\r\n" + body
    signed = sign.sign(message, _KEYS, _NOW) + message
    assert verifies(signed, _RECORDS, 0)
    assert verifies(signed, _RECORDS, 1)


_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)
_HEADER_TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n\0"), max_size=120)


@given(_HEADER_TEXT, _HEADER_TEXT, _TEXT | st.none(), _TEXT | st.none(), st.binary(max_size=100))
def test_composed_mail_verifies(subject: str, own: str, text: str | None, html: str | None, data: bytes) -> None:
    draft = Draft(
        sender="Acme <a@acme.example>",
        to=("b@customer.example",),
        subject=subject,
        message_id="<1@acme.example>",
        date=_NOW,
        text=text,
        html=html,
        headers=(("X-Own", own), ("List-Unsubscribe", "<https://acme.example/u>"), ("In-Reply-To", "<0@c.example>")),
        feedback_id="c:a:tx:postlane",
        attachments=(Attachment("file.bin", "application/octet-stream", data, content_id="c"),) if data else (),
    )
    message = compose(draft)
    signed = sign.sign(message, _KEYS, _NOW) + message
    assert verifies(signed, _RECORDS, 0)
    assert verifies(signed, _RECORDS, 1)
