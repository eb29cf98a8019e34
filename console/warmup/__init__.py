"""Are we on plan, and when is it over?"""

from console.warmup.routes import NOUN

__all__ = ["NOUN"]
