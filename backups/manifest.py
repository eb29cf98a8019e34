"""What lies in the folder of a backup, and what is known of it: `backup.json`.

backup.json     this: when, of which version, how large, by which secret sealed
database.dump   of pg_dump, custom format
secret          the instance secret, only where it was asked for (0600)
"""

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from core.errors import ConfigurationError
from core.secrets import InstanceSecret

MANIFEST: Final = "backup.json"
DUMP: Final = "database.dump"
SECRET: Final = "secret"  # a file name, not a secret
FORMAT: Final = 1

_BLOCK: Final = 1 << 20
_FINGERPRINT_BYTES: Final = 8


@dataclass(frozen=True, slots=True)
class Manifest:
    """One backup."""

    taken_at: datetime
    """By the database's clock, before the dump began: what happened later is not in it."""
    version: str
    """Of Postlane."""
    revision: str
    """Of the tables."""
    server: str
    """Version of PostgreSQL."""
    secret: str
    """Fingerprint of the instance secret that seals what is sealed in it."""
    with_content: bool
    """Without, mail that still waits cannot be sent from it."""
    bytes: int
    """Of the dump."""
    sha256: str
    """The same."""
    format: int = FORMAT


def fingerprint(secret: InstanceSecret) -> str:
    """What tells one secret from another, and says nothing of it."""
    return secret.mac("backup", b"", _FINGERPRINT_BYTES).hex()


def told(manifest: Manifest) -> dict[str, object]:
    """As it stands in the file, and as programs are told of it."""
    return dataclasses.asdict(manifest) | {"taken_at": manifest.taken_at.isoformat()}


def write(folder: Path, manifest: Manifest) -> None:
    """Beside the dump."""
    (folder / MANIFEST).write_text(json.dumps(told(manifest), indent=1) + "\n", encoding="utf-8")


def read(folder: Path) -> Manifest:
    """Raises ConfigurationError for a folder that is no backup, or one of a later version."""
    try:
        kept = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        manifest = Manifest(**kept | {"taken_at": datetime.fromisoformat(kept["taken_at"])})
    except OSError as error:
        raise ConfigurationError(f"{folder} holds no backup: {MANIFEST}: {error.strerror}") from error
    except (ValueError, TypeError, KeyError) as error:
        raise ConfigurationError(f"{folder / MANIFEST} cannot be read: {error}") from error
    if manifest.format != FORMAT:
        raise ConfigurationError(f"{folder} was made by a later version ({manifest.version}): restore it with that one")
    return manifest


def check(folder: Path, manifest: Manifest) -> None:
    """Read the whole dump. Raises ConfigurationError when it is not what was written."""
    file = folder / DUMP
    if not file.is_file() or file.stat().st_size != manifest.bytes or digest(file) != manifest.sha256:
        raise ConfigurationError(f"{file} is damaged: it is not what was written. Take another backup.")


def digest(file: Path) -> str:
    """SHA-256 of a file, in hex."""
    found = hashlib.sha256()
    with file.open("rb") as opened:
        while block := opened.read(_BLOCK):
            found.update(block)
    return found.hexdigest()
