"""Who may use the console, and what for."""

from console.users.routes import NOUN

__all__ = ["NOUN"]
