"""How does my program send?"""

from console.snippets.routes import NOUN

__all__ = ["NOUN"]
