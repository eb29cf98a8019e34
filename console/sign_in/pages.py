"""The two forms of a sign-in, shown once more."""

from fastapi import Response

from console.guard import local
from console.rendering import page
from console.visit import Visit


def again(visit: Visit, wrong: str, status: int) -> Response:
    """The form, with what was wrong."""
    back = local(visit.field("next") or "/")
    return page(visit, "sign_in/sign_in.html", status, back=back, wrong=wrong, email=visit.field("email"), first=False)


def code_page(visit: Visit, ticket: str, wrong: str = "") -> Response:
    """The question for a code."""
    back, zone = local(visit.field("next") or "/"), visit.field("browser_zone")
    status = 422 if wrong else 200
    return page(visit, "sign_in/code.html", status, back=back, wrong=wrong, ticket=ticket, browser_zone=zone)
