"""Who gets no mail, and why?"""

from console.suppressions.routes import NOUN

__all__ = ["NOUN"]
