"""The answer to every exception that ends a request: a page that says what happened and what to do.

`answer_to` is the one place where an exception becomes a page. `core/refusal` is shown as it is: services wrote it for
people.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from accounts.roles import ALLOWS, OF_THE_INSTALLATION, Right, roles_with
from console.guard import NotAllowed, NotFromHere, SignInNeeded, stranger, who
from console.owners import Unclear
from console.rendering import page
from console.visit import SCOPE, Visit
from core.errors import UnavailableError
from core.refusal import Refused
from web.bodies import BodyTooLargeError
from web.edge import GONE
from web.paging import PagingError

EXPECTED: Final = (
    BodyTooLargeError,
    ClientDisconnect,
    HTTPException,
    NotAllowed,
    NotFromHere,
    PagingError,
    Refused,
    RequestValidationError,
    SignInNeeded,
    UnavailableError,
)
"""Exceptions that are part of how requests end. Any other is a bug."""

_STATUS: Final = {"not_found": 404, "conflict": 409, "invalid": 422}


@dataclass(frozen=True, slots=True)
class Trouble:
    """What a page of trouble says."""

    status: int
    what: str
    to_do: str


async def answer_to(request: Request, error: Exception) -> Response:
    """The answer to one of `EXPECTED`."""
    if isinstance(error, ClientDisconnect):
        return Response(status_code=GONE)
    if isinstance(error, SignInNeeded):
        return _to_the_sign_in(request, error.back)
    trouble = _trouble(error)
    # Who it is was asked for in vain already, if so: a second time would take as long again.
    visit = stranger(request) if isinstance(error, UnavailableError) else await _visit(request)
    return page(visit, "layout/trouble.html", trouble.status, trouble=trouble, number="", options=_choice(error))


def _choice(error: Exception) -> Sequence[tuple[str, str]]:
    """What a page that was asked for without saying of which application asks back; nothing for any other."""
    return error.options if isinstance(error, Unclear) else ()


def sentence(error: Refused) -> str:
    """A refusal as a sentence."""
    told = f"{error.reason[:1].upper()}{error.reason[1:]}"
    return told if told.endswith((".", "?")) else f"{told}."


def _to_the_sign_in(request: Request, back: str) -> Response:
    target = "/sign-in" if back == "/" else f"/sign-in?next={quote(back)}"
    if "hx-request" in request.headers:  # a part of a page cannot become the sign-in
        return Response(status_code=401, headers={"hx-redirect": target})
    return Response(status_code=303, headers={"location": target})


async def _visit(request: Request) -> Visit:
    """The visit; where the guard did not get so far, as far as the database can tell."""
    found: Visit | None = request.scope.get(SCOPE)
    if found is not None:
        return found
    try:
        return await who(request)
    except UnavailableError:
        return stranger(request)


_FILE: Final = 1024 * 1024
"""Bytes. What may be larger is a file that somebody chose."""


def _trouble(error: Exception) -> Trouble:
    if isinstance(error, Unclear):  # a question, not a refusal: links lead to what is gone
        return Trouble(200, sentence(error), error.hint)
    if isinstance(error, Refused):
        return Trouble(_STATUS[error.kind], sentence(error), error.hint)
    if isinstance(error, NotAllowed):
        return _not_allowed(error.right)
    if isinstance(error, NotFromHere):
        return Trouble(
            403,
            "This form is too old, or did not come from the console.",
            "Go back, load the page again, and repeat it.",
        )
    if isinstance(error, UnavailableError):
        return Trouble(
            503,
            "The database does not answer. Nothing was changed.",
            "Try again; `postlane doctor` says what is wrong.",
        )
    if isinstance(error, BodyTooLargeError):
        if error.limit > _FILE:
            most = f"This is larger than {error.limit // _FILE} MB. Nothing was kept."
            return Trouble(413, most, "Pack it as zip or gzip, or bring it in by `postlane contacts import`.")
        return Trouble(413, str(error), "Send less at once.")
    if isinstance(error, PagingError):
        return Trouble(404, str(error), "")
    if isinstance(error, HTTPException) and error.status_code == 404:
        return Trouble(404, "There is nothing at this address.", "Look for it above, or begin at the overview.")
    if isinstance(error, HTTPException) and error.status_code == 405:
        return Trouble(405, "This address takes no such request.", "Go back and use the buttons of the page.")
    return Trouble(400, "This request could not be understood. Nothing was changed.", "Go back and try again.")


def _not_allowed(right: Right) -> Trouble:
    """Which roles have the right; where a limit to applications takes it away, that too."""
    roles = "one of the roles " + ", ".join(roles_with(right)) if len(roles_with(right)) > 1 else "the role admin"
    whole = ", for all applications" if right in OF_THE_INSTALLATION else ""
    return Trouble(403, f"You may not {ALLOWS[right]}.", f"An admin can give you {roles}{whole}.")


async def answer_to_bug(request: Request, identifier: str) -> Response:
    """The answer when something broke: a number to look for in the log, and nothing about the inside."""
    trouble = Trouble(500, "Something went wrong on our side.", "The log has it under the number below.")
    return page(await _visit(request), "layout/trouble.html", 500, trouble=trouble, number=identifier, options=())
