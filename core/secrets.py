"""The instance secret: one value from the settings, and everything that is derived from it.

Owns key derivation (HKDF, RFC 5869), sealing of what is stored encrypted (DKIM private keys), and message
authentication codes (return paths, links). Built once per process from the setting and handed to those who need it.
Never stores or prints the secret; losing it means that sealed keys are lost and signed return paths no longer count.
"""

import base64
import binascii
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from core.errors import ConfigurationError

MIN_BYTES = 32
_VERSION = b"\x01"
"""First byte of sealed data: AES-256-GCM, 12 bytes of random nonce, 16 bytes of tag."""
_NONCE = 12
_TAG = 16


class InstanceSecret:
    """At least 32 random bytes, and the subkeys made of them. Safe to share between threads."""

    __slots__ = ("_aead", "_keys", "_macs", "_material")

    def __init__(self, material: bytes) -> None:
        if len(material) < MIN_BYTES:
            raise ConfigurationError(
                f"The instance secret has {len(material)} bytes and needs {MIN_BYTES}: make one with `postlane init`."
            )
        self._material = material
        self._keys: dict[str, bytes] = {}
        self._macs: dict[str, HMAC] = {}
        """Of each purpose, ready to be copied: keyed anew, each would look up its digest."""
        self._aead = AESGCM(self._derive("seal"))

    @classmethod
    def from_text(cls, text: str) -> "InstanceSecret":
        """Reads hex (tried first) or base64, also the URL-safe kind. Raises `ConfigurationError`."""
        return cls(_decode(text.strip()))

    @staticmethod
    def generate() -> str:
        """A new secret as text for the settings."""
        return os.urandom(MIN_BYTES).hex()

    def __repr__(self) -> str:
        return "InstanceSecret(hidden)"

    def mac(self, purpose: str, data: bytes, length: int = 32) -> bytes:
        """HMAC-SHA256 of `data` under the subkey of `purpose`, cut to `length` (1 to 32) bytes.

        Compare with `hmac.compare_digest`, never with `==`.
        """
        if not 1 <= length <= 32:
            raise ValueError("a MAC has 1 to 32 bytes")
        keyed = self._macs.get(purpose)
        if keyed is None:
            keyed = self._macs[purpose] = HMAC(self._derive(f"mac:{purpose}"), SHA256())
        mac = keyed.copy()
        mac.update(data)
        return mac.finalize()[:length]

    def key(self, purpose: str) -> bytes:
        """The subkey of `purpose`, 32 bytes, for a construction of the caller's own. Never the key of a `mac`."""
        return self._derive(f"key:{purpose}")

    def seal(self, plaintext: bytes, context: str) -> bytes:
        """Encrypts. `context` says what this is (`dkim:example.com:s1`); `open` must name the same."""
        nonce = os.urandom(_NONCE)
        return _VERSION + nonce + self._aead.encrypt(nonce, plaintext, _VERSION + context.encode())

    def open(self, sealed: bytes, context: str) -> bytes:
        """What `seal` was given. Raises `ConfigurationError` for another secret or context, or altered data."""
        if sealed[:1] != _VERSION or len(sealed) < 1 + _NONCE + _TAG:
            raise ConfigurationError(f"The stored value {context!r} was not sealed by this version of Postlane.")
        try:
            return self._aead.decrypt(sealed[1 : 1 + _NONCE], sealed[1 + _NONCE :], _VERSION + context.encode())
        except InvalidTag:
            raise ConfigurationError(
                f"The stored value {context!r} cannot be decrypted: the instance secret differs from the one it was "
                "sealed with, or the stored value was altered. Restore the secret from your backup."
            ) from None

    def _derive(self, purpose: str) -> bytes:
        key = self._keys.get(purpose)
        if key is None:
            hkdf = HKDF(algorithm=SHA256(), length=32, salt=b"postlane", info=purpose.encode())
            key = self._keys[purpose] = hkdf.derive(self._material)
        return key


def _decode(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        pass
    try:
        padded = text.rstrip("=").replace("-", "+").replace("_", "/")
        return base64.b64decode(padded + "=" * (-len(padded) % 4), validate=True)
    except (ValueError, binascii.Error):
        raise ConfigurationError(
            "The instance secret is neither hex nor base64: make one with `postlane init`."
        ) from None
