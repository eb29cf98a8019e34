"""The provider that vouches for users of the console, asked over HTTP: what it is, its keys, a code for a token.

What it says of itself and its keys are kept for an hour; a token whose key is not among them asks once more, at most
once a minute. Every answer is bounded in bytes and time, every connection goes to an address that `mta/guard` judged.
"""

import asyncio
import base64
import ssl
from typing import Final

import httpcore

from accounts import openid_tokens as tokens
from accounts.identities import Identity
from accounts.openid import Asked, Client, OpenIdError, Provider
from accounts.openid_tokens import Keys
from core.errors import UnavailableError
from core.remembered import Remembered
from core.settings import Settings
from mta.from_settings import own_servers
from mta.guard import Guard
from mta.guarded import GuardedNetwork, Lookup

SECONDS: Final = 8.0
"""For one request with its answer."""
LONGEST: Final = 512 * 1024
"""Bytes of an answer."""
KEEP_SECONDS: Final = 3600.0
FRESH_SECONDS: Final = 60.0
"""How often a token with an unknown key makes us ask for keys."""
_HEADERS: Final = ((b"User-Agent", b"Postlane/1"), (b"Accept", b"application/json"), (b"Accept-Encoding", b"identity"))


class OpenIdProvider:
    """The provider of one console."""

    def __init__(self, client: Client, lookup: Lookup, guard: Guard, tls: ssl.SSLContext | None = None) -> None:
        self.client = client
        self._network = GuardedNetwork(lookup, guard, SECONDS)
        self._tls = tls or ssl.create_default_context()
        self._provider: Remembered[str, Provider] = Remembered(self._ask_provider, KEEP_SECONDS, pause=5.0)
        self._keys: Remembered[str, Keys] = Remembered(self._ask_keys, KEEP_SECONDS, pause=5.0)
        self._fresh: Remembered[str, Keys] = Remembered(self._ask_keys, FRESH_SECONDS, pause=5.0)

    @classmethod
    def of(cls, settings: Settings, lookup: Lookup) -> "OpenIdProvider":
        """That of these settings, which name one."""
        own = settings.console_url or f"http://127.0.0.1:{settings.console_port}"
        secret = settings.openid_client_secret.get_secret_value()
        client = Client(settings.openid_issuer, settings.openid_client_id, secret, f"{own}/sign-in/openid/done")
        return cls(client, lookup, own_servers(settings))

    async def look(self) -> None:
        """Whether it is there, is who it should be, and shows keys. Raises OpenIdError, UnavailableError."""
        await self._ask_keys((await self._ask_provider(self.client.issuer)).keys)

    async def sign_in_url(self, asked: Asked) -> str:
        """Where the browser goes. Raises OpenIdError, UnavailableError."""
        return tokens.sign_in_url(self.client, await self._provider.get(self.client.issuer), asked)

    async def identity(self, code: str, asked: Asked, now: float) -> Identity:
        """Who brought this code. Raises OpenIdError, UnavailableError."""
        provider = await self._provider.get(self.client.issuer)
        body, login = tokens.token_request(self.client, provider, code, asked.verifier)
        given = tokens.tokens_of(await self._request("POST", provider.token, body, login))
        for keys in (self._keys, self._fresh):
            key = tokens.key_for(given[0], await keys.get(provider.keys))
            if key is not None:
                return tokens.identity(self.client, given, key, asked.nonce, now)
        raise OpenIdError("the ID token was signed with a key that the provider does not have")

    async def _ask_provider(self, issuer: str) -> Provider:
        return tokens.provider_of(issuer, await self._request("GET", tokens.well_known(issuer)))

    async def _ask_keys(self, url: str) -> Keys:
        return tokens.keys_of(await self._request("GET", url))

    async def _request(self, method: str, url: str, body: bytes = b"", login: tuple[str, str] | None = None) -> bytes:
        """The body of an answer. Redirects are not followed: no endpoint of a provider has any."""
        headers = [*_HEADERS, *_of_body(body, login)]
        waits = {"timeout": dict.fromkeys(("connect", "read", "write", "pool"), SECONDS)}
        try:
            async with (
                asyncio.timeout(SECONDS),
                httpcore.AsyncConnectionPool(self._tls, network_backend=self._network) as pool,
                pool.stream(method, url, headers=headers, content=body or None, extensions=waits) as answer,
            ):
                return _judged(url, answer.status, await _read(answer))
        except (OSError, httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError) as error:
            told = str(error) or str(error.__cause__ or type(error).__name__)
            raise UnavailableError(f"{url[:200]} does not answer: {told[:200]}") from error


def _of_body(body: bytes, login: tuple[str, str] | None) -> list[tuple[bytes, bytes]]:
    """Headers of a form, with a login."""
    headers = [(b"Content-Type", b"application/x-www-form-urlencoded")] if body else []
    if body:
        headers.append((b"Content-Length", b"%d" % len(body)))
    if login:
        headers.append((b"Authorization", b"Basic " + base64.b64encode(":".join(login).encode())))
    return headers


async def _read(answer: httpcore.Response) -> bytes:
    chunks: list[bytes] = []
    size = 0
    async for chunk in answer.aiter_stream():
        chunks.append(chunk)
        size += len(chunk)
        if size > LONGEST:
            raise OpenIdError(f"the provider answers with more than {LONGEST:,} bytes")
    return b"".join(chunks)


def _judged(url: str, status: int, body: bytes) -> bytes:
    if status >= 500:
        raise UnavailableError(f"{url[:200]} answers {status}")
    if status != 200 and status != 400 and status != 401:
        raise OpenIdError(f"{url[:200]} answers {status}")
    if status != 200:
        tokens.tokens_of(body)  # says which error it is
        raise OpenIdError(f"{url[:200]} answers {status}")
    return body
