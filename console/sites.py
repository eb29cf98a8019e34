"""Names of providers and sites that somebody chose on a page."""

from core.errors import ConfigurationError
from core.refusal import invalid
from core.settings import Settings
from mta.from_settings import known_providers
from mta.providers import OTHER, Providers, load_providers
from pools.model import EVERYWHERE

_LONGEST = 260


def providers_of(settings: Settings) -> Providers:
    """The providers as the files say now; without the operator's own file while that one cannot be read."""
    try:
        return known_providers(settings)
    except ConfigurationError:
        return load_providers()


def known_site(settings: Settings, text: str, field: str = "provider") -> str:
    """A provider's name, `other`, `*` or `mx:<server>`. Raises Refused naming the field."""
    text = text.strip()
    names = providers_of(settings).names
    if text in names or text in (OTHER, EVERYWHERE):
        return text
    server = text.removeprefix("mx:")
    plain = server.isascii() and server.isprintable() and " " not in server
    if server and server != text and plain and len(text) <= _LONGEST:
        return text.lower()
    raise invalid(field, f"there is no provider {text[:60]!r}; there are {', '.join(sorted(names))} and {OTHER}")


def shown_site(site: str) -> str:
    """A site as people read it."""
    if site == EVERYWHERE:
        return "everywhere"
    return "all others" if site == OTHER else site.removeprefix("mx:")
