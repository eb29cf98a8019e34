r"""Text from elsewhere made harmless for a terminal: what would steer it, or hide or turn other text, becomes visible.

Subjects, addresses, replies, header values, names and file names come from anybody. C0 and C1 controls (ESC and CSI
among them), directions of writing (bidi overrides and isolates), line separators, invisible and lone surrogate
characters are written as `\x1b` or `\u202e`. Letters of every script, emoji and joiners stay.
"""

import re
from typing import Final

_ALWAYS: Final = (
    "\x00-\x08\x0b-\x1f\x7f-\x9f"  # C0 but tab and newline, DEL, C1
    "\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff"  # half a character: bytes of a file name, and no terminal's encoding takes it
    "\U000e0000-\U000e007f"  # tags: invisible letters
)
_STEERING: Final = re.compile(f"[{_ALWAYS}]")
_OR_BREAKING: Final = re.compile(f"[{_ALWAYS}\t\n]")


def visible(text: str) -> str:
    """The text on as many lines as it has."""
    return _STEERING.sub(_written, text)


def on_one_line(text: str) -> str:
    """The text where a line break of its own would look like one of ours."""
    return _OR_BREAKING.sub(_written, text)


def json_for_terminals(text: str) -> str:
    r"""The same JSON with these characters as `\u009b`: JSON itself asks that only of C0 controls."""
    return _STEERING.sub(lambda found: _utf16(ord(found[0])), text)


def _written(found: re.Match[str]) -> str:
    code = ord(found[0])
    if found[0] in "\t\n":
        return "\\t" if found[0] == "\t" else "\\n"
    if 0xDC80 <= code <= 0xDCFF:  # a byte that was no UTF-8
        return f"\\x{code - 0xDC00:02x}"
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _utf16(code: int) -> str:
    if code < 0x10000:
        return f"\\u{code:04x}"
    above = code - 0x10000
    return f"\\u{0xD800 + (above >> 10):04x}\\u{0xDC00 + (above & 0x3FF):04x}"
