"""Where does our mail land?"""

from console.seeds.routes import NOUN

__all__ = ["NOUN"]
