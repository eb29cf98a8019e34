"""The request log: what did my application ask for, and what was refused?"""

from console.logs.routes import NOUN

__all__ = ["NOUN"]
