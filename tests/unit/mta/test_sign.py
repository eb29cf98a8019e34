"""The DKIM signer: keys, records, the shape of the header, and what a signature notices."""

import base64
import re
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from core.errors import ConfigurationError
from mta import sign
from mta.sign import Algorithm
from tests.unit.mta.dkim_reader import verifies

_NOW = datetime(2026, 11, 22, 9, 5, 7, tzinfo=UTC)
_RSA_DER, _RSA_PUBLIC = sign.generate_rsa()
_ED_DER, _ED_PUBLIC = sign.generate_ed25519()
_RSA = sign.load_key("acme.example", "r1", _RSA_DER)
_ED = sign.load_key("acme.example", "e1", _ED_DER)
_RECORDS = {
    "r1._domainkey.acme.example.": sign.dns_record(_RSA_PUBLIC, Algorithm.RSA),
    "e1._domainkey.acme.example.": sign.dns_record(_ED_PUBLIC, Algorithm.ED25519),
}
_MESSAGE = (
    b"From: Acme <a@acme.example>\r\nTo: b@c.example\r\nSubject: A long\r\n  and folded \t subject\r\n"
    b"Message-ID: <1@acme.example>\r\nDate: Sun, 22 Nov 2026 09:05:07 +0000\r\nMIME-Version: 1.0\r\n"
    b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 7bit\r\nFeedback-ID: f\r\n"
    b"List-Unsubscribe: <https://acme.example/u>\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"
    b"X-Own: not signed\r\n\r\n  body \t text  \r\n\r\nend\r\n\r\n\r\n"
)


def _signed(message: bytes = _MESSAGE) -> bytes:
    return sign.sign(message, [_RSA, _ED], _NOW) + message


def _tags(header: str) -> dict[str, str]:
    value = re.sub(r"\s+", "", header.partition(":")[2])
    return dict(tag.split("=", 1) for tag in value.split(";"))


def test_both_signatures_verify() -> None:
    assert verifies(_signed(), _RECORDS, 0)
    assert verifies(_signed(), _RECORDS, 1)


def test_shape_of_the_header() -> None:
    text = sign.sign(_MESSAGE, [_RSA, _ED], _NOW).decode("ascii")
    assert text.endswith("\r\n")
    assert max(map(len, text.split("\r\n"))) <= 78
    headers = re.split(r"\r\n(?![ \t])", text)[:-1]
    assert [header.partition(":")[0] for header in headers] == ["DKIM-Signature"] * 2
    rsa_tags, ed_tags = map(_tags, headers)
    assert rsa_tags["a"] == "rsa-sha256"
    assert ed_tags["a"] == "ed25519-sha256"
    assert {rsa_tags["d"], ed_tags["d"]} == {"acme.example"}
    assert (rsa_tags["s"], ed_tags["s"]) == ("r1", "e1")
    for tags in (rsa_tags, ed_tags):
        assert set(tags) == {"v", "a", "c", "d", "s", "t", "h", "bh", "b"}
        assert tags["c"] == "relaxed/relaxed"
        assert tags["t"] == str(int(_NOW.timestamp()))
    assert rsa_tags["bh"] == ed_tags["bh"]


def test_signed_headers_and_oversigning() -> None:
    header = sign.sign(_MESSAGE, [_ED], _NOW).decode("ascii")
    names = _tags(header)["h"].split(":")
    counted = {name: names.count(name) for name in names}
    assert counted == {
        "From": 2,
        "To": 2,
        "Subject": 2,
        "Date": 2,
        "Reply-To": 1,
        "Message-ID": 1,
        "MIME-Version": 1,
        "Content-Type": 1,
        "Content-Transfer-Encoding": 1,
        "List-Unsubscribe": 1,
        "List-Unsubscribe-Post": 1,
        "Feedback-ID": 1,
    }


