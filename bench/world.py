"""Everything a figure is measured in: servers, DNS, sinks, databases, and Postlane's own processes.

Owns their start and their end: on leaving the `with` block, by Ctrl-C too, nothing is left running. Servers are the
embedded ones of `postlane up`, processes those of `cli/stack`; nothing here is a stand-in for a part of the product.
DNS answers come from the practice internet's DNS server with zones of our own.
"""

import contextlib
import json
import shutil
import socket
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import redis

from bench import mail
from bench.databases import BenchDatabase, Databases
from bench.errors import BenchError
from bench.options import Options
from bench.sink import CountingSink
from cli.embedded import Servers, start_servers
from cli.free_ports import take
from cli.processes import Process, Service, log_tail, wait_until
from cli.stack import Shape, Stack, build
from cli.supervisor import Status, Supervisor
from core.secrets import InstanceSecret
from simulator.state import read_state

SINK_HOST = "127.0.0.1"
SINK_NAME = "mx.bench.sim"
TIMED_HOST = "127.0.0.2"
"""The same port as the sink, since Postlane has one port for all mail servers."""
TIMED_NAME = "mx.timed.sim"

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


class World:
    """Use `opened`. What stays the same for all figures."""

    def __init__(self, options: Options, servers: Servers, sink: CountingSink, dns_port: int, smtp_port: int) -> None:
        self.options = options
        self.servers = servers
        self.sink = sink
        self.smtp_port = smtp_port
        self.databases = Databases(servers.database_url, servers.postgres.admin_url, options.domains)
        self.secret = InstanceSecret.generate()
        self._dns_port = dns_port

    def server_pids(self) -> dict[str, int]:
        """Process ids of the servers and the sink."""
        found = {process.service.name: process.pid for process in (*self.servers.processes, self.sink.process)}
        return {name: pid for name, pid in found.items() if pid is not None}

    @contextlib.contextmanager
    def stack(self, database: BenchDatabase, shape: Callable[[int], Shape]) -> Iterator[Running]:
        """Postlane's processes on `database`, all ready. `shape` is given a free port for the API."""
        with redis.Redis.from_url(self.servers.redis_url) as client:
            client.flushall()  # hints of the figure before would be coalesced with ours
        data = self.options.folder / "data" / database.name
        shutil.rmtree(data, ignore_errors=True)  # outcome journals of an earlier run
        data.mkdir(parents=True)
        logs = self.options.folder / "logs" / database.name
        stack = build(shape(take(1)[0]), self.environment(database, data))
        supervisor = Supervisor(stack.services, logs)
        try:
            supervisor.start()
            yield Running(stack, supervisor, database, logs)
        finally:
            supervisor.stop()

    def environment(self, database: BenchDatabase, data: Path) -> Mapping[str, str]:
        """Settings that differ from the defaults. No figure of the product's is among them: limits, batches, logging
        are what a user gets."""
        return {
            "POSTLANE_DATABASE_URL": database.url,
            "POSTLANE_REDIS_URL": self.servers.redis_url,
            "POSTLANE_SECRET": self.secret,
            "POSTLANE_DATA_DIR": str(data),
            "POSTLANE_SIMULATOR": "true",
            "POSTLANE_DNS_SERVERS": json.dumps([f"127.0.0.1:{self._dns_port}"]),
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
        dns_port = _start_dns(stack, folder, options.domains)
        world = World(options, servers, sink, dns_port, smtp_port)
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
    """DNS of the benchmark: every recipient domain has an MX record, and all of a zone lead to one host."""
    found = {SINK_NAME: {"A": [SINK_HOST]}, TIMED_NAME: {"A": [TIMED_HOST]}}
    for zone, name in ((mail.BULK_ZONE, SINK_NAME), (mail.TIMED_ZONE, TIMED_NAME)):
        found |= {mail.domain(number, zone, domains): {"MX": [f"10 {name}"]} for number in range(domains)}
    return found


def _start_dns(stack: contextlib.ExitStack, folder: Path, domains: int) -> int:
    file, state = folder / "zones.json", folder / "simulator.json"
    file.write_text(json.dumps(zones(domains)))
    state.unlink(missing_ok=True)
    command = (sys.executable, "-m", "simulator", "run", "--zones", str(file), "--state", str(state))
    service = Service("dns", command, {"PYTHONPATH": str(_ROOT)}, ready=state.exists)
    run_process(stack, Process(service, folder / "logs" / "dns.log"))
    return read_state(state).dns_port
