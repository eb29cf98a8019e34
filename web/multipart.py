"""`multipart/form-data` (RFC 7578) as our few uploads need it: the parts of a body that was read whole. Pure.

The bound of the body is the route's (`web/bodies`). What is no such body has no parts.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
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


def read_multipart(content_type: str, body: bytes) -> Mapping[str, Part]:
    """The fields by name; of several with one name the last."""
    found = _BOUNDARY.search(content_type)
    if not content_type.lower().startswith("multipart/form-data") or found is None:
        return {}
    mark = b"\r\n--" + (found[1] or found[2]).encode("latin-1", "replace")
    parts: dict[str, Part] = {}
    for piece in (b"\r\n" + body).split(mark, MOST_PARTS)[1:]:
        head, blank, content = piece.partition(b"\r\n\r\n")
        if not blank or len(head) > _LONGEST_HEAD:
            continue
        named = {key.lower(): value for key, value in _NAME.findall(head.decode("utf-8", "replace"))}
        if "name" in named:
            parts[named["name"]] = Part(content, named.get("filename", ""))
    return parts
