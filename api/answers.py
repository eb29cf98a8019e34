"""The answer to every exception that ends a request.

`answer_to` is the one place where an exception becomes an error of `api/errors`; `api/app` registers it for the routes
that FastAPI runs, `web/edge` calls it for those that it runs itself.
"""

from typing import Final

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from api.absences import absence
from api.auth import recognise
from api.errors import ERRORS, ApiError, refused
from api.validation import api_error
from core.refusal import Refused
from store.database import DatabaseUnavailableError
from web.answers import json_answer
from web.bodies import BodyTooComplexError, BodyTooLargeError
from web.edge import GONE, request_id
from web.paging import PagingError

EXPECTED: Final = (
    ApiError,
    BodyTooComplexError,
    BodyTooLargeError,
    ClientDisconnect,
    DatabaseUnavailableError,
    HTTPException,
    PagingError,
    Refused,
    RequestValidationError,
)
"""Exceptions that are part of how requests end. Any other is a bug."""


async def answer_to(request: Request, error: Exception) -> Response:
    """The answer to one of `EXPECTED`."""
    if isinstance(error, ClientDisconnect):
        return Response(status_code=GONE)
    if isinstance(error, HTTPException):
        await recognise(request)
    found = _as_api_error(request, error)
    return json_answer(found.body(), found.status, {"x-request-id": request_id(request.scope), **found.headers})


def _as_api_error(request: Request, error: Exception) -> ApiError:
    if isinstance(error, ApiError):
        return error
    if isinstance(error, Refused):
        return refused(error)
    if isinstance(error, DatabaseUnavailableError):
        return ApiError(
            "service_unavailable",
            "The database does not answer. Nothing was accepted; try again.",
            {"retry-after": "2"},
        )
    if isinstance(error, BodyTooLargeError):
        return ApiError("payload_too_large", str(error), {"connection": "close"})
    if isinstance(error, BodyTooComplexError):
        return ApiError("payload_too_large", str(error))
    if isinstance(error, PagingError):
        return ApiError("invalid_parameter", str(error))
    if isinstance(error, HTTPException | RequestValidationError) and (told := absence(request.url.path)):
        return ApiError("not_found", f"{request.url.path} does not exist here. {told}")
    if isinstance(error, RequestValidationError):
        return api_error(error.errors())
    assert isinstance(error, HTTPException)
    return _from_http(request, error)


def _from_http(request: Request, error: HTTPException) -> ApiError:
    """What Starlette and FastAPI raise by themselves: an unknown path, a wrong method, a body they cannot read."""
    if error.status_code == ERRORS["not_found"]:
        return ApiError("not_found", f"There is nothing at {request.url.path}.")
    if error.status_code == ERRORS["method_not_allowed"]:
        allow = ", ".join(request.app.state.methods_at(request.url.path))
        return ApiError(
            "method_not_allowed",
            f"{request.method} is not allowed at {request.url.path}: {allow} is.",
            {"allow": allow},
        )
    if error.status_code == ERRORS["payload_too_large"]:
        return ApiError("payload_too_large", "The request body is too large.", {"connection": "close"})
    return ApiError("validation_error", str(error.detail), error.headers)


def answer_to_bug(identifier: str) -> Response:
    """The answer when something broke: a number to look for in the log, and nothing about the inside."""
    error = ApiError("application_error", f"Something went wrong on our side. The log has it as request {identifier}.")
    return json_answer(error.body(), error.status, {"x-request-id": identifier})
