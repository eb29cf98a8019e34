"""The practice internet as one process: builds the world, listens, writes the state file, stops in order.

Binds loopback addresses only and refuses everything else. Runs by `python -m simulator run`, as
`postlane simulator run`, and inside a test by `running`. Where only 127.0.0.1 can be bound (macOS), everything lives
there (EHLO mode).
"""

import asyncio
import contextlib
import os
import resource
import signal
import socket
import tempfile
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import asdict, dataclass
from pathlib import Path

from simulator.certificates import Certificates
from simulator.control import ControlServer
from simulator.dns_server import DnsServer
from simulator.dns_zone import Zone
from simulator.errands import Errands
from simulator.loopback import require_loopback
from simulator.mailroom import Mailroom, MailroomSettings
from simulator.receiver import Receiver
from simulator.smtp_server import SmtpServer
from simulator.state import SimulatorState, remove_state, write_state
from simulator.world import ONLY_ADDRESS6, PROVIDERS_FILE, World, build_world, mx_suffixes

_ATTEMPTS = 20
_FILES = 65_536
"""Open files asked for: a socket per connection, and 173 listening ones."""


@dataclass(frozen=True, slots=True)
class SimulatorConfig:
    """How to run. Port 0 takes a free one; SMTP uses one port for all mail hosts (25 needs privileges)."""

    state: Path | None = None
    zones: Path | None = None
    """Extra DNS records, `{name: {type: [values]}}`, read again when the file changes."""
    ledger: Path | None = None
    """File with a line per accepted mail."""
    address: str = "127.0.0.1"
    """Of DNS and control."""
    dns_port: int = 0
    smtp_port: int = 0
    control_port: int = 0
    webhook_port: int = 0
    """Of the practice application that receives webhooks."""
    single_address: bool | None = None
    """EHLO mode; None finds out whether more than 127.0.0.1 can be bound."""
    greylist_seconds: float = 5.0
    slow_seconds: float = 3.0
    report_port: int = 0
    """SMTP port of those whom bounces and complaints are reported to; 0: nobody is told."""
    people_seconds: float = 2.0
    """How long people take to complain, to unsubscribe, to read."""


async def serve(config: SimulatorConfig, announce: Callable[[SimulatorState], None] | None = None) -> None:
    """Run until cancelled, SIGTERM or SIGINT; `announce` is called once everything listens.

    Raises OSError when a port is taken, NotLoopbackError.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    handled = []
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
            handled.append(number)
    try:
        async with running(config) as state:
            if announce is not None:
                announce(state)
            await stop.wait()
    finally:
        for number in handled:
            loop.remove_signal_handler(number)


@contextlib.asynccontextmanager
async def running(config: SimulatorConfig) -> AsyncIterator[SimulatorState]:
    """A practice internet in the current event loop, listening while the block runs."""
    require_loopback(config.address)
    single = not can_bind("127.0.0.11") if config.single_address is None else config.single_address
    world = build_world(single_address=single, ipv6=can_bind(ONLY_ADDRESS6))
    for door in world.doors:
        require_loopback(door.address)
    mailroom = Mailroom(world, MailroomSettings(config.greylist_seconds, config.slow_seconds))
    async with contextlib.AsyncExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="practice-internet-"))
        mailroom.keep_ledger(config.ledger)
        stack.callback(mailroom.keep_ledger, None)
        certificates = Certificates(Path(folder), world.hosts)
        state = await _listen(stack, config, mailroom, certificates)
        if config.state is not None:
            write_state(config.state, state)
            stack.callback(remove_state, config.state, state.pid)
        yield state


def run(config: SimulatorConfig, announce: Callable[[SimulatorState], None] | None = None) -> None:
    """`serve` in an event loop of its own, uvloop where it exists."""
    _raise_file_limit()
    _run_fast(serve(config, announce))


def can_bind(address: str) -> bool:
    """Whether this machine lets a socket listen on `address`."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.bind((address, 0))
    except OSError:  # not this address, or not this family at all
        return False
    return True


async def _listen(
    stack: contextlib.AsyncExitStack, config: SimulatorConfig, mailroom: Mailroom, certificates: Certificates
) -> SimulatorState:
    """Open every socket, each closed by the stack; the state then."""
    world, zone = mailroom.world, Zone(mailroom.world.records, config.zones)
    errands = Errands(zone, config.report_port, config.people_seconds, mailroom.note_errand)
    mailroom.reacting = errands.add
    stack.push_async_callback(errands.stop)
    dns = DnsServer(zone)
    dns_port = await dns.listen(config.address, config.dns_port)
    stack.push_async_callback(dns.stop)
    smtp = SmtpServer(mailroom, certificates.context)
    smtp_port = await _listen_smtp(smtp, world, config.smtp_port)
    stack.push_async_callback(smtp.stop)
    receiver = Receiver()
    webhook_port = receiver.start(config.address, config.webhook_port)
    stack.callback(receiver.stop)
    control = ControlServer(mailroom, receiver, lambda: asdict(state))
    control_port = await control.listen(config.address, config.control_port)
    stack.push_async_callback(control.stop)
    state = SimulatorState(
        pid=os.getpid(),
        dns_address=config.address,
        dns_port=dns_port,
        smtp_port=smtp_port,
        control_address=config.address,
        control_port=control_port,
        ehlo_mode=world.ehlo_mode,
        domains=tuple(world.domains),
        providers=_providers(world),
        providers_file=str(PROVIDERS_FILE),
        ca_certificate=str(certificates.authority_file),
        webhook_url=f"http://{config.address}:{webhook_port}",
    )
    return state


async def _listen_smtp(smtp: SmtpServer, world: World, port: int) -> int:
    """Listen at all doors. A port that is free at the first door may be taken at a later one: then try another."""
    for attempt in range(_ATTEMPTS):
        try:
            return await smtp.listen(world.doors, port)
        except OSError:
            if port or attempt == _ATTEMPTS - 1:
                raise
    raise AssertionError("the loop returns or raises")


def _providers(world: World) -> dict[str, dict[str, tuple[str, ...]]]:
    suffixes = mx_suffixes()
    names = sorted({domain.provider for domain in world.domains.values()})
    return {
        name: {
            "domains": tuple(d.name for d in world.domains.values() if d.provider == name),
            "hosts": tuple(h.name for h in world.hosts.values() if h.provider == name),
            "mx_suffixes": tuple(suffixes.get(name, ())),
        }
        for name in names
    }


def _raise_file_limit() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES if hard == resource.RLIM_INFINITY else min(hard, _FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        # macOS refuses more than its own limit; what there is must do then.
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _run_fast(main: Coroutine[object, object, None]) -> None:
    try:
        import uvloop
    except ImportError:  # not on every platform
        asyncio.run(main)
    else:
        uvloop.run(main)
