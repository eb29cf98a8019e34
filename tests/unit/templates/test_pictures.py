"""Pictures by their first bytes."""

import base64
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from templates.pictures import MAX_BYTES, Picture, PictureType, picture

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
GIF = base64.b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")
JPEG = (
    b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00"
    b"\xff\xff\xc0\x00\x11\x08" + struct.pack(">HH", 30, 40) + b"\x03\x01\x22\x00\x02\x11\x01\x03\x11\x01"
)
LOSSLESS = b"RIFF\x1a\x00\x00\x00WEBPVP8L\x0d\x00\x00\x00\x2f" + (39 | 29 << 14).to_bytes(4, "little") + bytes(9)
LOSSY = (
    b"RIFF\x1a\x00\x00\x00WEBPVP8 \x0d\x00\x00\x00" + b"\x00\x00\x00\x9d\x01\x2a" + struct.pack("<HH", 40, 30) + b"\0"
)
EXTENDED = b"RIFF\x1a\x00\x00\x00WEBPVP8X\x0a\x00\x00\x00" + bytes(4) + b"\x27\x00\x00\x1d\x00\x00"


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (PNG, Picture(PictureType.PNG, 1, 1)),
        (GIF, Picture(PictureType.GIF, 1, 1)),
        (JPEG, Picture(PictureType.JPEG, 40, 30)),
        (LOSSLESS, Picture(PictureType.WEBP, 40, 30)),
        (LOSSY, Picture(PictureType.WEBP, 40, 30)),
        (EXTENDED, Picture(PictureType.WEBP, 40, 30)),
    ],
)
def test_a_picture_is_known_by_its_bytes(data: bytes, found: Picture) -> None:
    assert picture(data) == found


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "is no PNG"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>", "is no PNG"),
        (b"GIF89a", "is no PNG"),
        (PNG[:20], "is no PNG"),
        (JPEG[:24], "is no PNG"),
        (b"\xff\xd8\xff\xe0\x00\x00" * 1000, "is no PNG"),
        (b"BM" + bytes(100), "is no PNG"),
        (PNG[:16] + struct.pack(">II", 60_000, 60_000), "pixels"),
        (PNG[:16] + struct.pack(">II", 0, 1), "pixels"),
        (PNG + bytes(MAX_BYTES), "more than 2 MB"),
    ],
)
def test_what_is_none_is_refused(data: bytes, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        picture(data)


@given(start=st.sampled_from([PNG, GIF, JPEG, LOSSY]), cut=st.integers(0, 40), rest=st.binary(max_size=60))
@settings(max_examples=50)
def test_no_bytes_break_it(start: bytes, cut: int, rest: bytes) -> None:
    try:
        found = picture(start[:cut] + rest)
    except ValueError:
        return
    assert found.width > 0