@pytest.mark.parametrize("index", [0, 1])
@pytest.mark.parametrize(
    "change",
    [
        (b"Subject: A long", b"Subject: A wrong"),
        (b"From: Acme", b"From: Emca"),
        (b"List-Unsubscribe=One-Click", b"List-Unsubscribe=No-Click"),
        (b"/u>", b"/v>"),
        (b"Feedback-ID: f", b"Feedback-ID: g"),
        (b"\r\nend", b"\r\nEnd"),
        (b"end\r\n", b"end\r\nappended\r\n"),
        (b"X-Own:", b"Reply-To: evil@evil.example\r\nX-Own:"),
        (b"X-Own:", b"Subject: another\r\nX-Own:"),
        (b"X-Own:", b"From: evil@evil.example\r\nX-Own:"),
    ],
)
def test_changes_are_noticed(index: int, change: tuple[bytes, bytes]) -> None:
    signed = _signed()
    assert signed.count(change[0]) == 1
    assert not verifies(signed.replace(*change), _RECORDS, index)


@pytest.mark.parametrize(
    "change",
    [
        (b"X-Own: not signed", b"X-Own: changed"),
        (b"body \t text", b"body   text"),
        (b"end\r\n\r\n\r\n", b"end\r\n"),
        (b"\r\n  and folded \t subject", b" and folded subject"),
        (b"Message-ID: <", b"MESSAGE-id:   <"),
    ],
)
def test_harmless_changes_are_not(change: tuple[bytes, bytes]) -> None:
    changed = _signed().replace(*change)
    assert changed != _signed()
    assert verifies(changed, _RECORDS, 0)
    assert verifies(changed, _RECORDS, 1)


@pytest.mark.parametrize(
    "message",
    [
        b"From: a@b.example\r\n\r\n",
        b"From: a@b.example\r\n",
        b"From: a@b.example\r\n\r\n\r\n\r\n",
        b"From: a@b.example\r\nFrom:\r\nFrom: c@d.example\r\nTo: x\r\nTo:\t y\r\n\r\nbody\r\n",
        "From: jürgen@b.example\r\nSubject: roh ü\r\n\r\nü\r\n".encode(),
    ],
)
def test_unusual_messages_verify(message: bytes) -> None:
    signed = _signed(message)
    assert verifies(signed, _RECORDS, 0)
    assert verifies(signed, _RECORDS, 1)


def test_a_last_line_without_crlf_is_signed_as_smtp_sends_it() -> None:
    header = sign.sign(b"From: a@b.example\r\n\r\nend ", [_ED], _NOW)
    assert verifies(header + b"From: a@b.example\r\n\r\nend \r\n", _RECORDS)


def test_obsolete_blanks_before_the_colon_do_not_hide_a_header() -> None:
    # RFC 5322 section 4.5 allows readers to meet them; RFC 6376 section 3.4.2 deletes them. dkimpy refuses such mail.
    plain = sign.sign(b"From: a@b.example\r\nSubject: s\r\n\r\nx\r\n", [_ED], _NOW)
    assert sign.sign(b"From: a@b.example\r\nSubject \t: s\r\n\r\nx\r\n", [_ED], _NOW) == plain


@pytest.mark.parametrize("others", [5, 60])
def test_mails_with_other_fields_are_told_apart_however_many_there_are(others: int) -> None:
    front = b"".join(b"X-%d: a\r\n" % number for number in range(others))
    for own in (b"Cc: d@e.example\r\n", b"cc: d@e.example\r\nCC:\r\n\td@e.example\r\n", b""):
        assert verifies(_signed(front + own + _MESSAGE), _RECORDS, 0)


def test_existing_signatures_are_left_alone() -> None:
    twice = _signed(_signed())
    assert all(verifies(twice, _RECORDS, index) for index in range(4))


