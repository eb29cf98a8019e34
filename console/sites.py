"""Names of sites as pages show them. Pure."""

from mta.providers import OTHER
from pools.model import EVERYWHERE


def shown_site(site: str) -> str:
    """A site as people read it."""
    if site == EVERYWHERE:
        return "everywhere"
    return "all others" if site == OTHER else site.removeprefix("mx:")
