"""How often one client may do what costs something or could annoy others.

A one-click with a link of ours is never refused: the servers of one mailbox provider bring those of millions of people.
"""

from typing import Final
from uuid import UUID

from fastapi import Request

from mta.inbound_gate import RateWindow
from pages.answers import PageError
from pages.deps import deps
from web.connections import client_of

STRANGE_A_MINUTE: Final = 60
"""Links that are none of ours. Guessing is hopeless anyway; it shall not fill the log or the processor either."""
ACTS_A_MINUTE: Final = 120
"""Forms sent."""
VIEWS_A_MINUTE: Final = 300
"""Campaigns looked at on the web: a whole office may open one at the same time."""
MOVES_AN_HOUR: Final = 20
"""Mails to other addresses, asked for by one client; one person may ask for `MOVES_A_DAY`."""
MOVES_A_DAY: Final = 3
SIGNUPS_AN_HOUR: Final = 60
"""Sign-ups of one client whose browser did the work for each (`pages/work`): a stand with one tablet has no more."""
IDLE_AN_HOUR: Final = 5
"""Sign-ups of one client without."""
IDLE_OF_FORM: Final = 60
"""Sign-ups an hour of one form without, from everywhere."""
SAME_AN_HOUR: Final = 5
"""Sign-ups of one address: beyond them the answer is the same, and nothing is done."""
_RETRY: Final = {"retry-after": "60"}


class Limits:
    """The windows of one process. A form takes `of_form` sign-ups an hour at most."""

    def __init__(self, of_form: int) -> None:
        self.strange = RateWindow(STRANGE_A_MINUTE, 60.0)
        self.acts = RateWindow(ACTS_A_MINUTE, 60.0)
        self.views = RateWindow(VIEWS_A_MINUTE, 60.0)
        self.moves = RateWindow(MOVES_AN_HOUR, 3600.0)
        self.signups = RateWindow(SIGNUPS_AN_HOUR, 3600.0)
        self.idle = RateWindow(IDLE_AN_HOUR, 3600.0)
        self.idle_of_form = RateWindow(IDLE_OF_FORM, 3600.0)
        self.of_form = RateWindow(of_form, 3600.0)
        self.same = RateWindow(SAME_AN_HOUR, 3600.0)


def count(request: Request, window: RateWindow) -> None:
    """Note one event of this client. Raises PageError when it is one too many."""
    client = deps(request).clients.address(request)
    if not window.count(client_of(client) if client else ""):
        raise PageError(429, "too_many", _RETRY)


def count_signup(request: Request, form_id: UUID, *, worked: bool) -> None:
    """Note a sign-up. Raises PageError when it is one too many, of this client or of the form."""
    known = limits(request)
    count(request, known.signups if worked else known.idle)
    if not known.of_form.count(form_id) or not (worked or known.idle_of_form.count(form_id)):
        raise PageError(429, "busy", _RETRY)


def strange(request: Request) -> PageError:
    """What a link ends with that is none of ours."""
    count(request, limits(request).strange)
    return PageError(404, "link")


def limits(request: Request) -> Limits:
    """The windows of this process."""
    found: Limits = request.app.state.limits
    return found
