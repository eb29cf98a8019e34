"""`multipart/form-data` (RFC 7578) as our few uploads need it: the parts of a body that was read whole, into memory or
into a file that is mapped. Pure.

The bound of the body is the route's (`web/bodies`). What is no such body has no parts.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from mmap import mmap
from typing import Final

_BOUNDARY: Final = re.compile(r';[ \t]*boundary=(?:"([^"]{1,70})"|([^ \t;"]{1,70}))', re.I)
_NAME: Final = re.compile(r';[ \t]*(filename|name)="((?:[^"\\]|\\.)*)"', re.I)
MOST_PARTS: Final = 50
_LONGEST_HEAD: Final = 4096


@dataclass(frozen=True, slots=True)
class Part:
    """One field."""

    body: bytes
    filename: str = ""

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode("utf-8", "replace").strip()


@dataclass(frozen=True, slots=True)
class Place:
    """Where a field stands in its body."""

    filename: str
    begins: int
    ends: int


def read_multipart(content_type: str, body: bytes) -> Mapping[str, Part]:
    """The fields by name; of several with one name the last."""
    return {name: Part(body[one.begins : one.ends], one.filename) for name, one in places(content_type, body)}


def places(content_type: str, body: bytes | mmap) -> list[tuple[str, Place]]:
    """Names of fields and where each stands, in the order of the body."""
    found = _BOUNDARY.search(content_type)
    if not content_type.lower().startswith("multipart/form-data") or found is None:
        return []
    mark = b"\r\n--" + (found[1] or found[2]).encode("latin-1", "replace")
    parts: list[tuple[str, Place]] = []
    begins = len(mark) - 2 if body[: len(mark) - 2] == mark[2:] else _behind(body, mark, 0)
    for _ in range(MOST_PARTS):
        if begins < 0:
            break
        end = body.find(mark, begins)
        stop = end if end >= 0 else len(body)
        blank = body.find(b"\r\n\r\n", begins, min(stop, begins + _LONGEST_HEAD + 4))
        named = _names(body[begins:blank]) if blank >= 0 else {}
        if "name" in named:
            parts.append((named["name"], Place(named.get("filename", ""), blank + 4, stop)))
        begins = end + len(mark) if end >= 0 else -1
    return parts


def _behind(body: bytes | mmap, mark: bytes, at: int) -> int:
    found = body.find(mark, at)
    return found + len(mark) if found >= 0 else -1


def _names(head: bytes) -> dict[str, str]:
    return {key.lower(): value for key, value in _NAME.findall(head.decode("utf-8", "replace"))}
