"""What can be switched off while everything runs?"""

from console.flags.routes import NOUN

__all__ = ["NOUN"]
