"""Is mail flowing, and does anything need me?"""

from console.overview.routes import NOUN

__all__ = ["NOUN"]
