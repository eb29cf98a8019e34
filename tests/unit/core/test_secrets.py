"""The instance secret: reading it, sealing, and authentication codes."""

import base64
import hmac

import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hypothesis import given
from hypothesis import strategies as st

from core.errors import ConfigurationError
from core.secrets import InstanceSecret

_MATERIAL = bytes(range(200, 232))
_SECRET = InstanceSecret(_MATERIAL)
_OTHER = InstanceSecret(bytes(32))


def test_hex_and_base64_spell_the_same_secret() -> None:
    expected = _SECRET.mac("test", b"data")
    standard = base64.b64encode(_MATERIAL).decode()
    url_safe = base64.urlsafe_b64encode(_MATERIAL).decode()
    assert standard != url_safe
    for text in (_MATERIAL.hex(), _MATERIAL.hex().upper(), f" {standard}\n", standard.rstrip("="), url_safe):
        assert InstanceSecret.from_text(text).mac("test", b"data") == expected


@pytest.mark.parametrize("text", ["", "short", "ab" * 31, base64.b64encode(bytes(31)).decode(), "not base64! " * 5])
def test_unusable_secrets_say_what_to_do(text: str) -> None:
    with pytest.raises(ConfigurationError, match="postlane init"):
        InstanceSecret.from_text(text)


def test_generated_secrets_are_usable_and_differ() -> None:
    one, two = InstanceSecret.generate(), InstanceSecret.generate()
    assert one != two
    assert len(InstanceSecret.from_text(one).mac("test", b"")) == 32


@given(st.binary(max_size=200), st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=20))
def test_sealed_data_opens_again_and_hides_the_text(plaintext: bytes, context: str) -> None:
    sealed = _SECRET.seal(plaintext, context)
    assert _SECRET.open(sealed, context) == plaintext
    assert len(sealed) == 1 + 12 + len(plaintext) + 16
    assert sealed != _SECRET.seal(plaintext, context)


def test_other_secret_other_context_and_altered_data_are_refused() -> None:
    sealed = _SECRET.seal(b"private", "dkim:a.example")
    with pytest.raises(ConfigurationError, match=r"dkim:a\.example.*instance secret differs"):
        _OTHER.open(sealed, "dkim:a.example")
    with pytest.raises(ConfigurationError):
        _SECRET.open(sealed, "dkim:b.example")
    for position in range(len(sealed)):
        altered = sealed[:position] + bytes([sealed[position] ^ 1]) + sealed[position + 1 :]
        with pytest.raises(ConfigurationError):
            _SECRET.open(altered, "dkim:a.example")


@given(st.binary(max_size=60))
def test_foreign_bytes_are_refused(sealed: bytes) -> None:
    with pytest.raises(ConfigurationError):
        _SECRET.open(sealed, "context")


def test_macs_depend_on_purpose_data_and_secret() -> None:
    macs = {
        _SECRET.mac("a", b"x"),
        _SECRET.mac("b", b"x"),
        _SECRET.mac("a", b"y"),
        _OTHER.mac("a", b"x"),
    }
    assert len(macs) == 4
    assert _SECRET.mac("a", b"x", 12) == _SECRET.mac("a", b"x")[:12]
    for length in (0, 33):
        with pytest.raises(ValueError, match="1 to 32"):
            _SECRET.mac("a", b"x", length)


@given(st.binary(max_size=300), st.integers(1, 32))
def test_macs_are_hmac_sha256_under_the_derived_key(data: bytes, length: int) -> None:
    derived = HKDF(algorithm=SHA256(), length=32, salt=b"postlane", info=b"mac:test").derive(_MATERIAL)
    assert _SECRET.mac("test", data, length) == hmac.digest(derived, data, "sha256")[:length]


def test_macs_of_earlier_versions_hold() -> None:
    assert _SECRET.mac("test", b"data").hex() == "de223e2bf03c0895550a2dafd1e5550ccaeb9d338ef3bc592cb5fc9f2245fefa"


def test_the_secret_is_not_shown() -> None:
    assert _MATERIAL.hex() not in repr(_SECRET)
    assert repr(_MATERIAL)[2:-1] not in repr(_SECRET)
