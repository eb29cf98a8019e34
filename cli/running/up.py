"""`postlane up`: every process of Postlane in one terminal, for trial, development and a single small server.

Starts embedded PostgreSQL and Valkey unless others are configured, migrates, starts all processes under one
supervisor, and shows what happens. With `--demo` there is also the practice internet, a demo application and mail.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Annotated

import typer
from rich.console import Console

from cli import context
from cli.running import demo, free_ports
from cli.running.console_link import console_link
from cli.running.embedded import Servers, start_servers
from cli.running.embedded_place import FolderLock, prepare_data_dir
from cli.running.live import FigureReader, LiveTerminal
from cli.running.processes import Process, Service
from cli.running.stack import Shape, build
from cli.running.supervisor import Supervisor
from core.errors import ConfigurationError
from core.misnamed import misnamed
from core.settings import Settings, given
from store.ready import make_ready


def up(
    with_demo: Annotated[
        bool, typer.Option("--demo/--no-demo", help="Add the practice internet, a demo application, and mail to watch.")
    ] = False,
    marketing: Annotated[int, typer.Option(min=0, help="Marketing worker processes.")] = 1,
    transactional: Annotated[int, typer.Option(min=0, help="Transactional worker processes.")] = 1,
) -> None:
    """Run everything in this terminal, with servers of its own if none are set. Ctrl-C stops all of it.

    Try it: postlane up --demo

    With your own servers: POSTLANE_DATABASE_URL=... POSTLANE_REDIS_URL=... postlane up --marketing 2
    """
    console = Console()
    settings = context.read()
    with _alone(settings), _servers(settings, console) as (running, servers), _written_down(running) as tell:
        env = _environment(running)
        shape, notes = _shape(settings, transactional, marketing, with_demo)
        if with_demo and settings.database_url:
            demo.refuse_strangers(settings.database_url)
        make_ready(running.database_url)
        practice = demo.prepare(running) if with_demo else None
        if practice:
            env |= practice.env
            shape = replace(shape, inbound_port=practice.ports.inbound)
        if practice and not settings.public_url:  # links that work here, and only here
            env["POSTLANE_PUBLIC_URL"] = f"http://127.0.0.1:{shape.public_port}"
        elif not settings.public_url:
            notes.append("POSTLANE_PUBLIC_URL is not set: marketing mail offers unsubscribing by mail only.")
        notes += [f"{one.told}." for one in misnamed(name for names in given() for name in names)]
        tell(_to_know(practice.env if practice else {}, env, shape))
        stack = build(shape, env)
        first: list[Service | Process] = [*servers.processes] if servers else []
        if practice:
            first.append(practice.service)
        supervisor = Supervisor([*first, *stack.services], running.data_dir / "logs")
        terminal = LiveTerminal(console, FigureReader(running.database_url), "demo" if practice else stack.api_url)
        show = demo.Show(practice, stack, terminal.say) if practice else None
        for note in notes:
            terminal.say(note)
        address = running.console_url or stack.console_url
        link = console_link(running.database_url, address, demo=with_demo, seen=console.is_terminal)
        terminal.say(f"Console {link}")
        if show is None:
            terminal.say(f"API {stack.api_url}  ·  docs {stack.api_url}/docs  ·  SMTP {stack.smtp_url}")
        with terminal:

            def tick() -> None:
                terminal.tick(supervisor.states())
                if show:
                    show.tick(supervisor.states())

            supervisor.run(tick)


def _to_know(practice_env: Mapping[str, str], env: Mapping[str, str], shape: Shape) -> dict[str, str]:
    """What commands in other terminals have to know of this one: where they find its doors, and nothing secret."""
    doors = {name: env[name] for name in ("POSTLANE_PUBLIC_URL",) if name in env}
    console = {"POSTLANE_CONSOLE_PORT": str(shape.console_port)} if shape.console else {}
    return {**practice_env, **doors, **console, "POSTLANE_API_PORT": str(shape.api_port)}


def _shape(settings: Settings, transactional: int, marketing: int, with_demo: bool) -> tuple[Shape, list[str]]:
    """The processes with their ports, and what to say about ports that are not the usual ones.

    A demo takes any free port for SMTP, unless one was asked for. Raises ConfigurationError for a taken port that was
    asked for.
    """
    wanted = {
        name: getattr(settings, name)
        for name in _LISTENERS
        if not (with_demo and name in _SMTP and name not in settings.model_fields_set)
    }
    ports = {name: _port(settings, name, port) for name, port in wanted.items()}
    notes = [
        f"Port {port} is taken by another program: {_LISTENERS[name]} is on port {ports[name]} for now."
        for name, port in wanted.items() if port and port != ports[name]
    ]  # fmt: skip
    shape = Shape(
        transactional,
        marketing,
        api_port=ports["api_port"],
        inbound_port=ports.get("inbound_port", 0),
        submission_port=ports.get("submission_port", 0),
        submissions_port=ports.get("submissions_port", 0),
        public=True,
        public_port=ports["public_port"],
        console=True,
        console_port=ports["console_port"],
    )
    return shape, notes


_LISTENERS = {
    "api_port": "the API",
    "inbound_port": "the listener for bounces",
    "submission_port": "SMTP submission",
    "submissions_port": "SMTP submission with TLS",
    "public_port": "the public part",
    "console_port": "the console",
}
_SMTP = ("inbound_port", "submission_port", "submissions_port")


def _port(settings: Settings, name: str, port: int) -> int:
    found = free_ports.preferred(port)
    if port and found != port and name in settings.model_fields_set:
        raise ConfigurationError(
            f"POSTLANE_{name.upper()}: port {port} is taken by another program, or not ours to use. "
            "Stop that program, or set another port; 0 takes a free one."
        )
    return found


@contextlib.contextmanager
def _alone(settings: Settings) -> Iterator[None]:
    """One `up` at a time in a data folder, also with servers of one's own: journals are there."""
    lock = FolderLock(prepare_data_dir(settings.data_dir) / context.UP_LOCK, "Postlane")
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def _written_down(settings: Settings) -> Iterator[Callable[[Mapping[str, str]], None]]:
    """While `up` runs, commands in another terminal find its settings in a file; yields what writes it."""
    file = settings.data_dir / context.RUNNING_FILE
    file.unlink(missing_ok=True)  # of an `up` that was killed, perhaps with the demo
    try:
        yield lambda env: context.write_running(file, env)
    finally:
        file.unlink(missing_ok=True)


