"""Every error an application can see: `{statusCode, name, message}` with Resend's names.

`ERRORS` is the one table of names; OpenAPI lists them per route from it, and a test proves that no other name leaves.
A route raises `ApiError`, a service `core.refusal.Refused`; `api/answers` turns both into the answer.
"""

from collections.abc import Mapping
from typing import Final

from core.refusal import Refused
from core.visible import on_one_line

ERRORS: Final[Mapping[str, int]] = {
    "invalid_idempotency_key": 400,
    "validation_error": 400,
    "missing_api_key": 401,
    "restricted_api_key": 401,
    "invalid_api_key": 403,
    "invalid_from_address": 403,
    "not_found": 404,
    "method_not_allowed": 405,
    "invalid_idempotent_request": 409,
    "concurrent_idempotent_requests": 409,
    "conflict": 409,
    "payload_too_large": 413,
    "invalid_parameter": 422,
    "missing_required_field": 422,
    "invalid_attachment": 422,
    "daily_quota_exceeded": 429,
    "rate_limit_exceeded": 429,
    "application_error": 500,
    "service_unavailable": 503,
}

_LONGEST: Final = 2_000
"""Characters of a message: it may quote what was sent."""

UNPROCESSABLE: Final = frozenset({"validation_error"})
"""Names that leave with 422 as well: a body that cannot be read is a 400, a field in it that is wrong is a 422."""

ABOUT: Final[Mapping[str, str]] = {
    "invalid_idempotency_key": "The Idempotency-Key has less than 1 or more than 256 characters.",
    "validation_error": "The body is not what this route takes (400), or one of its fields is wrong (422: named in the "
    "message).",
    "missing_api_key": "There is no `Authorization: Bearer` header.",
    "restricted_api_key": "The key is not for this route: one with `sending_access` only sends, an operator's sees no "
    "mail, and an application's does not operate the machine (403).",
    "invalid_api_key": "The key is unknown, or was deleted.",
    "invalid_from_address": "The domain in `from` is not a verified domain of this application, or not the key's.",
    "not_found": "There is no such thing, or it belongs to another application.",
    "method_not_allowed": "The path is right and the method is not; `allow` lists those that are.",
    "invalid_idempotent_request": "The Idempotency-Key was used for another request in the last 24 hours.",
    "concurrent_idempotent_requests": "A request with this Idempotency-Key is being worked on; ask again in a moment.",
    "conflict": "The state of the thing does not allow this, such as cancelling mail that has been sent.",
    "payload_too_large": "The body, or an email in it, is larger than this server takes.",
    "invalid_parameter": "A parameter in path or query is wrong; the message names it.",
    "missing_required_field": "A field that must be there is not; the message names it.",
    "invalid_attachment": "An attachment cannot be used; the message names it.",
    "daily_quota_exceeded": "The application may bring in no more messages today; `retry-after` says how many seconds "
    "are left of the day (UTC).",
    "rate_limit_exceeded": "Too many requests with this key, or more messages a second than its application may bring "
    "in; `retry-after` says how many seconds to wait.",
    "application_error": "Our fault. The message holds a request id to look for in the log.",
    "service_unavailable": "The database does not answer. Nothing was accepted; try again after `retry-after` seconds.",
}
"""One sentence for each name, shown in OpenAPI and on the docs page."""


class ApiError(Exception):
    """Ends a request with one of `ERRORS`. `headers` are added to the answer (such as `retry-after`)."""

    def __init__(
        self, name: str, message: str, headers: Mapping[str, str] | None = None, *, status: int | None = None
    ) -> None:
        super().__init__(message)
        self.name = name
        self.status = status or ERRORS[name]
        self.message = message
        self.headers = dict(headers or {})

    def body(self) -> dict[str, object]:
        """The JSON body of the answer. What the message quotes of a request breaks no line where it is logged."""
        return {"statusCode": self.status, "name": self.name, "message": on_one_line(self.message)[:_LONGEST]}


def invalid_field(message: str) -> ApiError:
    """A field of the body is wrong. The message names it in backticks."""
    return ApiError("validation_error", message, status=422)


def refused(error: Refused) -> ApiError:
    """The error of the API for one of a service: by its code where that is one of ours, else by its kind."""
    if error.kind == "invalid" and error.code == "missing_required_field" and error.field:
        return ApiError(error.code, f"Missing `{error.field}` field: {error.reason.rstrip('.')}.")
    if error.kind == "invalid" and error.field:
        return invalid_field(f"The `{error.field}` field is not valid: {error.reason.rstrip('.')}.")
    hint = f" {error.hint}" if error.hint else ""
    message = f"{error.reason[:1].upper()}{error.reason[1:].rstrip('.')}.{hint}"
    if error.code in ERRORS:
        return ApiError(error.code, message)
    return invalid_field(message) if error.kind == "invalid" else ApiError(error.kind, message)
