"""Where is a message, and why?"""

from console.messages.routes import NOUN

__all__ = ["NOUN"]
