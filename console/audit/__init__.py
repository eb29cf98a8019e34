"""Who changed what, from what to what?"""

from console.audit.routes import NOUN

__all__ = ["NOUN"]
