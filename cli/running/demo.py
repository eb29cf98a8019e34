"""The demo of `postlane up --demo`: an application with a key, a verified sender domain, two pools, and mail to watch.

Owns what is special about the demo. Everything goes the way of real use: the domain's records stand in the practice
internet's DNS and are verified there, the mail goes in through the HTTP API with the demo's key, and webhooks go to an
application in the practice internet. What a script needs to know is in `demo.json` in the data folder; a second start
finds its application, key, domain and endpoint again.
"""

import asyncio
import contextlib
import json
import socket
import threading
import urllib.request
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
from rich.console import RenderableType
from rich.text import Text

from accounts import repository as accounts
from accounts.directory import Directory
from accounts.domain import Domain
from accounts.records import domain_records, operator_spf
from accounts.verify import Installation, fresh_resolver, verify_domain
from cli.context import CHECKOUT
from cli.running import demo_people, free_ports
from cli.running.demo_mail import BATCH, BURST, DOMAIN, RECIPIENT_DOMAINS, SENDER, offer, welcome
from cli.running.processes import Service
from cli.running.stack import Stack, command
from cli.running.supervisor import ServiceState, Status
from core.errors import ConfigurationError, PostlaneError
from core.queues import Lane
from core.secrets import InstanceSecret
from core.settings import Settings
from mta.model import EgressIp
from pools.repository import ensure_pool
from simulator import client as simulator
from store.database import Connection, Database

__all__ = ["APPLICATION", "DOMAIN", "HOSTNAME", "SENDER", "Practice", "Show", "demo_ips", "prepare"]

APPLICATION = "Demo"
HOSTNAME = "mail.postlane.sim"
WHAT_COMES_BACK = (
    "email.bounced", "email.complained", "email.unsubscribed", "email.opened", "email.clicked", "email.suppressed",
    "suppression.added", "suppression.removed", "contact.topics.updated",
)  # fmt: skip
"""What the demo's application wants to be told. Not each delivery: 2,000 of them would push the rest out of sight."""
_ENDPOINT = "/ok/acme"
"""Path of its endpoint, by which a second start finds it."""


@dataclass(frozen=True, slots=True)
class Ports:
    """Loopback ports that stay what they are from start to start, while they are free: mail that was deferred finds its
    servers again, and links and addresses in mail that was sent lead to where they led."""

    dns: int = 0
    smtp: int = 0
    inbound: int = 0
    """Where the practice internet brings bounces and complaints."""
    webhooks: int = 0


@dataclass(frozen=True, slots=True)
class Practice:
    """The demo's own part of the stack."""

    service: Service
    env: Mapping[str, str]
    settings: Settings
    """As the demo's processes see them."""
    api_key: str
    first_time: bool
    ports: Ports


def refuse_strangers(database_url: str) -> None:
    """Raises ConfigurationError when a database that was named holds more than a demo: the demo's application, IPs and
    mail would stand beside somebody's real ones. Asked before anything is changed there."""
    try:
        with psycopg.connect(database_url, connect_timeout=5) as connection:
            if connection.execute("SELECT to_regclass('applications')").fetchone() == (None,):
                return
            known = [APPLICATION, accounts.OPERATORS]
            row = connection.execute("SELECT name FROM applications WHERE name <> ALL(%s)", [known]).fetchone()
    except psycopg.OperationalError:
        return  # whoever needs it next says so, and why
    if row is not None:
        raise ConfigurationError(
            f"POSTLANE_DATABASE_URL names a database in use: it holds the application {row[0]!r}, and the demo would "
            "be put beside it. Unset the variable, so that the demo brings its own server, or name an empty database; "
            "without --demo `postlane up` serves what is there."
        )


