"""`postlane doctor`: is this installation fit to send, and if not, what to do.

Each check is a function that gives one finding or several; a check never stops the others. Exit status 1 when one of
them failed.
"""

import asyncio
import socket
import sys
import time
import urllib.request
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from functools import partial
from http.client import HTTPException
from pathlib import Path

import psycopg
import typer
from sqlalchemy.exc import SQLAlchemyError

from accounts.openid import OpenIdError
from accounts.senders import Sender, key_context, verified_senders
from accounts.verify import refused_now
from cli import context
from cli.checks.environment import environment
from cli.checks.findings import Finding, Level
from cli.checks.name_servers import name_servers
from cli.checks.running import running
from cli.output import Column, JsonOption, emit
from cli.sessions import quiet_pools
from core import valkey
from core.errors import PostlaneError, UnavailableError
from core.secrets import InstanceSecret
from core.settings import Settings
from core.version import version
from mta.from_settings import known_providers, make_resolver, own_servers
from mta.model import EgressIp
from mta.relay import relay_trouble
from mta.resolve import DnsUnavailableError, Resolver
from pools.ips import ip_rows
from store import migrate, revisions
from store.database import Database
from store.revisions import Tables

CLOCK_SECONDS = 2.0
"""Clocks of servers may differ by this much; more and mail for now looks like mail for later."""


_PROBED = "gmail-smtp-in.l.google.com"

_DATABASE = "start the server, or correct POSTLANE_DATABASE_URL"

_RESOLVER = "run a resolver here, such as unbound, and name it: POSTLANE_DNS_SERVERS='[\"127.0.0.1:53\"]'"


_MARKS = {Level.OK: "✓ ok", Level.WARNING: "! warning", Level.FAILED: "✗ failed"}
_COLUMNS = (
    Column("check", style="bold"),
    Column("level", "", show=lambda level: _MARKS[Level(level)], drop=0),
    Column("found", wrap=True, drop=0),
    Column("do", "what to do", style="cyan", wrap=True, drop=0),
)


def doctor(as_json: JsonOption = False) -> None:
    """Check servers, versions, clock, DNS, ports, keys and PTR, and say what to do."""
    findings = [*_software(), *environment()]
    try:
        settings = context.complete(context.read())
    except PostlaneError as error:
        findings.append(Finding("settings", Level.FAILED, str(error), "correct it and run the doctor again"))
    else:
        findings += [*_secret(settings), *_database(settings), *_keys(settings), *_redis(settings), *_data(settings)]
        findings += [*_public(settings), _console(settings), *asyncio.run(running(settings))]
        findings += asyncio.run(_network(settings))
    emit(findings, as_json=as_json, columns=_COLUMNS)
    if any(finding.level is Level.FAILED for finding in findings):
        raise typer.Exit(1)


def _software() -> Iterator[Finding]:
    python = ".".join(str(part) for part in sys.version_info[:3])
    yield Finding("version", Level.OK, f"Postlane {version()} on Python {python}")


def _secret(settings: Settings) -> Iterator[Finding]:
    text = settings.secret.get_secret_value()
    if not text:
        yield Finding("secret", Level.FAILED, "POSTLANE_SECRET is not set", "`postlane init` makes one; keep a copy")
        return
    try:
        InstanceSecret.from_text(text)
    except PostlaneError as error:
        yield Finding("secret", Level.FAILED, str(error), "restore it from your backup")
        return
    yield Finding("secret", Level.OK, "set")


def _database(settings: Settings) -> Iterator[Finding]:
    if not settings.database_url:
        yield Finding("postgresql", Level.FAILED, "no server", "`postlane up`, or set POSTLANE_DATABASE_URL")
        return
    try:
        with psycopg.connect(settings.database_url, connect_timeout=3, autocommit=True) as connection:
            yield from _server(connection)
        yield from _schema(settings)
    except (psycopg.Error, SQLAlchemyError, PostlaneError) as error:
        yield Finding("postgresql", Level.FAILED, " ".join(str(error).split()), _DATABASE)


