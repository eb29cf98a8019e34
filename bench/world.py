"""Everything a figure is measured in: servers, DNS, sinks, databases, and Postlane's own processes.

Owns their start and their end: on leaving the `with` block, by Ctrl-C too, nothing is left running. Servers are the
embedded ones of `postlane up`, processes those of `cli/running/stack`; nothing here is a stand-in for the product.
DNS answers come from the practice internet's DNS server with zones of our own; its mail servers stand ready too.
"""

import contextlib
import json
import shutil
import socket
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import redis

from bench import mail
from bench.databases import BenchDatabase, Databases
from bench.errors import BenchError
from bench.options import Options
from bench.sink import CountingSink
from cli.running.embedded import Servers, start_servers
from cli.running.free_ports import take
from cli.running.processes import Process, Service, log_tail, wait_until
from cli.running.stack import Shape, Stack, build
from cli.running.supervisor import Status, Supervisor
from core.secrets import InstanceSecret
from simulator.state import SimulatorState, read_state

SINK_HOST = "127.0.0.1"
SINK_NAME = "mx.bench.sim"
TIMED_HOST = "127.0.0.2"
"""The same port as the sink, since Postlane has one port for all mail servers."""

_READY_SECONDS = 30.0
_ROOT = Path(__file__).parent.parent


@dataclass(slots=True)
class Running:
    """Postlane's processes while they run."""

    stack: Stack
    supervisor: Supervisor
    database: BenchDatabase
    logs: Path
    _steady: set[str] = field(default_factory=set)

    @property
    def api_url(self) -> str:
        return self.stack.api_url

    def check(self) -> None:
        """BenchError when a process has ended: a figure with a restart in it would be wrong."""
        for state in self.supervisor.states():
            if state.pid is None or state.status is not Status.RUNNING:
                tail = log_tail(self.logs / f"{state.name}.log")
                raise BenchError(f"{state.name} is {state.status.value} in the middle of a figure. Its log:\n{tail}")

    def pids(self) -> dict[str, int]:
        """Process ids by name of the service."""
        return {state.name: state.pid for state in self.supervisor.states() if state.pid is not None}


@dataclass(frozen=True, slots=True)
class Own:
    """What one stack has to itself."""

    settings: Mapping[str, str] = field(default_factory=dict)
    """Environment that differs from `World.environment`."""
    redis_database: int = 0


class World:
    """Use `opened`. What stays the same for all figures."""

    def __init__(
        self, options: Options, servers: Servers, sink: CountingSink, practice: SimulatorState, smtp_port: int
    ) -> None:
        self.options = options
        self.servers = servers
        self.sink = sink
        self.smtp_port = smtp_port
        self.databases = Databases(servers.database_url, servers.postgres.admin_url, options.domains)
        self.secret = InstanceSecret.generate()
        self.practice = practice
        """The practice internet: DNS of every figure, mail servers of the few that say so."""

    def server_pids(self) -> dict[str, int]:
        """Process ids of the servers and the sink."""
        found = {process.service.name: process.pid for process in (*self.servers.processes, self.sink.process)}
        return {name: pid for name, pid in found.items() if pid is not None}

    @contextlib.contextmanager
    def stack(
        self, database: BenchDatabase, shape: Callable[[int], Shape], own: Own | None = None
    ) -> Iterator[Running]:
        """Postlane's processes on `database`, all ready. `shape` is given a free port for the API; two stacks at a time
        need a Redis database each."""
        own = own or Own()
        redis_url = self.redis_url(own)
        with redis.Redis.from_url(redis_url) as client:
            client.flushdb()  # hints of the figure before would be coalesced with ours
        data = self.options.folder / "data" / database.name
        shutil.rmtree(data, ignore_errors=True)  # outcome journals of an earlier run
        data.mkdir(parents=True)
        logs = self.options.folder / "logs" / database.name
        env = {**self.environment(database, data), "POSTLANE_REDIS_URL": redis_url, **own.settings}
        stack = build(shape(take(1)[0]), env)
        supervisor = Supervisor(stack.services, logs)
        try:
            supervisor.start()
            yield Running(stack, supervisor, database, logs)
        finally:
            supervisor.stop()

    def redis_url(self, own: Own) -> str:
        """URL of the Redis database that a stack uses."""
        return urlunsplit(urlsplit(self.servers.redis_url)._replace(path=f"/{own.redis_database}"))

    def environment(self, database: BenchDatabase, data: Path) -> Mapping[str, str]:
        """Settings that differ from the defaults. No figure of the product's is among them: limits, batches, logging
        are what a user gets. A case that needs others says so in the settings of its figure."""
        return {
            "POSTLANE_DATABASE_URL": database.url,
            "POSTLANE_REDIS_URL": self.servers.redis_url,
            "POSTLANE_SECRET": self.secret,
            "POSTLANE_DATA_DIR": str(data),
            "POSTLANE_SIMULATOR": "true",
            "POSTLANE_DNS_SERVERS": json.dumps([f"{self.practice.dns_address}:{self.practice.dns_port}"]),
            "POSTLANE_SMTP_PORT": str(self.smtp_port),
            "POSTLANE_API_REQUESTS_PER_SECOND": "0",
        }