def prepare(settings: Settings) -> Practice:
    """Make (or find again) everything the demo needs in the database, and the simulator's zone file."""
    data_dir = settings.data_dir
    ports = _ports(data_dir)
    if "inbound_port" in settings.model_fields_set and settings.inbound_port:
        ports = replace(ports, inbound=settings.inbound_port)
    env = {
        "POSTLANE_SIMULATOR": "true",
        "POSTLANE_HOSTNAME": HOSTNAME,
        "POSTLANE_DNS_SERVERS": json.dumps([f"127.0.0.1:{ports.dns}"]),
        "POSTLANE_SMTP_PORT": str(ports.smtp),
        "POSTLANE_WEBHOOK_NETWORKS": json.dumps([*settings.webhook_networks, "127.0.0.0/8"]),
        "POSTLANE_SERVER_NETWORKS": json.dumps([*settings.server_networks, "127.0.0.0/8"]),
        "POSTLANE_PROVIDERS_FILE": str(CHECKOUT / "simulator" / "providers.toml"),
    }
    known = _known_key(data_dir)
    key, fresh = asyncio.run(_bootstrap(settings, known))
    state = data_dir / "simulator.json"
    state.unlink(missing_ok=True)
    service = Service(
        "simulator",
        command(
            "simulator", "run", "--state", str(state), "--zones", str(_zones_file(data_dir)),
            "--dns-port", str(ports.dns), "--smtp-port", str(ports.smtp), "--report-port", str(ports.inbound),
            "--webhook-port", str(ports.webhooks),
        ),
        {"PYTHONPATH": str(CHECKOUT), "PYTHONUNBUFFERED": "1"},
        ready=state.exists,
        ready_timeout=30.0,
    )  # fmt: skip
    seen = settings.model_copy(
        update={"dns_servers": (f"127.0.0.1:{ports.dns}",), "hostname": HOSTNAME, "simulator": True}
    )
    return Practice(service, env, seen, key, fresh, ports)


def _ports(data_dir: Path) -> Ports:
    """Those of last time as far as they are free, else others."""
    file = data_dir / "demo-ports.json"
    try:
        known = dict(json.loads(file.read_text()))
        wanted = {field.name: int(known.get(field.name, 0)) for field in fields(Ports)}
    except (OSError, ValueError, TypeError):
        wanted = {}
    fresh = free_ports.take(len(fields(Ports)))
    ports = Ports(
        **{
            field.name: free_ports.preferred(wanted.get(field.name) or other)
            for field, other in zip(fields(Ports), fresh, strict=True)
        }
    )
    file.write_text(json.dumps(asdict(ports)))
    return ports


def _zones_file(data_dir: Path) -> Path:
    return data_dir / "simulator-zones.json"


def _known_key(data_dir: Path) -> str:
    try:
        return str(json.loads((data_dir / "demo.json").read_text())["api_key"])
    except (OSError, ValueError, KeyError):
        return ""


async def _bootstrap(settings: Settings, known_key: str) -> tuple[str, bool]:
    secret = InstanceSecret.from_text(settings.secret.get_secret_value())
    async with _opened(settings) as database:
        async with database.transaction() as connection:
            application = await accounts.application(connection, APPLICATION)
            application = application or await accounts.create_application(connection, APPLICATION)
            assert application is not None
            domain = await accounts.domain_named(connection, application.id, DOMAIN)
            if domain is None:
                keys = await accounts.make_keys()
                request = accounts.DomainRequest(application.id, DOMAIN, f"bounce.{DOMAIN}", keys)
                domain = await accounts.create_domain(connection, secret, request)
                assert domain is not None
            for lane, first in ((Lane.TRANSACTIONAL, 1), (Lane.MARKETING, 11)):
                await ensure_pool(connection, lane.value, lane, demo_ips(first))
            await _publish(connection, settings.data_dir, domain)
        caller = await Directory(database).caller(known_key) if known_key else None
        if caller is not None:
            return known_key, False
        async with database.transaction() as connection:
            _, token = await accounts.create_key(connection, accounts.KeyRequest(application.id, "demo"))
        return token, True


