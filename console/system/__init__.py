"""Does everything run?"""

from console.system.routes import NOUN

__all__ = ["NOUN"]
