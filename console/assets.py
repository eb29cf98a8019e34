"""What pages load: style sheet, scripts, icons. All of it is ours or vendored here, and nothing comes from elsewhere.

The address of a file names its content, so it may be kept for ever. `VENDORED.toml` says where a vendored file came
from, under which licence, and its hash; a test compares.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parent / "assets"
KINDS: Final = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


@dataclass(frozen=True, slots=True)
class Asset:
    """One file."""

    url: str
    kind: str
    content: bytes


def _read(file: Path) -> Asset:
    content = file.read_bytes()
    mark = hashlib.sha256(content).hexdigest()[:12]
    return Asset(f"/assets/{file.stem}.{mark}{file.suffix}", KINDS[file.suffix], content)


ASSETS: Final[Mapping[str, Asset]] = {
    file.name: _read(file) for file in sorted(FOLDER.iterdir()) if file.suffix in KINDS
}
"""By the name of the file."""

BY_URL: Final[Mapping[str, Asset]] = {asset.url: asset for asset in ASSETS.values()}


def url(name: str) -> str:
    """Where a file is; for templates."""
    return ASSETS[name].url
