"""Who sends through this Postlane?"""

from console.applications.routes import NOUN

__all__ = ["NOUN"]
