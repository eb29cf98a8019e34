"""What must stand in DNS?"""

from console.domains.routes import NOUN

__all__ = ["NOUN"]
