"""One's own account: name, zone, password, second factor, sessions."""

from console.account.routes import NOUN

__all__ = ["NOUN"]
