"""How an attempt to change to TLS ended."""

from enum import StrEnum


class Upgrade(StrEnum):
    """How an attempt to change to TLS ended."""

    ENCRYPTED = "encrypted"
    """Say EHLO again: what the server offered in plain text counts for nothing (RFC 3207 section 4.2)."""
    UNTRUSTED = "untrusted"
    """Only the certificate is at fault. The connection is gone."""
    DECLINED = "declined"
    """The server answered STARTTLS with a refusal; the connection goes on in plain text."""
    BROKEN = "broken"
    """TLS itself failed: an alert, no common version, not TLS at all. The connection is gone."""
    CUT = "cut"
    """After its 220 the server hung up or fell silent. The connection is gone."""
