"""Numbers as people type them. Pure."""

import re
from typing import Final

_LONGEST: Final = 12
"""Digits of a number that anything here is compared with."""
_BLANKS: Final = re.compile(r"[\s\u00a0\u202f_'\u2019,]")
_GROUPED: Final = re.compile(r"\d{1,3}(\.\d{3})+")


def whole_number(text: str) -> int | None:
    """10000, 10,000, 10 000, 10'000 and 10.000 are the same; None for what is no whole number from 0 on."""
    plain = _BLANKS.sub("", text)
    if _GROUPED.fullmatch(plain):
        plain = plain.replace(".", "")
    return int(plain) if plain.isascii() and plain.isdigit() and len(plain) <= _LONGEST else None
