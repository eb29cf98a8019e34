"""Requests to the API as JSON, in the shapes of Resend's `/logs`. Pure; the fields are those of `api/schemas/logs`."""

import orjson

from requestlog.repository import Logged, LoggedDetail


def log_face(one: Logged) -> dict[str, object]:
    """A request in a list."""
    return {
        "id": one.id,
        "created_at": one.created_at,
        "endpoint": one.path,
        "method": one.method,
        "response_status": one.status,
        "user_agent": one.user_agent,
        "error": one.error,
        "duration_ms": one.milliseconds,
        "api_key_id": one.key_id,
        "test": one.test,
        "stands_for": one.stands_for,
    }


def log_detail(found: LoggedDetail) -> dict[str, object]:
    """A request by itself, with what is kept of its bodies."""
    bodies = {"request_body": _read(found.request_body), "response_body": _read(found.response_body)}
    return {"object": "log"} | log_face(found.summary) | bodies


def _read(text: str) -> object:
    return orjson.loads(text) if text else None