def demo_ips(first: int) -> list[EgressIp]:
    """Three pool IPs 127.0.1.x; where only 127.0.0.1 exists they differ by their EHLO name alone."""
    ips = []
    for number in range(first, first + 3):
        address = f"127.0.1.{number}"
        ips.append(EgressIp(address, address if _bindable(address) else "127.0.0.1", f"mta-{number}.pool.sim"))
    return ips


def _bindable(address: str) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            return False
    return True


async def _publish(connection: Connection, data_dir: Path, domain: Domain) -> None:
    """Put the domain's records, and the operator's own, into the practice internet's DNS."""
    records = domain_records(domain.name, domain.return_path_domain, domain.keys, HOSTNAME)
    records.append(operator_spf(HOSTNAME, await accounts.sending_addresses(connection)))
    zones: dict[str, dict[str, list[str]]] = {HOSTNAME: {"A": ["127.0.0.1"]}, DOMAIN: {"A": ["127.0.0.1"]}}
    for record in records:
        value = f"{record.priority} {record.value}." if record.type == "MX" else record.value
        zones.setdefault(record.name, {}).setdefault(record.type, []).append(value)
    _zones_file(data_dir).write_text(json.dumps(zones, indent=1))


@contextlib.asynccontextmanager
async def _opened(settings: Settings) -> AsyncIterator[Database]:
    database = Database(settings.database_url, size=2, name="postlane-demo")
    await database.open()
    try:
        yield database
    finally:
        await database.close()