@contextlib.contextmanager
def opened(options: Options) -> Iterator[World]:
    """Servers, DNS and smtp-sink, running while the block does. Removes what an earlier run left in the folder."""
    folder = options.folder.resolve()
    with contextlib.ExitStack() as stack:
        servers = start_servers(folder / "servers")
        stack.callback(servers.stop)
        smtp_port = free_port((SINK_HOST, TIMED_HOST))
        sink = CountingSink(SINK_HOST, smtp_port, SINK_NAME, folder)
        run_process(stack, sink.process)
        practice = _start_practice(stack, folder, options.domains)
        world = World(options, servers, sink, practice, smtp_port)
        world.databases.drop_all()
        stack.callback(world.databases.drop_all)
        yield world


def run_process(stack: contextlib.ExitStack, process: Process) -> None:
    """Start a process, wait until it is ready, and have the stack stop it. BenchError with the end of its log."""
    process.start()
    stack.callback(process.stop)
    wait_until(lambda: process.service.ready() or not process.alive(), _READY_SECONDS)
    if not process.alive() or not process.service.ready():
        raise BenchError(f"{process.service.name} did not start. The end of its log:\n{log_tail(process.log)}")


def free_port(hosts: tuple[str, ...]) -> int:
    """A TCP port that is free on all of these addresses. BenchError where an address cannot be bound at all."""
    for _ in range(20):
        port = take(1)[0]
        try:
            for host in hosts:
                with socket.socket() as probe:
                    probe.bind((host, port))
        except OSError:
            continue
        return port
    raise BenchError(f"no port is free on all of {', '.join(hosts)}: the benchmark wants Linux, where 127.0.0.0/8 is")


def zones(domains: int) -> dict[str, dict[str, list[str]]]:
    """DNS of the benchmark: every recipient domain has a mail server of its own name, so that Postlane's limits see as
    many sites as there are domains; all names of a zone lead to one address."""
    found = {}
    for zone, host in ((mail.BULK_ZONE, SINK_HOST), (mail.TIMED_ZONE, TIMED_HOST)):
        for number in range(domains):
            domain = mail.domain(number, zone, domains)
            found[domain] = {"MX": [f"10 mx.{domain}"]}
            found[f"mx.{domain}"] = {"A": [host]}
    return found


def _start_practice(stack: contextlib.ExitStack, folder: Path, domains: int) -> SimulatorState:
    file, state = folder / "zones.json", folder / "simulator.json"
    file.write_text(json.dumps(zones(domains)))
    state.unlink(missing_ok=True)
    command = (sys.executable, "-m", "simulator", "run", "--zones", str(file), "--state", str(state))
    service = Service("practice internet", command, {"PYTHONPATH": str(_ROOT)}, ready=state.exists)
    run_process(stack, Process(service, folder / "logs" / "practice.log"))
    return read_state(state)
