"""How do mailbox providers treat us, and since when?"""

from console.providers.routes import NOUN

__all__ = ["NOUN"]