@contextlib.contextmanager
def _servers(settings: Settings, console: Console) -> Iterator[tuple[Settings, Servers | None]]:
    """Embedded servers where none are set; stopped at the end, after everything that uses them."""
    secret = settings.secret.get_secret_value() or context.kept_secret(settings.data_dir)
    if settings.database_url and settings.redis_url:
        yield _with(settings, secret, settings.database_url, settings.redis_url), None
        return
    with console.status("Starting PostgreSQL and Valkey …") if console.is_terminal else contextlib.nullcontext():
        servers = start_servers(settings.data_dir)
    try:
        yield (
            _with(
                settings, secret, settings.database_url or servers.database_url, settings.redis_url or servers.redis_url
            ),
            servers,
        )
    finally:
        servers.stop()


def _with(settings: Settings, secret: str, database_url: str, redis_url: str) -> Settings:
    return settings.model_copy(
        update={
            "secret": type(settings.secret)(secret),
            "database_url": database_url,
            "redis_url": redis_url,
            "data_dir": settings.data_dir.resolve(),
        }
    )


def _environment(settings: Settings) -> dict[str, str]:
    """What every process must share; the rest of the environment is inherited."""
    return {
        "POSTLANE_DATABASE_URL": settings.database_url,
        "POSTLANE_REDIS_URL": settings.redis_url,
        "POSTLANE_SECRET": settings.secret.get_secret_value(),
        "POSTLANE_DATA_DIR": str(settings.data_dir),
    }
