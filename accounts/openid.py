"""Words of OpenID Connect: us, the provider, one sign-in, what may go wrong. Pure, and without its libraries, which are
imported where a provider is named (`accounts/openid_provider`)."""

from collections.abc import Sequence
from dataclasses import dataclass

from accounts.identities import Identity
from core.errors import PostlaneError


class OpenIdError(PostlaneError):
    """The provider, or whoever says that they come from it, did not say what it has to."""


@dataclass(frozen=True, slots=True)
class Client:
    """Us, as the provider knows us."""

    issuer: str
    id: str
    secret: str
    redirect_uri: str


@dataclass(frozen=True, slots=True)
class Provider:
    """Where the provider is asked for what."""

    authorization: str
    token: str
    keys: str
    basic: bool
    """Whether our secret goes into the head of a request; else into its body."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What belongs to one sign-in, and is known to that browser only."""

    state: str
    nonce: str
    verifier: str


def role_named(identity: Identity, claim: str, roles: Sequence[tuple[str, str]]) -> str:
    """The first role whose value the claim has; "" for none."""
    value = identity.claims.get(claim) if claim else None
    values = value if isinstance(value, list) else [value]
    return next((role for named, role in roles if named in values), "")
