"""The description of the API: every route with every error it can answer, and the headers of each answer.

A route says what it adds with `errors(...)`; what every route can answer is added here, so no route can forget it.
FastAPI makes the rest from types. `api/app` keeps what is made.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema

from api.described import tidy
from api.errors import ABOUT, ERRORS, UNPROCESSABLE
from api.schemas.emails import MoveEmail, SendEmail
from api.schemas.errors import Error
from web.protocol import HEAD_BYTES

DESCRIPTION: Final = f"""\
Send mail and see what became of it. The shapes are Resend's where both have the same noun, so its SDKs work with
`RESEND_API_URL` set to this server.

**Key.** `Authorization: Bearer <key>`. A key with `full_access` may do everything in its application, one with
`sending_access` may only send. Pools, IPs, throttles and warm-up belong to the operator of the machine: they take a key
with `operator`, which only `postlane keys create` makes and which sees no application's mail. Requests are limited per
key; every answer says in `ratelimit-*` what is left.

**Accepted means stored.** A 2xx to a request that sends comes after the commit. Repeat a request safely by giving it an
`Idempotency-Key`.

**Errors** have the shape `{{statusCode, name, message}}`, and `x-request-id`, by which `GET /logs/{{id}}` knows the
request. Branch on `name`; `message` is for people. Each route lists its
own; a path that does not exist answers 404 `not_found`, a method it does not have 405 `method_not_allowed`, and a head
of more than {HEAD_BYTES:,} bytes 431 `headers_too_large`, before any route.

**Unknown fields** of a body are passed over where the noun is Resend's, and refused where it is an operator's.
"""

_KEYED: Final = ("rate_limit_exceeded", "missing_api_key", "restricted_api_key", "invalid_api_key")
"""What every route that wants a key can answer."""
GUARD: Final = "x-guard"
"""In the `openapi_extra` of a route: its guard in `api/auth`. An operator's `restricted_api_key` is a 403."""
_BODY: Final = ("validation_error", "missing_required_field")
"""What every route with a body can answer."""
_ALWAYS: Final = ("application_error", "service_unavailable")

_RATE_HEADERS: Final = {
    "ratelimit-limit": "Requests a second this key may make.",
    "ratelimit-remaining": "How many of them are left now.",
    "ratelimit-reset": "Seconds until all of them are there again.",
}
_RETRY: Final = frozenset(
    {"rate_limit_exceeded", "daily_quota_exceeded", "service_unavailable", "concurrent_idempotent_requests"}
)

IDEMPOTENCY_HEADER: Final[dict[str, Any]] = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "schema": {"type": "string", "minLength": 1, "maxLength": 256},
    "description": "Your name for this request, kept for 24 hours: the same request again gets the same answer and "
    "sends nothing.",
}
BATCH_HEADER: Final[dict[str, Any]] = {
    "name": "x-batch-validation",
    "in": "header",
    "required": False,
    "schema": {"type": "string", "enum": ["strict", "permissive"], "default": "strict"},
    "description": "Whether one wrong email refuses the whole batch (`strict`) or only itself (`permissive`).",
}


def errors(*names: str) -> dict[int | str, dict[str, Any]]:
    """The `responses=` of a route that can answer these errors, besides those every route can answer."""
    answers: dict[int | str, dict[str, Any]] = {}
    for name in names:
        for status in _statuses(name):
            _add(answers, status, name)
    return answers


def body_of(schema: str, many: int = 0) -> dict[str, Any]:
    """The `requestBody` of a route that reads its body itself: one, or a list of up to `many`."""
    reference: dict[str, Any] = {"$ref": f"#/components/schemas/{schema}"}
    if many:
        reference = {"type": "array", "minItems": 1, "maxItems": many, "items": reference}
    return {"required": True, "content": {"application/json": {"schema": reference}}}


def describe(app: FastAPI) -> dict[str, Any]:
    """The whole OpenAPI 3.1 document."""
    document = get_openapi(
        title=app.title, version=app.version, description=DESCRIPTION, routes=app.routes, tags=app.openapi_tags
    )
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    _, own = models_json_schema(
        [(SendEmail, "validation"), (MoveEmail, "validation"), (Error, "serialization")],
        by_alias=True,
        ref_template="#/components/schemas/{model}",
    )
    schemas.update(own["$defs"])
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    schemas["Error"]["properties"]["name"]["enum"] = sorted(ERRORS)
    components["securitySchemes"] = {
        "key": {"type": "http", "scheme": "bearer", "description": "An API key of your application."}
    }
    document["security"] = [{"key": []}]
    for path in document["paths"].values():
        for method, operation in path.items():
            _complete(method, operation)
    tidy(document)
    return document


def _complete(method: str, operation: dict[str, Any]) -> None:
    """Add the errors every route has, and the rate headers to every answer of a route that takes a key."""
    answers = operation.setdefault("responses", {})
    if "HTTPValidationError" in str(answers.get("422", "")):
        del answers["422"]  # FastAPI's own shape, which `api/app` never lets out
    keyed = operation.get("security") != []
    operators = operation.pop(GUARD, "") == "operator"
    for name in (*_ALWAYS, *(_KEYED if keyed else ()), *_by_request(method, operation)):
        for status in _statuses(name):
            _add(answers, 403 if operators and name == "restricted_api_key" else status, name)
    if keyed:
        for answer in answers.values():
            answer.setdefault("headers", {}).update(_headers(_RATE_HEADERS))
    operation["responses"] = dict(sorted(answers.items(), key=lambda item: str(item[0])))


def _by_request(method: str, operation: Mapping[str, Any]) -> Iterator[str]:
    """What can be wrong with the parts of a request that this operation has."""
    parameters = operation.get("parameters", ())
    if any(one["in"] == "path" for one in parameters):
        yield "not_found"
    if any(one["in"] != "path" and one["name"] != IDEMPOTENCY_HEADER["name"] for one in parameters):
        yield "invalid_parameter"
    if "requestBody" in operation:
        yield from _BODY
    if method != "get":
        yield "payload_too_large"


def _statuses(name: str) -> list[int]:
    return [ERRORS[name], *([422] if name in UNPROCESSABLE else [])]


def _add(answers: dict[Any, dict[str, Any]], status: int, name: str) -> None:
    """Say that this status can carry this error. Several errors of one status share an entry, as named examples."""
    key = str(status) if str(status) in answers else status if status in answers else str(status)
    answer = answers.setdefault(key, {"description": "", "content": {}})
    media = answer.setdefault("content", {}).setdefault("application/json", {})
    media["schema"] = {"$ref": "#/components/schemas/Error"}
    examples = media.setdefault("examples", {})
    examples[name] = {
        "summary": ABOUT[name],
        "value": {"statusCode": status, "name": name, "message": ABOUT[name]},
    }
    answer["description"] = ", ".join(f"`{known}`" for known in examples)
    if name in _RETRY:
        answer.setdefault("headers", {}).update(_headers({"retry-after": "Seconds to wait before trying again."}))
    if name == "method_not_allowed":
        answer.setdefault("headers", {})["allow"] = {"schema": {"type": "string"}, "description": "Methods allowed."}


def _headers(texts: Mapping[str, str]) -> dict[str, Any]:
    return {name: {"description": text, "schema": {"type": "integer"}} for name, text in texts.items()}
