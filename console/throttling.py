"""How often a sign-in may fail: by client, by account, and by a browser that the account knows.

A stranger who tries the owner's address fills the window of the account, and the owner still comes in: whoever signed
in from a browser before has a window of their own there (a "device cookie", `console/cookies`). One-time links are not
throttled; guessing 192 bits is hopeless.
"""

from typing import Final

from core.addresses import AddressError, fold_address
from core.rate_windows import RateWindow

_SECONDS: Final = 900.0
OF_CLIENT: Final = 30
OF_ACCOUNT: Final = 10
"""From browsers that it does not know, all together."""
OF_BROWSER: Final = 10
OF_PROVIDER: Final = 300
"""Ways to a provider and back, which knows how to keep guesses away; an office behind one address has a morning."""


class Attempts:
    """The windows of one process. An attempt is counted before its password is looked at."""

    def __init__(self) -> None:
        self._clients = RateWindow(OF_CLIENT, _SECONDS)
        self._accounts = RateWindow(OF_ACCOUNT, _SECONDS)
        self._browsers = RateWindow(OF_BROWSER, _SECONDS)
        self._elsewhere = RateWindow(OF_PROVIDER, _SECONDS)
        self._told = RateWindow(1, _SECONDS)

    def may(self, client: str, email: str, browser: str) -> bool:
        """Note an attempt; False when it is one too many. `browser`: what the account knows this one by, or ""."""
        if browser:
            return self._browsers.count(browser)
        # What its own window refuses fills no other: one client could shut the accounts of all, at no cost.
        return self._clients.count(client) and self._accounts.count(_folded(email))

    def comes(self, client: str) -> bool:
        """Note that somebody goes to a provider, or comes back; False when it is one too many."""
        return self._elsewhere.count(client)

    def tell(self, account: str) -> bool:
        """Whether it is time to say (again) that there were too many attempts for this account."""
        return self._told.count(account)


def _folded(email: str) -> str:
    try:
        return fold_address(email.strip())
    except AddressError:
        return ""
