"""Resolver, providers, feedback loops and reply rules as the settings describe them, for all processes."""

from core.errors import ConfigurationError
from core.settings import Settings
from mta.guard import Guard, networks
from mta.loops import Loop, load_loops
from mta.providers import Providers, load_providers
from mta.resolve import Resolver, TargetPolicy
from mta.rule_book import RuleBook


def known_providers(settings: Settings) -> Providers:
    """The shipped mailbox providers and the operator's own file. Raises ConfigurationError for a bad file."""
    return load_providers(*([settings.providers_file] if settings.providers_file else []))


def providers_of(settings: Settings) -> Providers:
    """The providers as the files say now; without the operator's own file while that one cannot be read."""
    try:
        return known_providers(settings)
    except ConfigurationError:
        return load_providers()


def rules_in_force(settings: Settings) -> RuleBook:
    """The shipped reply rules behind the operator's own file. Raises ConfigurationError for a bad file."""
    if settings.rules_file is None:
        return RuleBook(None, ())
    return RuleBook(settings.rules_file, known_providers(settings).names)


def known_loops(settings: Settings) -> tuple[Loop, ...]:
    """The shipped feedback loops and the operator's own file. Raises ConfigurationError for a bad file."""
    return load_loops(*([settings.loops_file] if settings.loops_file else []))


def own_servers(settings: Settings) -> Guard:
    """Where the servers may be that operators name: relays, that of alarm mail, mailboxes of seed accounts."""
    return Guard(networks(settings.server_networks))


def make_resolver(settings: Settings, providers: Providers) -> Resolver:
    """A resolver for one event loop. Raises ConfigurationError for an unusable list of name servers."""
    names = frozenset({settings.hostname.lower()})
    policy = TargetPolicy(own_names=names, ipv6=settings.ipv6, allow_private=settings.simulator)
    return Resolver(providers, settings.dns_servers, policy)
