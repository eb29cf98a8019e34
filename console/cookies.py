"""The cookies of the console, and what is made of them with the instance secret.

`session` holds the token of a session, or of a visit before the sign-in: forms are signed with it either way. `browser`
says whose account signed in here before (`console/throttling`). `said` carries one sentence to the next page. With
https they bear the `__Host-` prefix, so that no neighbouring host can plant one; without it the port, for a browser
sends cookies to every port of a host, and two consoles of one machine would sign each other out.
"""

import base64
import binascii
import hmac
import re
from typing import Final
from uuid import UUID

from fastapi import Request, Response

from core.secrets import InstanceSecret

SESSION, BROWSER, SAID = "session", "browser", "said"
_YEAR: Final = 365 * 86400
_LONGEST_SAID: Final = 600
_PORT: Final = re.compile(r":([0-9]{1,5})$")


class Cookies:
    """Reads and writes them. `https`: the console is reached so; `host`: what the browser calls it, with the port."""

    def __init__(self, secret: InstanceSecret, *, https: bool, host: str) -> None:
        self._secret = secret
        self._https = https
        port = _PORT.search(host)
        self._before = "__Host-postlane" if https else f"postlane_{port[1]}" if port else "postlane"

    def name(self, what: str) -> str:
        """What it is called in the browser."""
        return f"{self._before}_{what}"

    def read(self, request: Request, what: str) -> str:
        """The value that came, "" for none."""
        return request.cookies.get(self.name(what), "")

    def write(self, answer: Response, what: str, value: str, seconds: int | None = None) -> None:
        """Set one, until the browser ends or for so long."""
        answer.set_cookie(
            self.name(what), value, max_age=seconds, secure=self._https, httponly=True, samesite="lax", path="/"
        )

    def forget(self, answer: Response, what: str) -> None:
        """Take one away."""
        answer.delete_cookie(self.name(what), secure=self._https, httponly=True, samesite="lax", path="/")

    def form_key(self, token: str) -> str:
        """What a form of this session has to bring along."""
        return self._secret.mac("console-form", token.encode(), 16).hex() if token else ""

    def know(self, answer: Response, user_id: UUID) -> None:
        """This browser belongs to that account from now on."""
        self.write(answer, BROWSER, f"{user_id}.{self._mac('console-browser', str(user_id))}", _YEAR)

    def known(self, request: Request, user_id: UUID | None) -> str:
        """The value by which an account knows this browser, "" when it does not."""
        value = self.read(request, BROWSER)
        mine = user_id is not None and f"{user_id}.{self._mac('console-browser', str(user_id))}"
        return value if mine and hmac.compare_digest(value.encode(), mine.encode()) else ""

    def say(self, answer: Response, sentence: str) -> None:
        """To be shown on the next page."""
        text = base64.urlsafe_b64encode(sentence[:_LONGEST_SAID].encode()).decode()
        self.write(answer, SAID, f"{text}.{self._mac('console-said', text)}", 60)

    def said(self, request: Request) -> str:
        """What the page before wanted to say."""
        text, _, mac = self.read(request, SAID).partition(".")
        if not text or not hmac.compare_digest(mac.encode(), self._mac("console-said", text).encode()):
            return ""
        try:
            return base64.urlsafe_b64decode(text).decode()
        except (binascii.Error, UnicodeDecodeError):
            return ""

    def _mac(self, purpose: str, text: str) -> str:
        return self._secret.mac(purpose, text.encode(), 16).hex()