class Show:
    """Once everything runs: verify the domain, send, and say how to go on. Works in a thread of its own."""

    def __init__(self, practice: Practice, stack: Stack, say: Callable[..., None]) -> None:
        self._practice = practice
        self._stack = stack
        self._say = say
        self._public_url = practice.settings.public_url or stack.public_url
        self._settings = practice.settings
        self._data_dir = practice.settings.data_dir
        self._thread: threading.Thread | None = None
        self._lines: Sequence[RenderableType] = ()
        self._shown: Sequence[RenderableType] = ()

    def tick(self, states: Sequence[ServiceState]) -> None:
        """Called by the supervisor's loop; starts the show when every service runs."""
        if self._thread is None and states and all(state.status is Status.RUNNING for state in states):
            self._write_facts()
            self._thread = threading.Thread(target=self._run, name="demo", daemon=True)
            self._thread.start()
        if self._lines is not self._shown:
            self._shown = self._lines
            self._say(*self._shown)

    def _run(self) -> None:
        try:
            asyncio.run(self._verify())
            self._listen()
            self._call("POST", "/emails", welcome())
            if self._practice.first_time:
                for start in range(0, BURST, BATCH):
                    self._call("POST", "/emails/batch", [offer(n) for n in range(start, start + BATCH)])
            if list_id := asyncio.run(self._people()):
                self._call("POST", "/broadcasts", demo_people.campaign(list_id))
        except (OSError, PostlaneError) as error:  # urllib's errors are OSErrors
            self._lines = [Text(f"The demo could not send: {error}", style="red")]
            return
        self._lines = self._help()

    async def _verify(self) -> None:
        ours = replace(Installation.of(self._settings), hostname=HOSTNAME)
        async with _opened(self._settings) as database:
            async with database.connection() as connection:
                application = await accounts.application(connection, APPLICATION)
                domain = application and await accounts.domain_named(connection, application.id, DOMAIN)
            if domain:
                await verify_domain(database, fresh_resolver(self._settings), ours, domain.id)

    async def _people(self) -> UUID | None:
        async with _opened(self._settings) as database:
            async with database.connection() as connection:
                application = await accounts.application(connection, APPLICATION)
            assert application is not None
            return await demo_people.bring_in(database, self._settings, application.id)

    def _listen(self) -> None:
        """Have the application in the practice internet told of what comes back; it checks the signatures."""
        running = simulator.wait_for_state(self._data_dir / "simulator.json")
        wanted = {"endpoint": f"{running.webhook_url}{_ENDPOINT}", "events": WHAT_COMES_BACK}
        known = [one for one in self._call("GET", "/webhooks")["data"] if one["endpoint"].endswith(_ENDPOINT)]
        if known:
            self._call("PATCH", f"/webhooks/{known[0]['id']}", wanted | {"status": "enabled"})
        identifier = known[0]["id"] if known else self._call("POST", "/webhooks", wanted)["id"]
        simulator.trust_webhooks(running, self._call("GET", f"/webhooks/{identifier}")["signing_secret"])

    def _call(self, method: str, path: str, body: object = None) -> Any:
        request = urllib.request.Request(
            self._stack.api_url + path,
            json.dumps(body).encode() if body is not None else None,
            {"Authorization": f"Bearer {self._practice.api_key}", "Content-Type": "application/json"},
            method=method,
        )
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # a proxy cannot reach this machine
        with direct.open(request, timeout=30) as answer:
            return json.load(answer)

    def _write_facts(self) -> None:
        facts = {
            "api_url": self._stack.api_url,
            "api_key": self._practice.api_key,
            "from": SENDER,
            "simulator_domains": RECIPIENT_DOMAINS,
            "smtp_url": self._stack.smtp_url,
            "public_url": self._public_url,
            "inbound_port": self._practice.ports.inbound,
            "console_url": self._settings.console_url or self._stack.console_url,
        }
        file = self._data_dir / "demo.json"
        fresh = file.with_suffix(".fresh")
        fresh.touch(mode=0o600)
        fresh.write_text(json.dumps(facts, indent=1) + "\n")
        fresh.replace(file)

    def _help(self) -> list[RenderableType]:
        url, key = self._stack.api_url, self._practice.api_key
        curl = (
            f"curl -s {url}/emails -H 'Authorization: Bearer {key}' -H 'Content-Type: application/json' "
            f"""-d '{{"from":"{SENDER}","to":"you@gmail.sim","subject":"Hello","text":"It works."}}'"""
        )
        sdk = (
            f"RESEND_API_URL={url} RESEND_API_KEY={key} .venv/bin/python -c "
            f"""'import resend; print(resend.Emails.send({{"from": "{SENDER}", "to": "you@gmail.sim", """
            """"subject": "Hello", "text": "It works."}))'"""
        )
        return [
            Text("\nSend one yourself, from another terminal:", style="bold"),
            Text(curl, style="cyan"),
            Text("\nThe same with the resend SDK:", style="bold"),
            Text(sdk, style="cyan"),
            Text("\nRead it, and ask what happened:", style="bold"),
            Text(".venv/bin/postlane simulator mailbox you@gmail.sim", style="cyan"),
            Text(".venv/bin/postlane messages list --to you@gmail.sim", style="cyan"),
            Text("\nSome of the 2,000 react: a mailbox turns out to be closed, one person complains,", style="bold"),
            Text("two unsubscribe, twenty look at the offer. What an application is told of it:", style="bold"),
            Text(".venv/bin/postlane simulator webhooks", style="cyan"),
            Text(".venv/bin/postlane suppressions list", style="cyan"),
            Text(
                f"\n{demo_people.PEOPLE:,} people asked for the newsletter, and a campaign waits for you:", style="bold"
            ),
            Text(f'.venv/bin/postlane campaigns start "{demo_people.CAMPAIGN}" --watch', style="cyan"),
            Text(f"\nDocs {url}/docs  ·  pages for recipients {self._public_url}", style="bright_black"),
            Text(
                f"SMTP {self._stack.smtp_url}  ·  facts {self._shown_folder()}/demo.json  ·  Ctrl-C stops\n",
                style="bright_black",
            ),
        ]

    def _shown_folder(self) -> Path:
        """The data folder as one would type it here."""
        here = Path.cwd()
        return self._data_dir.relative_to(here) if self._data_dir.is_relative_to(here) else self._data_dir
