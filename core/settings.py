"""Every setting of Postlane, and the only reader of the environment.

Each field has a type, a default, a unit and a meaning; `docs/settings.md` is generated from this class
(`make docs`), and a test fails when the page is stale. Environment variables carry the prefix `POSTLANE_`;
a `.env` file in the working directory is read too.
"""

import os
import re
from functools import lru_cache
from ipaddress import ip_network
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, DotEnvSettingsSource, EnvSettingsSource, SettingsConfigDict

from core import broker
from core.addresses import AddressError, fold_domain
from core.errors import ConfigurationError
from core.secrets import InstanceSecret

_ORIGIN = re.compile(r"https?://(?:[a-z0-9.-]{1,253}|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?/?", re.I | re.A)


class Settings(BaseSettings):
    """Values in force for one process. Build it once at the edge and pass it (or parts of it) down."""

    model_config = SettingsConfigDict(env_prefix="POSTLANE_", env_file=".env", extra="ignore", frozen=True)

    # Servers
    database_url: str = Field(
        "",
        description="PostgreSQL 15 or newer, as `postgresql://user:password@host/db`; a primary with its standby: "
        "`@host1,host2/db?target_session_attrs=read-write`. Empty: embedded server.",
    )
    redis_url: str = Field(
        "",
        description="Valkey or Redis 7 or newer: `redis://:password@host:6379/0`, `rediss://` for TLS (verified; "
        "`?ssl_ca_certs=FILE` for a CA of your own), or `unix:///path/of.sock?db=0`. Empty: embedded server.",
    )
    data_dir: Path = Field(
        Path(".postlane"), description="Folder for embedded servers, outcome journals, logs and demo facts."
    )
    secret: SecretStr = Field(
        SecretStr(""),
        description="Instance secret, at least 32 bytes as hex. Encrypts DKIM keys and signs return paths. "
        "`postlane init` makes one; `postlane up` keeps one in the data folder.",
    )
    database_pool_size: int = Field(10, ge=2, le=200, description="PostgreSQL connections a process may hold.")

    # API
    api_host: str = Field("127.0.0.1", description="Address the API listens on.")
    api_port: int = Field(8025, ge=0, le=65535, description="Port the API listens on; 0 takes a free one.")
    api_public_url: str = Field(
        "",
        description="Where applications reach the API, as `https://api.example.com`, behind your TLS proxy: for what "
        "the console shows developers. Empty: this machine, by its port.",
    )
    api_requests_per_second: int = Field(
        5000, ge=0, description="Requests a second one API key may make to one API process; 0 is no limit."
    )
    api_workers: int = Field(1, ge=1, le=64, description="API processes behind one port.")
    api_connections: int = Field(
        800, ge=10, description="HTTP connections one API process keeps open; stay below its limit of open files."
    )
    api_connections_per_client: int = Field(
        400,
        ge=1,
        description="HTTP connections to one API process from one IPv4 address or IPv6 /64; a reverse proxy is one.",
    )
    max_message_bytes: int = Field(
        40 * 1024 * 1024, ge=1024, description="Largest email in bytes, attachments decoded and all parts together."
    )

    # Public pages
    public_url: str = Field(
        "",
        description="Where recipients reach the public pages (unsubscribing, preferences), as "
        "`https://mail.example.com`: a name of its own, behind your TLS proxy. "
        "Empty: marketing mail offers unsubscribing by mail only.",
    )
    public_host: str = Field("127.0.0.1", description="Address the public pages listen on.")
    public_port: int = Field(8026, ge=0, le=65535, description="Port the public pages listen on; 0 takes a free one.")
    public_connections: int = Field(
        800, ge=10, description="HTTP connections the public pages keep open; a reverse proxy may use all of them."
    )
    public_proxies: tuple[str, ...] = Field(
        ("127.0.0.1", "::1"),
        description="Reverse proxies in front of the public pages, as addresses or networks: from them, and from "
        "nobody else, `X-Forwarded-For` is believed.",
    )

    # Console
    console_url: str = Field(
        "",
        description="Where people reach the console, as `https://console.example.com`, behind your TLS proxy. Empty: "
        "this machine, by its port.",
    )
    console_host: str = Field("127.0.0.1", description="Address the console listens on.")
    console_port: int = Field(8027, ge=0, le=65535, description="Port the console listens on; 0 takes a free one.")
    console_proxies: tuple[str, ...] = Field(
        ("127.0.0.1", "::1"),
        description="Reverse proxies in front of the console, as addresses or networks: from them, and from nobody "
        "else, `X-Forwarded-For` is believed.",
    )
    console_passwords: bool = Field(
        True,
        description="Whether the console takes passwords. Without, people come in by the OpenID provider; "
        "`postlane console link` lets its owner in all the same.",
    )
    openid_issuer: str = Field(
        "",
        description="OpenID Connect provider that vouches for the console's users, as it calls itself: "
        "`https://login.example.com/realms/staff`. Wants `POSTLANE_CONSOLE_URL`; its addresses have to be public or in "
        "`POSTLANE_SERVER_NETWORKS`. Empty: none.",
    )
    openid_client_id: str = Field("", description="Our name at the provider.")
    openid_client_secret: SecretStr = Field(
        SecretStr(""), description="What the provider knows us by; empty for a public client, which PKCE alone guards."
    )
    openid_label: str = Field("Sign in with single sign-on", description="What stands on its button.")
    openid_role_claim: str = Field(
        "",
        description="Claim of the ID token that gives people a role here, such as `groups`. Empty: only users whom "
        "somebody has added come in, by their verified address.",
    )
    openid_roles: tuple[str, ...] = Field(
        (), description='Its values and their roles, the highest first: `["postlane-admins=admin", "mail=operator"]`.'
    )

    # Sending
    hostname: str = Field(
        "localhost", description="Public name of this server: Message-ID domain and target of the return path MX."
    )
    smtp_port: int = Field(25, ge=1, le=65535, description="Port of the receiving mail servers; 25 but for practice.")
    dns_servers: tuple[str, ...] = Field(
        (), description='Name servers as `["127.0.0.1:5353"]`; empty takes the system\'s. Run a local cache.'
    )
    ipv6: bool = Field(
        True,
        description="Send over IPv6 too, where a pool has an IPv6 address. Off: AAAA records are not seen.",
    )
    providers_file: Path | None = Field(None, description="Own mailbox providers in TOML, read after the shipped ones.")
    rules_file: Path | None = Field(
        None, description="Own reply rules in TOML, asked before the shipped ones; re-read when it changes."
    )
    loops_file: Path | None = Field(None, description="Own feedback loops in TOML, added to the shipped ones.")
    recovery_step_seconds: float = Field(
        60.0, gt=0, description="Seconds between two steps of the rate of an IP that comes back from a throttle."
    )
    shortest_rest_seconds: float = Field(
        30.0, ge=0, description="Least seconds an IP rests at a provider that throttled it. Lower only for practice."
    )
    simulator: bool = Field(
        False, description="Practice mode: mail may go to loopback addresses. Never set it on a server for real mail."
    )
    return_path_label: str = Field(
        "bounce", description="Label in front of the sender domain that receives bounces: `bounce.example.com`."
    )
    tls_verify_store: Path | None = Field(
        None, description="CA bundle for outgoing STARTTLS; empty takes the system's."
    )
    connections_per_host: int = Field(
        10,
        ge=1,
        le=1000,
        description="Connections all workers together open from one IP to one mail server; a provider's own limit "
        "holds when it is lower.",
    )
    messages_per_connection: int = Field(500, ge=1, description="Mails sent through a connection before a new one.")
    connection_idle_seconds: float = Field(30.0, gt=0, description="Seconds an unused connection is kept open.")

    # Workers
    worker_concurrency: int = Field(
        16, ge=1, le=256, description="Batches one worker process has under way at the same time."
    )
    claim_batch: int = Field(200, ge=1, le=1000, description="Mails a batch claims at most.")
    lease_seconds: float = Field(
        60.0, ge=5, description="Seconds after which the claim of a dead worker ends and its mail is due again."
    )
    batch_seconds: float = Field(
        90.0, ge=1, description="Seconds after which a batch starts no further mail and gives the rest back."
    )
    outcome_flush_ms: float = Field(
        50.0,
        ge=0,
        description="Milliseconds outcomes are collected before one commit; up to three times as long when busy.",
    )
    marketing_nice: int = Field(
        10,
        ge=0,
        le=19,
        description="Niceness of marketing workers, so that transactional mail gets the processor first.",
    )

    # Suppression
    soft_bounce_count: int = Field(
        5,
        ge=0,
        le=1000,
        description="Emails in a row that a mailbox fails without being dead (full, locked) before its address is "
        "suppressed; a delivery begins anew. 0: never.",
    )
    soft_bounce_days: int = Field(
        3, ge=1, le=100, description="Different days that these emails must be spread over, at least."
    )
    soft_bounce_rest_days: int = Field(
        90, ge=0, le=3650, description="Days such an address stays suppressed; 0: until somebody removes the entry."
    )
    complaints_for: str = Field(
        "everybody",
        pattern="^(everybody|application)$",
        description="Whose mail a complaint forbids: `everybody`'s on this server, or only that of the `application` "
        "whose mail was complained about.",
    )

    # Contacts
    api_contacts: str = Field(
        "confirmed",
        pattern="^(confirmed|unconfirmed)$",
        description="What a contact is that an application makes with its key: `confirmed` by the application's word, "
        "or `unconfirmed`, until they sign up by a form or say yes to an import, where applications are not trusted.",
    )
    unconfirmed_days: int = Field(
        0, ge=0, le=3650, description="Days a contact that nobody confirmed is kept; 0: for ever."
    )
    contact_history_days: int = Field(
        365, ge=1, le=36500, description="Days the history of a deleted contact is kept; it names no address."
    )

    # Retention
    content_days: int = Field(7, ge=1, description="Days the content of a mail is kept.")
    event_days: int = Field(
        90, ge=30, description="Days emails, their messages and events are kept; mail may be scheduled 30 days ahead."
    )
    inbound_megabytes: int = Field(
        2_000, ge=1, description="Megabytes of mail that came back kept to be looked at; beyond them the oldest goes."
    )

    # Images of mail
    image_megabytes: int = Field(
        500, ge=0, le=1_000_000, description="Megabytes of images that one application may store; each has at most 2."
    )

    # Sign-up
    signups_an_hour: int = Field(
        2_000,
        ge=1,
        description="Sign-ups an hour that one form takes; while Redis is away, in each process of the public pages.",
    )
    confirmation_days: int = Field(
        7, ge=1, le=90, description="Days a sign-up waits for its confirmation before it is forgotten."
    )
    confirmation_reminder_days: int = Field(
        3, ge=0, le=90, description="Days after which somebody who has not confirmed is reminded once; 0: never."
    )
    confirmation_pool: str = Field(
        "",
        description="Reserved pool of the transactional lane that the confirmations of imported people leave through, "
        "and no other mail. Empty: imports send none.",
    )
    confirmations_an_hour: int = Field(
        1_000, ge=1, le=1_000_000, description="Confirmations an hour to imported people, all imports together."
    )

    # Webhooks
    webhook_networks: tuple[str, ...] = Field(
        (),
        description='Networks of yours that webhooks may go to, by http too, as `["10.0.0.0/8"]`. Anything else has to '
        "be public, and is spoken to by https only.",
    )
    webhook_days: int = Field(
        7,
        ge=4,
        description="Days events of webhooks are kept, with what became of each try. The tries themselves take more "
        "than three.",
    )

    # Request log
    request_log_days: int = Field(
        7,
        ge=0,
        le=400,
        description="Days requests to the API are kept, without what they say; 0: none.",
    )
    request_log_per_second: int = Field(
        10,
        ge=0,
        description="Requests a second of each application that are kept when they succeed, by each API process. What "
        "is more is counted only. Of those that fail up to 50 are kept.",
    )

    # Servers that operators name
    server_networks: tuple[str, ...] = Field(
        ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7"),
        description="Networks, besides public addresses, that relays, the server of alarm mail, the mailboxes of seed "
        "accounts and the OpenID provider may be in. This machine itself has to be named: `127.0.0.0/8`.",
    )

    # Sandbox
    sandbox_domain: str = Field(
        "sandbox.example",
        description="Domain of the simulated recipients (`bounced@sandbox.example`). Nothing is ever sent there.",
    )
    sandbox_days: int = Field(7, ge=1, description="Days a captured mail is kept.")
    sandbox_megabytes: int = Field(
        200, ge=1, description="Megabytes of captured mail kept for each application; beyond them the oldest goes."
    )

    # Watching
    metrics_host: str = Field("127.0.0.1", description="Address `/metrics` and `/healthz` of workers listen on.")
    metrics_port: int = Field(
        0, ge=0, le=65535, description="Port of `/metrics` and `/healthz` of this process; 0 takes a free one."
    )
    traces_url: str = Field(
        "",
        description="Collector that takes traces by OTLP over HTTP, as `http://127.0.0.1:4318`; `/v1/traces` is put "
        "behind it. What it wants in headers stands in `OTEL_EXPORTER_OTLP_HEADERS`. Empty: no traces.",
    )
    traces_share: float = Field(
        0.01, ge=0, le=1, description="Share of mail that is traced, where its caller says nothing of it."
    )
    log_level: str = Field("info", pattern="^(debug|info|warning|error)$", description="Least level logged.")
    log_mask_addresses: bool = Field(True, description="Mask the local part of addresses in logs (`b***@example.com`).")

    # Inbound
    inbound_host: str = Field("127.0.0.1", description="Address the inbound listener (bounces, submission) binds.")
    inbound_port: int = Field(2525, ge=0, le=65535, description="Port for bounces; 25 on a server, 0 takes a free one.")
    submission_port: int = Field(
        2587,
        ge=0,
        le=65535,
        description="Port for SMTP submission with an API key; 587 on a server, 0 takes a free one.",
    )
    submissions_port: int = Field(
        2465,
        ge=0,
        le=65535,
        description="Port for the same with TLS from the first byte; 465 on a server, 0 takes a free one.",
    )

    @property
    def image_bytes(self) -> int:
        """Bytes of images that one application may store."""
        return self.image_megabytes * 1024 * 1024

    @property
    def console_in_clear(self) -> bool:
        """Whether other machines reach the console, and nothing says that they do so by TLS."""
        local = self.console_host in ("127.0.0.1", "::1", "localhost")
        own = urlsplit(self.console_url).hostname in (None, "127.0.0.1", "::1", "localhost")
        return not self.console_url.startswith("https:") and not (local and own)

    @property
    def public_name(self) -> str:
        """Host name of the public pages, "" without them."""
        return urlsplit(self.public_url).hostname or ""

    @field_validator("secret")
    @classmethod
    def _long_enough(cls, value: SecretStr) -> SecretStr:
        text = value.get_secret_value()
        try:
            if text:
                InstanceSecret.from_text(text)
        except ConfigurationError as error:
            raise ValueError(f"must be at least 32 bytes as hex; `postlane init` makes one. {error}") from None
        return value

    @field_validator("api_public_url", "public_url", "console_url")
    @classmethod
    def _an_origin(cls, value: str) -> str:
        if value and not _ORIGIN.fullmatch(value):
            raise ValueError("must be like https://mail.example.com, without a path")
        return value.rstrip("/").lower()

    @field_validator("traces_url")
    @classmethod
    def _collector(cls, value: str) -> str:
        parts = urlsplit(value)
        if value and (parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.username):
            raise ValueError("must be like http://127.0.0.1:4318")
        return value.rstrip("/").removesuffix("/v1/traces")

    @field_validator("public_proxies", "console_proxies", "webhook_networks", "server_networks")
    @classmethod
    def _networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for text in value:
            ip_network(text, strict=False)
        return value

    @field_validator("openid_issuer")
    @classmethod
    def _issuer(cls, value: str) -> str:
        parts = urlsplit(value)
        here = parts.scheme == "http" and parts.hostname in ("127.0.0.1", "::1", "localhost")
        if value and (not parts.hostname or parts.query or parts.fragment or not (parts.scheme == "https" or here)):
            raise ValueError("must be like https://login.example.com, exactly as the provider calls itself")
        return value

    @field_validator("openid_roles")
    @classmethod
    def _roles(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for text in value:
            if text.rpartition("=")[2] not in ("admin", "operator", "marketer", "developer", "viewer"):
                raise ValueError(f"{text!r} must be a value and its role, such as mail=operator")
        return value

    @field_validator("sandbox_domain")
    @classmethod
    def _domain(cls, value: str) -> str:
        try:
            return fold_domain(value)
        except AddressError as error:
            raise ValueError(error.reason) from None

    @field_validator("database_url")
    @classmethod
    def _postgresql(cls, value: str) -> str:
        if value and not value.startswith(("postgresql://", "postgres://")):
            raise ValueError("must be a URL that begins with postgresql://")
        return value

    @field_validator("redis_url")
    @classmethod
    def _redis(cls, value: str) -> str:
        if value:
            broker.read(value)
        return value


@lru_cache(maxsize=1)
def load() -> Settings:
    """Settings of this process, from the environment and `.env`. Raises pydantic's ValidationError on a bad value."""
    return Settings()


def given() -> tuple[dict[str, str], dict[str, str]]:
    """What the environment gives, and what `.env` does: our variables, by name in capitals, settings or not. Raises
    OSError and UnicodeDecodeError where `.env` cannot be read."""
    prefix = str(Settings.model_config["env_prefix"])
    sources = EnvSettingsSource(Settings).env_vars, DotEnvSettingsSource(Settings).env_vars
    environment, file = (
        {name.upper(): value or "" for name, value in source.items() if name.upper().startswith(prefix)}
        for source in sources
    )
    return environment, file


def given_by(file: Path) -> dict[str, str]:
    """What a file says that is written as `.env` is: our variables by name in capitals. Raises OSError and
    UnicodeDecodeError."""
    prefix = str(Settings.model_config["env_prefix"])
    found = DotEnvSettingsSource(Settings, env_file=file).env_vars
    return {name.upper(): value or "" for name, value in found.items() if name.upper().startswith(prefix)}


def worker_name() -> str:
    """Identity of this worker across restarts (journal and leases): `POSTLANE_WORKER_NAME`, else the host name."""
    return os.environ.get("POSTLANE_WORKER_NAME", os.uname().nodename)
