"""OpenID Connect (Core 1.0, Discovery 1.0): what is asked of a provider, and whether what it says is true. Pure.

The edge of Authlib and joserfc: nobody else imports them. Asks nothing by itself, `accounts/openid_provider` does. A
code is exchanged with PKCE (RFC 7636); of an ID token signature, issuer, audience, times and nonce are checked, and
signatures of public keys are taken only: with `none`, or with our own secret for a key, anybody could sign.
"""

import json
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote, urlencode, urlsplit

from authlib.oauth2.rfc6749.parameters import prepare_grant_uri
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from authlib.oidc.core import CodeIDToken
from authlib.oidc.discovery import get_well_known_url
from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import Key, KeySet

from accounts.identities import Identity
from accounts.openid import Asked, Client, OpenIdError, Provider

Keys = KeySet
"""What a provider signs with."""
SCOPE: Final = "openid email profile"
LEEWAY_SECONDS: Final = 60
"""So much may the provider's clock differ from ours."""
_ALGORITHMS: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA",
                      "Ed25519")  # fmt: skip
_LOCAL: Final = frozenset({"127.0.0.1", "::1", "localhost"})
_LONGEST: Final = 255
"""Characters of a subject (Core 1.0 section 2)."""


def well_known(issuer: str) -> str:
    """Where a provider tells of itself."""
    return str(get_well_known_url(issuer, external=True))


def provider_of(issuer: str, document: bytes) -> Provider:
    """What a provider tells of itself. Raises OpenIdError."""
    told = _object(document)
    if told.get("issuer") != issuer:
        raise OpenIdError(f"the provider calls itself {str(told.get('issuer'))[:200]!r}, not {issuer!r}")
    sign_in, token, keys = (
        _endpoint(issuer, name, told.get(name)) for name in ("authorization_endpoint", "token_endpoint", "jwks_uri")
    )
    ways = told.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
    return Provider(sign_in, token, keys, basic=not isinstance(ways, list) or "client_secret_basic" in ways)


def sign_in_url(client: Client, provider: Provider, asked: Asked) -> str:
    """Where the browser goes."""
    return str(
        prepare_grant_uri(
            provider.authorization, client.id, "code", redirect_uri=client.redirect_uri, scope=SCOPE,
            state=asked.state, nonce=asked.nonce, code_challenge=create_s256_code_challenge(asked.verifier),
            code_challenge_method="S256",
        )
    )  # fmt: skip


def token_request(client: Client, provider: Provider, code: str, verifier: str) -> tuple[bytes, tuple[str, str] | None]:
    """The body that exchanges a code, and name and password for its head, if it has them there (RFC 6749 2.3.1)."""
    fields = {
        "grant_type": "authorization_code", "code": code, "redirect_uri": client.redirect_uri,
        "code_verifier": verifier, "client_id": client.id,
    }  # fmt: skip
    if provider.basic and client.secret:
        return urlencode(fields).encode(), (quote(client.id, safe=""), quote(client.secret, safe=""))
    return urlencode(fields | ({"client_secret": client.secret} if client.secret else {})).encode(), None


def tokens_of(document: bytes) -> tuple[str, str]:
    """The ID token, and the access token that came with it. Raises OpenIdError."""
    told = _object(document)
    id_token, access = told.get("id_token"), told.get("access_token")
    if not isinstance(id_token, str):
        raise OpenIdError(
            f"there is no ID token in the answer: {str(told.get('error', ''))[:100] or 'no error either'}"
        )
    return id_token, access if isinstance(access, str) else ""


def keys_of(document: bytes) -> Keys:
    """The keys that a provider signs with. Raises OpenIdError."""
    try:
        return KeySet.import_key_set(_object(document))  # type: ignore[arg-type]  # it is looked at there
    except (JoseError, ValueError, TypeError, KeyError) as error:
        raise OpenIdError(f"the keys of the provider cannot be read: {error}") from error


def key_for(id_token: str, keys: Keys) -> Key | None:
    """The key that a token says it was signed with; None when it is not among these. Raises OpenIdError."""
    try:
        name = jws.extract_compact(id_token.encode()).headers().get("kid")
    except (JoseError, ValueError, TypeError) as error:
        raise OpenIdError(f"the ID token cannot be read: {error}") from error
    if name is None:
        return next(iter(keys)) if len(keys.keys) == 1 else None
    return next((key for key in keys if key.kid == name), None)


def identity(client: Client, tokens: tuple[str, str], key: Key, nonce: str, now: float) -> Identity:
    """Who it is. Raises OpenIdError for a token that is not true, not for us, not of this sign-in, or too old."""
    id_token, access = tokens
    try:
        found = jwt.decode(id_token, key, algorithms=list(_ALGORITHMS))
        claims = CodeIDToken(found.claims, found.header, _wanted(client), _params(client, nonce, access))
        claims.validate(int(now), LEEWAY_SECONDS)
    except (JoseError, ValueError, TypeError, KeyError, OverflowError) as error:
        raise OpenIdError(f"the ID token is not good: {str(error)[:200] or type(error).__name__}") from error
    return _identity(claims)


def _wanted(client: Client) -> dict[str, Any]:
    return {
        "iss": {"essential": True, "value": client.issuer},
        "aud": {"essential": True, "value": client.id},
        "sub": {"essential": True},
        "exp": {"essential": True},
    }


def _params(client: Client, nonce: str, access: str) -> dict[str, Any]:
    return {"nonce": nonce, "client_id": client.id, "access_token": access}


def _identity(claims: Mapping[str, Any]) -> Identity:
    subject, email, name = claims["sub"], claims.get("email"), claims.get("name")
    if len(subject) > _LONGEST or not subject.isprintable():
        raise OpenIdError("the ID token has a subject that is none")
    verified = claims.get("email_verified") in (True, "true")  # a text at Cognito
    return Identity(
        subject,
        email if verified and isinstance(email, str) else "",
        name if isinstance(name, str) and name.isprintable() else "",
        claims,
    )


def _endpoint(issuer: str, name: str, url: object) -> str:
    """An address that secrets may go to: by TLS, unless the provider is on this machine."""
    if isinstance(url, str) and url.isprintable() and " " not in url:
        parts = urlsplit(url)
        here = parts.hostname in _LOCAL and urlsplit(issuer).hostname in _LOCAL
        plain = parts.scheme == "http" and here
        if parts.hostname and (parts.scheme == "https" or plain) and not parts.username and not parts.fragment:
            return url
    raise OpenIdError(f"the provider's {name} is no https address: {str(url)[:200]!r}")


def _object(document: bytes) -> dict[str, Any]:
    try:
        told = json.loads(document)
    except (ValueError, RecursionError) as error:
        raise OpenIdError("the provider's answer is no JSON") from error
    if not isinstance(told, dict):
        raise OpenIdError("the provider's answer is no JSON object")
    return told
