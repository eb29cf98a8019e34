"""Does a mail carry a DKIM signature that another implementation accepts? Used once per signer, before it is timed."""

import dkim


def verified_by(mail: bytes, name: str, record: str) -> bool:
    """Whether dkimpy verifies `mail` when the DNS name `name` holds the TXT record `record`, and no other exists."""

    def txt(asked: bytes, timeout: float = 5) -> bytes:
        return record.encode() if asked.rstrip(b".").decode() == name else b""

    return bool(dkim.verify(mail, dnsfunc=txt))