@pytest.mark.parametrize(
    "body",
    [
        b" " * 1_000_000 + b"\r\n",
        b"a" + b" " * 1_000_000 + b"b\r\n",
        b" \t" * 500_000 + b"x\r\n",
        b"\r\n" * 500_000,
        b"\r\n" * 250_000 + b"x\r\n" + b"\r\n" * 250_000,
        b" \r\n" * 333_333,
        b"a  " * 333_333 + b"\r\n",
        b"\r" + b"\r\n" * 500_000,
    ],
    ids=["blanks", "inner blanks", "tabs", "empty lines", "both", "blank lines", "double blanks", "bare cr"],
)
def test_a_megabyte_of_anything_is_linear(body: bytes) -> None:
    # Measured: 0.2 to 40 ms each. Quadratic code needs minutes, so that one second tells them apart on any machine.
    start = time.process_time()
    sign.sign(b"From: a@b.example\r\n\r\n" + body, [_ED], _NOW)
    sign.sign(b"From: a@b.example\r\nSubject: " + body.replace(b"\r\n", b"\r\n ") + b"\r\n\r\nx\r\n", [_ED], _NOW)
    assert time.process_time() - start < 1.0


def test_rsa_signs_side_by_side() -> None:
    with ThreadPoolExecutor(4) as pool:
        signed = list(pool.map(lambda _: _signed(), range(40)))
    assert len(set(signed)) == 1
    assert verifies(signed[0], _RECORDS, 0)


def test_keys_load_from_pem_and_der_once() -> None:
    for der, algorithm in ((_RSA_DER, Algorithm.RSA), (_ED_DER, Algorithm.ED25519)):
        private = serialization.load_der_private_key(der, None)
        pem = private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        key = sign.load_key("acme.example", "s", pem)
        assert key.algorithm is algorithm
        assert sign.load_key("acme.example", "s", pem) is key
        assert "private_key" not in repr(key)
        assert sign.sign(_MESSAGE, [sign.load_key("acme.example", "s", der)], _NOW) == sign.sign(_MESSAGE, [key], _NOW)


def test_pkcs1_rsa_keys_load() -> None:
    private = serialization.load_der_private_key(_RSA_DER, None)
    for encoding in (serialization.Encoding.PEM, serialization.Encoding.DER):
        old = private.private_bytes(
            encoding, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
        )
        assert sign.load_key("acme.example", "old", old).algorithm is Algorithm.RSA


@pytest.mark.parametrize(
    "material",
    [
        b"",
        b"nonsense",
        b"-----BEGIN PRIVATE KEY-----\nnonsense\n-----END PRIVATE KEY-----\n",
        ec.generate_private_key(ec.SECP256R1()).private_bytes(
            serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ),
        Ed25519PrivateKey.generate().private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"password"),
        ),
    ],
    ids=["empty", "nonsense", "broken PEM", "elliptic curve", "with password"],
)
def test_unusable_keys_are_named(material: bytes) -> None:
    with pytest.raises(ConfigurationError, match=r"s9 of acme\.example"):
        sign.load_key("acme.example", "s9", material)


def test_records_hold_the_public_halves() -> None:
    rsa_public = serialization.load_der_public_key(base64.b64decode(_RSA_PUBLIC))
    assert isinstance(rsa_public, rsa.RSAPublicKey)
    assert rsa_public.key_size == 2048
    assert sign.dns_record(_RSA_PUBLIC, Algorithm.RSA) == f"v=DKIM1; k=rsa; p={_RSA_PUBLIC}"
    assert len(base64.b64decode(_ED_PUBLIC)) == 32
    assert sign.dns_record(_ED_PUBLIC, Algorithm.ED25519) == f"v=DKIM1; k=ed25519; p={_ED_PUBLIC}"


def test_the_key_of_rfc_8463_appendix_a() -> None:
    seed = base64.b64decode("nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=")
    private = Ed25519PrivateKey.from_private_bytes(seed)
    der = private.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    key = sign.load_key("football.example.com", "brisbane", der)
    records = {
        "brisbane._domainkey.football.example.com.": sign.dns_record(
            "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=", Algorithm.ED25519
        )
    }
    assert verifies(sign.sign(_MESSAGE, [key], _NOW) + _MESSAGE, records)
