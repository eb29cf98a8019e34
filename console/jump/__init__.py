"""The search at the top: straight to the page of what was typed."""

from console.jump.routes import NOUN

__all__ = ["NOUN"]
