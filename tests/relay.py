"""A mail server that takes mail after a login, as vendors run one: aiosmtpd with AUTH, by STARTTLS or by TLS."""

import asyncio
import ssl
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import trustme
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

USER, PASSWORD = "shop", "p@ss/word"
LOGIN = "shop:p%40ss%2Fword"


class Relay:
    """What the server is told to say, and what it took."""

    def __init__(self) -> None:
        self.taken: list[Envelope] = []
        self.rcpt = "250 OK"
        self.dot = "250 2.0.0 Ok: queued as 4F1"
        self.passwords = 0

    async def handle_RCPT(
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _o: list[str]
    ) -> str:
        if self.rcpt.startswith("2"):
            envelope.rcpt_tos.append(address)
        return self.rcpt

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:
        self.taken.append(envelope)
        return self.dot

    def authenticate(self, _s: SMTP, _session: Session, _e: Envelope, _mechanism: str, data: Any) -> AuthResult:
        self.passwords += 1
        good = isinstance(data, LoginPassword) and (data.login, data.password) == (USER.encode(), PASSWORD.encode())
        return AuthResult(success=good, handled=False)


@asynccontextmanager
async def serving(relay: Relay, certificate: trustme.LeafCert, scheme: str) -> AsyncIterator[int]:
    """A server for this scheme in the test's own loop; its port on 127.0.0.1."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    # aiosmtpd knows TLS from STARTTLS only: behind implicit TLS it must not ask for it.
    starttls = {"tls_context": context, "require_starttls": True} if scheme == "smtp+tls" else {}
    loop = asyncio.get_running_loop()

    def session() -> SMTP:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that AUTH without STARTTLS is unwise, which behind implicit TLS it is not
            return SMTP(
                relay, hostname="localhost", authenticator=relay.authenticate, auth_required=True,
                auth_require_tls=scheme == "smtp+tls", loop=loop, **starttls,
            )  # fmt: skip

    server = await loop.create_server(session, "127.0.0.1", 0, ssl=context if scheme == "smtps" else None)
    yield server.sockets[0].getsockname()[1]
    server.close()
    await asyncio.sleep(0.05)  # the server's side sees the end of its connections
