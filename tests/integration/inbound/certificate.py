"""The certificate of the test's listeners, for clients that verify."""

import re
from pathlib import Path

from core.settings import Settings
from workers.inbound import CERTIFICATE


def certificate(settings: Settings, folder: Path) -> Path:
    """A file with the certificate alone, without the private key that stands beside it."""
    pem = (settings.data_dir / CERTIFICATE).read_text("ascii")
    found = re.search(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----\n", pem, re.S)
    assert found is not None
    file = folder / "trusted.pem"
    file.write_text(found[0], "ascii")
    return file
