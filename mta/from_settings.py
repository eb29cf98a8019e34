"""Resolver and providers as the settings describe them, for every process that needs them."""

from core.settings import Settings
from mta.providers import Providers, load_providers
from mta.resolve import Resolver, TargetPolicy


def known_providers(settings: Settings) -> Providers:
    """The shipped mailbox providers and the operator's own file. Raises ConfigurationError for a bad file."""
    return load_providers(*([settings.providers_file] if settings.providers_file else []))


def make_resolver(settings: Settings, providers: Providers) -> Resolver:
    """A resolver for one event loop. Raises ConfigurationError for an unusable list of name servers."""
    policy = TargetPolicy(own_names=frozenset({settings.hostname.lower()}), allow_private=settings.simulator)
    return Resolver(providers, settings.dns_servers, policy)
