"""What labels of an email may be, the same at every door. Pure."""

import re
from typing import Final

MAX_TAGS: Final = 75
MAX_TAG_TEXT: Final = 256
"""Characters of a name, and of a value."""

_NAME = re.compile(rf"[A-Za-z0-9_-]{{1,{MAX_TAG_TEXT}}}", re.ASCII)
_VALUE = re.compile(rf"[A-Za-z0-9_-]{{0,{MAX_TAG_TEXT}}}", re.ASCII)


def fault(name: str, value: str) -> tuple[str, str] | None:
    """Which half of a label cannot be (`name` or `value`) and why; None when it can."""
    if not _NAME.fullmatch(name):
        return "name", f"1 to {MAX_TAG_TEXT} of A-Z a-z 0-9 _ - may stand there"
    if not _VALUE.fullmatch(value):
        return "value", f"up to {MAX_TAG_TEXT} of A-Z a-z 0-9 _ - may stand there"
    return None
