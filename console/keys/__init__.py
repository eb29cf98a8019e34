"""Which programs may send?"""

from console.keys.routes import NOUN

__all__ = ["NOUN"]
