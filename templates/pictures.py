"""What a picture is, by its first bytes: type, width and height. Pure.

Only what every mail program shows and no browser runs: PNG, JPEG, GIF and WebP. No SVG, which may hold scripts.
"""

import struct
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

MAX_BYTES: Final = 2 * 1024 * 1024
MAX_PIXELS: Final = 40_000_000
"""A picture of a few bytes can unpack to gigabytes in the recipient's hands."""
_SOF: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""Markers of JPEG behind which the size stands (ITU T.81, table B.1)."""
_BARE: Final = frozenset((0x01, *range(0xD0, 0xD8)))
"""Markers without a length."""


class PictureType(StrEnum):
    """The values are stored."""

    PNG = "png"
    JPEG = "jpeg"
    GIF = "gif"
    WEBP = "webp"

    @property
    def media_type(self) -> str:
        """For Content-Type."""
        return f"image/{self.value}"

    @property
    def ending(self) -> str:
        """Of a file's name."""
        return "jpg" if self is PictureType.JPEG else self.value


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture's measures, in pixels."""

    type: PictureType
    width: int
    height: int


def picture(data: bytes) -> Picture:
    """What these bytes are. Raises ValueError with a sentence for people."""
    if len(data) > MAX_BYTES:
        raise ValueError(f"it has more than {MAX_BYTES // 1024 // 1024} MB")
    try:
        found = _picture(data)
    except (struct.error, IndexError):
        found = None
    if found is None:
        raise ValueError("it is no PNG, JPEG, GIF or WebP")
    if not (found.width and found.height) or found.width * found.height > MAX_PIXELS:
        raise ValueError(f"its size must be 1 to {MAX_PIXELS:,} pixels")
    return found


def _picture(data: bytes) -> Picture | None:
    if data.startswith(b"\x89PNG\r\n\x1a\n") and data[12:16] == b"IHDR":
        return Picture(PictureType.PNG, *struct.unpack(">II", data[16:24]))
    if data.startswith((b"GIF87a", b"GIF89a")):
        return Picture(PictureType.GIF, *struct.unpack("<HH", data[6:10]))
    if data.startswith(b"\xff\xd8\xff"):
        return _jpeg(data)
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return _webp(data)
    return None


def _jpeg(data: bytes) -> Picture | None:
    at = 2
    while at < len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker in _SOF:
            height, width = struct.unpack(">HH", data[at + 5 : at + 9])
            return Picture(PictureType.JPEG, width, height)
        at += 1 if marker == 0xFF else 2 if marker in _BARE else 2 + struct.unpack(">H", data[at + 2 : at + 4])[0]
    return None


def _webp(data: bytes) -> Picture | None:
    """The three forms of its first chunk (RFC 9649)."""
    kind = data[12:16]
    if kind == b"VP8X":
        width, height = (1 + int.from_bytes(data[at : at + 3], "little") for at in (24, 27))
    elif kind == b"VP8L" and data[20] == 0x2F:
        bits = int.from_bytes(data[21:25], "little")
        width, height = 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    elif kind == b"VP8 " and data[23:26] == b"\x9d\x01\x2a":
        width, height = (size & 0x3FFF for size in struct.unpack("<HH", data[26:30]))
    else:
        return None
    return Picture(PictureType.WEBP, width, height) if len(data) > 29 else None
