"""Mailbox providers, and what their replies mean, as JSON. Pure."""

from mta.model import Response, Verdict
from mta.providers import Providers


def provider_face(providers: Providers, name: str) -> dict[str, object]:
    """A provider as `ProviderAnswer`."""
    limits = providers.limits(name)
    return {
        "object": "provider",
        "id": name,
        "name": name,
        "mx_suffixes": sorted(suffix for suffix, owner in providers.suffixes.items() if owner == name),
        "limits": {
            "connections": limits.connections,
            "messages_per_connection": limits.messages_per_connection,
            "messages_per_second": limits.messages_per_second,
            "messages_per_hour": limits.messages_per_hour,
            "provider_wide": limits.provider_wide,
            "tls": limits.tls,
        },
    }


def verdict_face(provider: str, response: Response, verdict: Verdict) -> dict[str, object]:
    """What a reply means, as `Explained`."""
    return {
        "object": "verdict",
        "provider": provider,
        "code": response.code,
        "enhanced": response.enhanced,
        "text": response.text,
        "rule": verdict.rule,
        "action": verdict.action,
        "class": verdict.klass,
        "scope": verdict.scope,
        "suppress": verdict.suppress,
        "wait_seconds": verdict.wait.total_seconds() if verdict.wait is not None else None,
    }
