"""Keeps a body from being much larger once it is parsed: its parts are counted, and files sent as numbers are packed.

The JSON parser holds every list, object and value of a body at once, at 32 to 300 bytes each: 10 MB of `[],` became
2 GB. Pure. Called with every body of the routes that send, of which those of ordinary size are not looked at.
"""

import binascii
import re
from typing import Final

from api.errors import ApiError
from web.bodies import UNEXAMINED, check_parts

_STEP: Final = 64 * 1024

_NUMBERS: Final = re.compile(rb'"(content|data)"(\s*:\s*)\[([\d,\s]+)\]')
"""A file as older SDKs send it. A quote within a JSON text is escaped, so this matches a key and its list only."""


def in_bounds(raw: bytes) -> bytes:
    """The body with its large files as base64. Raises ApiError, and BodyTooComplexError for too many parts."""
    if len(raw) > UNEXAMINED:
        raw = _NUMBERS.sub(_packed, raw)
    check_parts(raw)
    return raw


def _packed(found: re.Match[bytes]) -> bytes:
    try:
        data = b"".join(_octets(found[3]))
    except ValueError:
        raise ApiError(
            "invalid_attachment", f"The `{found[1].decode()}` of an attachment must hold numbers from 0 to 255 only."
        ) from None
    return b'"%b"%b"%b"' % (found[1], found[2], binascii.b2a_base64(data, newline=False))


def _octets(digits: bytes) -> list[bytes]:
    """The numbers of a list as bytes, a step at a time: all of them as objects would be ten times the file."""
    steps, start = [], 0
    while start < len(digits):
        end = digits.find(b",", start + _STEP)
        end = len(digits) if end < 0 else end
        steps.append(bytes(map(int, digits[start:end].split(b","))))
        start = end + 1
    return steps
