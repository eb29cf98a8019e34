"""Coming in: by password and second factor, by a one-time link; going out."""

from console.sign_in.routes import NOUN

__all__ = ["NOUN"]