def _server(connection: psycopg.Connection) -> Iterator[Finding]:
    number = connection.info.server_version
    level = Level.OK if number >= 150000 else Level.FAILED
    yield Finding("postgresql", level, f"version {number // 10000}", "" if level is Level.OK else "use 15 or newer")
    row = connection.execute("SELECT now(), current_setting('fsync')").fetchone()
    assert row is not None
    apart = abs((datetime.now(UTC) - row[0]).total_seconds())
    level = Level.OK if apart < CLOCK_SECONDS else Level.FAILED
    do = "" if level is Level.OK else "set up NTP on both"
    yield Finding("clock", level, f"{apart:.1f} s from the database's", do)
    if row[1] != "on":
        yield Finding("durability", Level.FAILED, "fsync is off: a power cut loses accepted mail", "set fsync = on")


def _schema(settings: Settings) -> Iterator[Finding]:
    current = migrate.current(settings.database_url)
    match revisions.compare(current):
        case Tables.SAME:
            yield Finding("schema", Level.OK, f"revision {current}")
        case Tables.NEWER:
            told = f"revision {current}, and this version knows {revisions.newest()}: a newer one has migrated"
            yield Finding("schema", Level.WARNING, told, "works on; upgrade this host's Postlane next")
        case _:
            told = f"revision {current or 'none'}, needs {revisions.newest()}"
            yield Finding("schema", Level.FAILED, told, "`postlane migrate`")


def _keys(settings: Settings) -> Iterator[Finding]:
    """Another secret than the one the DKIM keys were sealed with lets everything start, and no mail be signed."""
    if not settings.database_url:
        return  # "" would be libpq's own default: somebody's server on this host, and not ours
    try:
        secret = InstanceSecret.from_text(settings.secret.get_secret_value())
        with psycopg.connect(settings.database_url, connect_timeout=3) as connection:
            rows = connection.execute(
                "SELECT domain_id, selector, sealed_private_key FROM dkim_keys WHERE state <> 'retired'"
            ).fetchall()
    except (psycopg.Error, PostlaneError):
        return  # said by the checks before
    shut = 0
    for domain_id, selector, sealed in rows:
        try:
            secret.open(bytes(sealed), key_context(domain_id, selector))
        except PostlaneError:
            shut += 1
    if shut:
        do = "set POSTLANE_SECRET to the one they were made with (your backup), or make the domains anew"
        yield Finding("keys", Level.FAILED, f"{shut} of {len(rows)} DKIM keys cannot be opened", do)
    else:
        yield Finding("keys", Level.OK, f"{len(rows)} DKIM keys can be opened")


def _redis(settings: Settings) -> Iterator[Finding]:
    if not settings.redis_url:
        yield Finding("valkey", Level.FAILED, "no server", "`postlane up`, or set POSTLANE_REDIS_URL")
        return
    try:
        told = valkey.facts(settings.redis_url)
    except UnavailableError as error:
        yield Finding("valkey", Level.WARNING, str(error), "mail is accepted and waits until it is back")
        return
    yield Finding("valkey", Level.OK, f"version {told.version}")
    if told.evicts:
        yield Finding("valkey memory", Level.FAILED, f"evicts keys ({told.evicts})", "set maxmemory-policy noeviction")


def _data(settings: Settings) -> Iterator[Finding]:
    folder = settings.data_dir
    if not folder.exists():
        yield Finding("data folder", Level.OK, f"{folder} will be made")
        return
    probe = folder / ".doctor"
    try:
        probe.write_bytes(b"x" * 4096)
        probe.unlink()
    except OSError as error:
        yield Finding("data folder", Level.FAILED, f"{folder}: {error}", "journals need a writable folder with room")
        return
    yield Finding("data folder", Level.OK, str(Path(folder).resolve()))


