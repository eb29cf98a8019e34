"""JSON answers by orjson."""

from collections.abc import Mapping
from typing import Any

import orjson
from fastapi import Response


class JsonBytes(Response):
    """An answer whose JSON is already bytes."""

    media_type = "application/json"


def json_answer(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> JsonBytes:
    """`value` as JSON; UUIDs, datetimes (RFC 3339, UTC as `+00:00`), enums and dataclasses included."""
    return JsonBytes(orjson.dumps(value), status, dict(headers) if headers else None)
