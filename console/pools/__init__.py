"""Has each pool the right IPs for its mail?"""

from console.pools.routes import NOUN

__all__ = ["NOUN"]
