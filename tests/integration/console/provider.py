"""A provider of OpenID Connect that signs with a real key, and does whatever a test wants it to."""

import base64
import hashlib
import json
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from aiohttp import web
from joserfc import jwt
from joserfc.jwk import RSAKey

from core.clock import SystemClock

CLIENT: Final = "postlane"
CLIENT_SECRET: Final = "a secret/of the client"  # of the test


@dataclass(slots=True)
class Grant:
    """A code, and what it is good for."""

    challenge: str
    redirect_uri: str
    claims: dict[str, Any]


@dataclass(slots=True)
class Provider:
    """The server, and what it says."""

    issuer: str = ""
    key: RSAKey = field(default_factory=lambda: RSAKey.generate_key(2048, {"kid": "one"}))
    shown: list[RSAKey] = field(default_factory=list)
    """The keys it shows; its own when there are none."""
    codes: dict[str, Grant] = field(default_factory=dict)
    asked: Counter[str] = field(default_factory=Counter)
    header: dict[str, Any] = field(default_factory=lambda: {"alg": "RS256"})
    signer: Any = None
    """Another key than its own to sign with."""
    metadata: dict[str, Any] = field(default_factory=dict)
    padding: int = 0
    """Bytes that make its metadata longer."""
    down: bool = False

    def authorize(self, url: str, **claims: Any) -> tuple[str, str]:
        """Somebody signs in there: the code and the state that their browser brings back."""
        asked = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
        assert (asked["response_type"], asked["client_id"], asked["code_challenge_method"]) == (
            "code", CLIENT, "S256",
        )  # fmt: skip
        now = int(SystemClock().now().timestamp())
        told = {
            "iss": self.issuer, "sub": "user-1", "aud": CLIENT, "iat": now, "exp": now + 300, "nonce": asked["nonce"],
            "email": "ada@acme.example", "email_verified": True,
        } | claims  # fmt: skip
        code = f"code-{len(self.codes)}"
        kept = {name: value for name, value in told.items() if value is not None}
        self.codes[code] = Grant(asked["code_challenge"], asked["redirect_uri"], kept)
        return code, asked["state"]

    async def tell(self, request: web.Request) -> web.Response:
        """Discovery."""
        self.asked["metadata"] += 1
        told = {
            "issuer": self.issuer, "authorization_endpoint": f"{self.issuer}/authorize?from=here",
            "token_endpoint": f"{self.issuer}/token", "jwks_uri": f"{self.issuer}/keys",
            "token_endpoint_auth_methods_supported": ["client_secret_basic"], "padding": "x" * self.padding,
        } | self.metadata  # fmt: skip
        return web.json_response(told, status=503 if self.down else 200)

    async def show_keys(self, request: web.Request) -> web.Response:
        """What it signs with."""
        self.asked["keys"] += 1
        return web.json_response({"keys": [key.as_dict(private=False) for key in self.shown or [self.key]]})

    async def exchange(self, request: web.Request) -> web.Response:
        """A code for tokens: once, for who began with it, and for us alone."""
        self.asked["token"] += 1
        form = await request.post()
        grant = self.codes.pop(str(form["code"]), None)
        login = base64.b64decode(request.headers["authorization"].removeprefix("Basic ")).decode()
        if login != f"{CLIENT}:a%20secret%2Fof%20the%20client":
            return web.json_response({"error": "invalid_client"}, status=401)
        if grant is None or _challenge(str(form["code_verifier"])) != grant.challenge:
            return web.json_response({"error": "invalid_grant"}, status=400)
        assert form["redirect_uri"] == grant.redirect_uri
        return web.json_response({"access_token": "a", "token_type": "Bearer", "id_token": self.signed(grant.claims)})

    def signed(self, claims: Mapping[str, Any]) -> str:
        """An ID token."""
        if self.header["alg"] == "none":
            parts = (json.dumps(part).encode() for part in (self.header, claims))
            return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts) + "."
        key = self.signer or self.key
        return jwt.encode({"kid": self.key.kid, **self.header}, dict(claims), key, algorithms=[self.header["alg"]])


def _challenge(verifier: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


@asynccontextmanager
async def providing() -> AsyncIterator[Provider]:
    """A provider on a free port of the loopback."""
    provider = Provider()
    app = web.Application()
    app.router.add_get("/.well-known/openid-configuration", provider.tell)
    app.router.add_get("/keys", provider.show_keys)
    app.router.add_post("/token", provider.exchange)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    provider.issuer = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield provider
    finally:
        await runner.cleanup()
