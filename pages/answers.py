"""The answer to every exception that ends a request, as a page in the reader's language.

`answer_to` is the one place where an exception becomes a page; `pages/app` registers it for the routes that FastAPI
runs, `web/edge` calls it for those that it runs itself.
"""

from collections.abc import Mapping
from typing import Final

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from pages.language import CATALOGUES, FALLBACK, Catalogue, catalogue
from pages.rendering import page
from store.database import DatabaseUnavailableError
from web.bodies import BodyTooLargeError
from web.edge import GONE


class PageError(Exception):
    """Ends a request. `reason` names its texts in the catalogues: `error.<reason>` and `error.<reason>.text`."""

    def __init__(self, status: int, reason: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.headers = dict(headers or {})


EXPECTED: Final = (
    PageError,
    BodyTooLargeError,
    ClientDisconnect,
    DatabaseUnavailableError,
    HTTPException,
    RequestValidationError,
)
"""Exceptions that are part of how requests end. Any other is a bug."""


async def answer_to(request: Request, error: Exception) -> Response:
    """The answer to one of `EXPECTED`."""
    if isinstance(error, ClientDisconnect):
        return Response(status_code=GONE)
    found = _as_page_error(error)
    answer = page("error.html", catalogue(request), found.status, reason=found.reason, number="")
    answer.headers.update(found.headers)
    return answer


def texts_of(reason: str, words: Catalogue) -> str:
    """What a page says about it, as one text."""
    return f"{words(f'error.{reason}')}. {words(f'error.{reason}.text')}"


def _as_page_error(error: Exception) -> PageError:
    if isinstance(error, PageError):
        return error
    if isinstance(error, DatabaseUnavailableError):
        return PageError(503, "unavailable", {"retry-after": "5"})
    if isinstance(error, BodyTooLargeError):
        return PageError(413, "form", {"connection": "close"})
    if isinstance(error, HTTPException) and error.status_code == 405:
        return PageError(405, "form", dict(error.headers or {}))
    if isinstance(error, HTTPException) and error.status_code == 404:
        return PageError(404, "not_found")
    return PageError(400, "form")


def answer_to_bug(identifier: str) -> Response:
    """The answer when something broke: a number to look for in the log, and nothing about the inside."""
    return page("error.html", CATALOGUES[FALLBACK], 500, reason="bug", number=identifier)
