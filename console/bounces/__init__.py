"""What came back, and what did it do?"""

from console.bounces.routes import NOUN

__all__ = ["NOUN"]
