"""What is kept of the bodies of a request: their shape, and none of the words of a mail or of a person. Pure.

Names of fields stay, numbers and yes or no too, and texts that are ours by their field: ids, states, names of streams
and events. Of `from` the domain stays, of the message of an error all but addresses. Every other text is told by its
length, and within fields that applications fill as they like (`variables`, `properties`) every value is.

What is too long is told by its size: a body is read up to `READ` bytes, and `LONGEST` bytes of it are kept.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Final

import orjson

READ: Final = 64 * 1024
"""Bytes of a body that is looked into at all."""
LONGEST: Final = 2048
"""Bytes that are kept of one body, about."""
ITEMS: Final = 2
"""Of a list, the first of them."""
_DEEPEST: Final = 6
_MESSAGE: Final = 300

_OURS: Final = frozenset(
    {
        "id", "object", "key", "status", "state", "stream", "lane", "pool", "permission", "type", "events", "event",
        "region", "scope", "reason", "default_subscription", "subscription", "visibility", "on_conflict",
        "content_type", "language", "scheduled_at", "created_at", "expires_at", "since", "until", "last_event",
    }
)  # fmt: skip
"""Fields whose texts are words of ours, besides those that end in `_id`."""
_FREE: Final = frozenset({"variables", "properties", "data", "payload", "headers", "metadata", "tags", "fields"})
"""Fields that an application fills as it likes. `data` of our own lists is an array, and is looked into."""
_PLAIN: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:+/*-]{0,99}")
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,59}")
_DOMAIN: Final = re.compile(r"@([A-Za-z0-9.-]{1,255})>?\s*$")
_ADDRESS: Final = re.compile(r"[^\s\"'`<>(),;]*@[^\s\"'`<>(),;]*")


def path_of(path: str) -> str:
    """A path without addresses: `/contacts/anna@example.com` names a person."""
    if "@" not in path:
        return path[:LONGEST].replace("\0", "")
    parts = ["(address)" if "@" in part else part for part in path[:LONGEST].split("/")]
    return "/".join(parts).replace("\0", "")


def kept_of(body: bytes | int, *, answer: bool = False) -> str:
    """What is kept of a body, as JSON; "" of none. A number stands for a body that was too long to be held. `answer`:
    it is ours, and may be an error whose message is ours too."""
    if isinstance(body, int) or len(body) > READ:
        return _told(f"({body if isinstance(body, int) else len(body):,} bytes)")
    if not body:
        return ""
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError:
        return _told(f"({len(body):,} bytes that are no JSON)")
    return orjson.dumps(_Shown(answer=answer).value(found, "", 0, free=False)).decode()


def name_in(body: bytes | int) -> str:
    """The name of the error that an answer tells; "" of any other."""
    if isinstance(body, int) or len(body) > READ:
        return ""
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError:
        return ""
    name = found.get("name") if isinstance(found, dict) else None
    return name if isinstance(name, str) and _NAME.fullmatch(name) else ""


def _told(text: str) -> str:
    return orjson.dumps(text).decode()


class _Shown:
    """One body being shown, and how much of it may still come."""

    def __init__(self, *, answer: bool) -> None:
        self._answer = answer
        self._left = LONGEST

    def value(self, found: object, field: str, depth: int, *, free: bool) -> object:
        """A value that stands in this field. `free`: in one that applications fill as they like."""
        if isinstance(found, Mapping):
            return self._object(found, depth, free=free)
        if isinstance(found, list):
            return self._list(found, field, depth, free=free)
        shown = _scalar(found, field, free=free)
        self._left -= len(shown) + 2 if isinstance(shown, str) else 6
        return shown

    def _object(self, found: Mapping[str, object], depth: int, *, free: bool) -> object:
        if depth >= _DEEPEST:
            return f"({_count(found, 'field')})"
        shown: dict[str, object] = {}
        error = self._answer and depth == 0 and "statusCode" in found
        for number, (name, value) in enumerate(found.items()):
            if self._left <= 0:
                shown["…"] = f"({len(found) - number} more)"
                break
            name = name if _NAME.fullmatch(name) else f"(a name of {_count(name, 'character')})"
            self._left -= len(name) + 4
            if error and name in ("message", "name") and isinstance(value, str):
                shown[name] = _ADDRESS.sub("(address)", value)[:_MESSAGE]
                self._left -= len(str(shown[name]))
            else:
                within = free or (name in _FREE and not (name == "data" and isinstance(value, list)))
                shown[name] = self.value(value, name, depth + 1, free=within)
        return shown

    def _list(self, found: Sequence[object], field: str, depth: int, *, free: bool) -> object:
        if depth >= _DEEPEST:
            return f"({_count(found, 'entry', 'entries')})"
        shown = [self.value(one, field, depth + 1, free=free) for one in found[:ITEMS] if self._left > 0]
        return [*shown, f"({len(found) - len(shown):,} more)"] if len(found) > len(shown) else shown


def _scalar(found: object, field: str, *, free: bool) -> object:
    if not isinstance(found, str):
        return "(number)" if free and isinstance(found, int | float) and not isinstance(found, bool) else found
    if not free:
        if (field in _OURS or field.endswith("_id")) and _PLAIN.fullmatch(found):
            return found
        if field == "from" and (domain := _DOMAIN.search(found)):
            return f"…@{domain[1]}"
    return f"({_count(found, 'character')})"


def _count(found: str | Sequence[object] | Mapping[str, object], one: str, many: str = "") -> str:
    return f"{len(found):,} {one if len(found) == 1 else many or one + 's'}"