def _public(settings: Settings) -> Iterator[Finding]:
    """Whether recipients reach the pages that mail names."""
    url = settings.public_url
    if not url:
        found = "POSTLANE_PUBLIC_URL is not set: marketing mail offers unsubscribing by mail only"
        yield Finding("public pages", Level.WARNING, found, "give them a name: docs/unsubscribing.md")
        return
    try:
        with urllib.request.urlopen(f"{url}/healthz", timeout=3):
            found = f"{url} answers"
    except (OSError, HTTPException) as error:
        do = "start `postlane public`, and let the proxy pass that name to its port"
        yield Finding("public pages", Level.FAILED, f"{url} does not answer: {error}", do)
        return
    if settings.simulator or url.startswith("https:"):
        yield Finding("public pages", Level.OK, found)
    else:
        do = "put a TLS proxy in front"
        yield Finding("public pages", Level.WARNING, f"{found} without TLS: one-click wants https", do)


def _console(settings: Settings) -> Finding:
    """Whether passwords go to the console in clear."""
    at = settings.console_url or f"{settings.console_host}, port {settings.console_port}"
    if settings.console_in_clear:
        do = "put a TLS proxy in front, and set POSTLANE_CONSOLE_URL to its https address: docs/console.md"
        return Finding("console", Level.WARNING, f"{at}: without TLS, passwords go in clear", do)
    return Finding("console", Level.OK, at)


async def _network(settings: Settings) -> list[Finding]:
    try:
        resolver = make_resolver(settings, known_providers(settings))
    except PostlaneError as error:
        return [Finding("dns", Level.FAILED, str(error), "check POSTLANE_DNS_SERVERS and the providers file")]
    findings = [finding async for finding in _dns(settings, resolver)]
    findings += await name_servers(settings)
    findings += [finding async for finding in _openid(settings, resolver)]
    findings += [finding async for finding in _ips(settings, resolver)]
    findings += await _sending(settings, resolver)
    if not settings.simulator:
        findings.append(await asyncio.to_thread(_port_25, settings))
    return findings


async def _openid(settings: Settings, resolver: Resolver) -> AsyncIterator[Finding]:
    """Whether people can sign in by the provider that is named; nothing where none is."""
    if not settings.openid_issuer:
        return
    from accounts.openid_provider import OpenIdProvider  # with its libraries, a fifth of a second

    if not settings.openid_client_id:
        do = "register the console there, and set what it calls us: docs/console.md"
        yield Finding("openid", Level.FAILED, "POSTLANE_OPENID_CLIENT_ID is not set", do)
        return
    try:
        await OpenIdProvider.of(settings, resolver).look()
    except OpenIdError as error:
        do = "set POSTLANE_OPENID_ISSUER exactly as the provider calls itself: docs/console.md"
        yield Finding("openid", Level.FAILED, str(error), do)
    except UnavailableError as error:
        do = "is it up, may we go there (POSTLANE_SERVER_NETWORKS)? `postlane console link` lets people in meanwhile"
        yield Finding("openid", Level.FAILED, str(error), do)
    else:
        yield Finding("openid", Level.OK, f"{settings.openid_issuer} answers and shows its keys")


async def _dns(settings: Settings, resolver: Resolver) -> AsyncIterator[Finding]:
    name = "gmail.sim" if settings.simulator else "gmail.com"
    started = time.monotonic()
    try:
        found = await resolver.mx(name)
    except DnsUnavailableError as error:
        yield Finding("dns", Level.FAILED, f"{_servers(settings)}: {error}", _RESOLVER)
        return
    took = (time.monotonic() - started) * 1000
    if found:
        yield Finding("dns", Level.OK, f"MX of {name} in {took:.0f} ms")
    else:
        what = f"{_servers(settings)} say that {name} has no MX, and it has: no mail would find its way"
        yield Finding("dns", Level.FAILED, what, _RESOLVER)


def _servers(settings: Settings) -> str:
    """Whom we ask."""
    named = ", ".join(settings.dns_servers)
    return f"the name servers {named}" if named else "the system's name servers"


