"""One request of somebody, and what they may do. What a route is given, and what a page is rendered for."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Annotated, Final
from uuid import UUID
from zoneinfo import ZoneInfo

from fastapi import Depends, Request, Response

from accounts import audit
from accounts.audit import Actor, Entry
from accounts.roles import Right
from accounts.sessions import Session
from accounts.users import User
from console.cookies import SAID, Cookies
from console.deps import Deps
from core.refusal import not_found
from store.database import Connection
from web.forms import Form, one
from web.multipart import Part
from web.spooled_forms import FileOnDisk

SCOPE: Final = "postlane.visit"
"""Key in the ASGI scope, set by `console/guard`."""
_UTC: Final = "UTC"


@dataclass(frozen=True, slots=True)
class Visit:
    """One request. `user` is None before the sign-in only; routes that want a right always have one (`me`)."""

    request: Request
    given: Deps
    cookies: Cookies
    token: str
    """Of the session, or of the visit before the sign-in."""
    session: Session | None = None
    user: User | None = None
    form: Form = field(default_factory=dict)
    files: Mapping[str, Part] = field(default_factory=dict)
    """What was sent along with the form."""
    uploads: Mapping[str, FileOnDisk] = field(default_factory=dict)
    """The same of endpoints that take large files (`guard.largest_upload`)."""
    nonce: str = field(default_factory=lambda: secrets.token_urlsafe(16))

    @property
    def me(self) -> User:
        """Who it is."""
        assert self.user is not None, "a route without a right has no user"
        return self.user

    @property
    def now(self) -> datetime:
        """When it is."""
        return self.given.clock.now()

    @property
    def zone(self) -> ZoneInfo:
        """Of the times they are shown: their own choice, else their browser's."""
        chosen = self.user.zone if self.user else ""
        return ZoneInfo(chosen or (self.session.zone if self.session else "") or _UTC)

    @property
    def ip(self) -> str:
        """Where they are."""
        return self.given.clients.address(self.request)

    @property
    def path(self) -> str:
        """Of the page, without parameters."""
        return str(self.request.url.path)

    @property
    def form_key(self) -> str:
        """What a form has to bring along."""
        return self.cookies.form_key(self.token)

    def may(self, right: Right) -> bool:
        """Whether they have this right."""
        return self.user is not None and right in self.user.rights

    @property
    def applications(self) -> tuple[UUID, ...]:
        """The only ones they see; () for all. For questions over several applications."""
        return self.me.applications

    @property
    def kept(self) -> timedelta:
        """For how long figures are kept by the hour: what questions to `store/figures` want to know."""
        return timedelta(days=self.given.settings.event_days)

    def sees(self, application_id: UUID) -> None:
        """Raise Refused for what belongs to an application they do not see: as if it were not there."""
        if self.applications and application_id not in self.applications:
            raise not_found("there is nothing here")

    def field(self, name: str) -> str:
        """A field of the form that was sent, "" for none."""
        return one(self.form, name)

    def secret(self, name: str) -> str:
        """A field of the form as it was typed: blanks at the ends of a password belong to it."""
        return (self.form.get(name) or ("",))[0]

    def asked(self, name: str, longest: int = 400) -> str:
        """A parameter of the address, "" for none. What PostgreSQL would break off over is taken out."""
        return self.request.query_params.get(name, "")[:longest].replace("\0", "").strip()

    @property
    def actor(self) -> Actor:
        """For the audit log and for histories."""
        return Actor(self.me.email, "console", self.me.id, self.ip)

    async def note(self, connection: Connection, entry: Entry) -> None:
        """Write a change into the audit log, in the transaction that makes it."""
        await audit.write(connection, self.actor, entry)

    def go(self, path: str, said: str = "") -> Response:
        """On to another page, which begins with what was done."""
        answer = Response(status_code=303, headers={"location": path})
        if said:
            self.cookies.say(answer, said)
        return answer

    def said(self) -> str:
        """What the page before wanted to say."""
        return self.cookies.said(self.request)

    def heard(self, answer: Response) -> None:
        """It is not said twice."""
        if self.cookies.read(self.request, SAID):
            self.cookies.forget(answer, SAID)


def visit(request: Request) -> Visit:
    """The request that runs; a FastAPI dependency."""
    found: Visit = request.scope[SCOPE]
    return found


Visiting = Annotated[Visit, Depends(visit)]
