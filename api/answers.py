"""JSON answers by orjson, and the two ways out of a request: a body, or an error."""

from collections.abc import Mapping
from typing import Any

import orjson
from fastapi import Response

from api.errors import ApiError


class JsonBytes(Response):
    """An answer whose JSON is already bytes."""

    media_type = "application/json"


def json_answer(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> JsonBytes:
    """`value` as JSON; UUIDs, datetimes (RFC 3339, UTC as `+00:00`), enums and dataclasses included."""
    return JsonBytes(orjson.dumps(value), status, dict(headers) if headers else None)


def error_answer(error: ApiError) -> JsonBytes:
    """The answer for an error, with its headers."""
    return json_answer(error.body(), error.status, error.headers)
