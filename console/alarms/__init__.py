"""Does anything need me?"""

from console.alarms.routes import NOUN

__all__ = ["NOUN"]
