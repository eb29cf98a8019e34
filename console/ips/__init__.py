"""Is an IP in trouble, and is mail moving around it?"""

from console.ips.routes import NOUN

__all__ = ["NOUN"]
