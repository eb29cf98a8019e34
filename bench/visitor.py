"""Somebody who is signed in to the console and looks at pages, as a browser asks for them. No scripts, no pictures."""

import html
import re
import time
from dataclasses import dataclass
from typing import Final
from uuid import UUID

import httpx

from accounts import sign_in_links, users
from accounts.roles import Role
from accounts.sign_in_links import Purpose
from accounts.users import NewUser
from bench.session import expect
from store.database import Database

_KEY: Final = re.compile(r'name="form_key" value="([0-9a-f]+)"')
_NEXT: Final = re.compile(r'href="([^"]+)" rel="next"')
_TYPED: Final = {"sec-fetch-site": "none"}
_OURS: Final = {"sec-fetch-site": "same-origin"}
_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class Seen:
    """One page as it came."""

    text: str
    milliseconds: float
    """From the question to the last byte."""

    @property
    def kilobytes(self) -> float:
        """Of HTML."""
        return len(self.text.encode()) / 1024

    @property
    def next(self) -> str:
        """The address of the page behind it, "" for none."""
        found = _NEXT.search(self.text)
        return html.unescape(found[1]) if found else ""


class Visitor:
    """One browser."""

    def __init__(self, url: str) -> None:
        self._http = httpx.AsyncClient(base_url=url, timeout=_SECONDS)

    async def sign_in(self, database: Database, email: str, role: Role, *, only: UUID | None = None) -> None:
        """As a new user, with a one-time link; `only`: limited to this application."""
        async with database.transaction() as connection:
            made = await users.create(connection, NewUser(email, role, applications=(only,) if only else ()))
            path = f"/link/{await sign_in_links.make(connection, Purpose.SIGN_IN, made.id)}"
        key = _KEY.search((await self._http.get(path, headers=_TYPED)).text)
        expect(key is not None, "the page of a sign-in link has no form")
        assert key is not None
        answer = await self._http.post(path, data={"form_key": key[1], "browser_zone": "Europe/Berlin"}, headers=_OURS)
        expect(answer.status_code == 303, f"the sign-in was answered {answer.status_code}")

    async def look(self, path: str) -> Seen:
        """A page. BenchError when it is none."""
        begun = time.perf_counter()
        answer = await self._http.get(path, headers=_TYPED)
        took = (time.perf_counter() - begun) * 1000
        expect(answer.status_code == 200, f"{path} was answered {answer.status_code}: {answer.text[-300:]}")
        return Seen(answer.text, took)

    async def leave(self) -> None:
        """Close the connection."""
        await self._http.aclose()