async def _ips(settings: Settings, resolver: Resolver) -> AsyncIterator[Finding]:
    for address, bind, ehlo in await asyncio.to_thread(_egress, settings):
        yield _bindable(address, bind)
        if settings.simulator:
            continue
        try:
            names = await resolver.ptr(address)
            forward = await resolver.addresses(ehlo)
        except (DnsUnavailableError, ValueError) as error:
            yield Finding(f"ptr {address}", Level.WARNING, str(error), "try again")
            continue
        if ehlo.lower() in names and address in forward:
            yield Finding(f"ptr {address}", Level.OK, f"{ehlo}, both ways")
        else:
            what = f"PTR {', '.join(names) or 'missing'}; A of {ehlo}: {', '.join(forward) or 'missing'}"
            yield Finding(f"ptr {address}", Level.FAILED, what, f"set PTR to {ehlo}, and its A to {address}")


def _egress(settings: Settings) -> list[tuple[str, str, str]]:
    if not settings.database_url:
        return []
    try:
        with psycopg.connect(settings.database_url, connect_timeout=3) as connection:
            rows = connection.execute(
                "SELECT address, bind_address, ehlo_name FROM egress_ips"
                " WHERE active AND connections IS NULL ORDER BY 1"
            )
            return [(str(address), str(bind), str(ehlo)) for address, bind, ehlo in rows.fetchall()]
    except psycopg.Error:
        return []  # the database check has said so already


async def _sending(settings: Settings, resolver: Resolver) -> list[Finding]:
    """Relays let us in, and what is signed now for each verified domain verifies."""
    if not settings.database_url:
        return []  # the database check has said so already
    quiet_pools()
    try:
        secret = context.instance_secret(settings)
        database = Database(settings.database_url, size=1, name="postlane-doctor")
        await database.open()
    except PostlaneError:
        return []  # said by the checks before
    try:
        async with database.connection() as connection:
            relays = [row.egress(secret) for row in await ip_rows(connection) if row.active and row.limits is not None]
            senders = await verified_senders(connection, secret)
    except (PostlaneError, psycopg.Error):
        return []  # no server, no schema or another secret: said by the checks before
    finally:
        await database.close()
    asked = partial(relay_trouble, ca_file=settings.tls_verify_store, guard=own_servers(settings))
    found = [_relay(relay, await asked(relay)) for relay in relays]
    return found + [_signature(sender, await refused_now(resolver, sender)) for sender in senders]


def _relay(relay: EgressIp, trouble: str) -> Finding:
    if trouble:
        return Finding(
            f"relay {relay.address}", Level.FAILED, trouble, f"`postlane ips update {relay.address} --via …`"
        )
    return Finding(f"relay {relay.address}", Level.OK, "lets us in")


def _signature(sender: Sender, refused: dict[str, str] | None) -> Finding:
    check = f"dkim {sender.name}"
    if refused is None:
        return Finding(check, Level.WARNING, "no name server answered for its keys", "run the doctor again")
    for name, why in refused.items():
        do = f"`postlane domains verify {sender.name}` shows the record to publish"
        return Finding(check, Level.FAILED, f"mail signed now does not verify against {name}: {why}", do)
    return Finding(check, Level.OK, "mail signed now verifies")


def _bindable(address: str, bind: str) -> Finding:
    family = socket.AF_INET6 if ":" in bind else socket.AF_INET
    with socket.socket(family) as probe:
        try:
            probe.bind((bind, 0))
        except OSError as error:
            return Finding(f"ip {address}", Level.WARNING, f"{bind}: {error.strerror}", "is it on this host? add it")
    return Finding(f"ip {address}", Level.OK, f"bound to {bind}" if bind != address else "can be bound here")


def _port_25(settings: Settings) -> Finding:
    """Many hosters block outgoing port 25; knowing that saves a day."""
    try:
        with socket.create_connection((_PROBED, settings.smtp_port), timeout=5) as connection:
            banner = connection.recv(3)
    except socket.gaierror as error:
        what = f"cannot be tried: {_PROBED} has no address here ({error.strerror})"
        return Finding("port 25", Level.WARNING, what, "see the line about dns: this host's own resolver counts here")
    except OSError as error:
        return Finding("port 25", Level.FAILED, f"outgoing SMTP is blocked: {error}", "ask your hoster to open port 25")
    return Finding("port 25", Level.OK if banner == b"220" else Level.WARNING, "outgoing SMTP works")
