"""The processes of a whole Postlane on one machine, as services for the supervisor.

Owns which processes there are, in which order they start, and which environment each gets. Used by `postlane up`, the
benchmark and the chaos tests, so that all three run the very same thing. Starts nothing itself.
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass

from cli.context import CHECKOUT
from cli.running import free_ports
from cli.running.processes import Service
from cli.running.supervisor import http_ready
from core.queues import BACKGROUND, Lane

API_STOP_SECONDS = 5.0
WORKER_STOP_SECONDS = 7.0
START_SECONDS = 60.0
"""The first import of a fresh checkout compiles every module."""


@dataclass(frozen=True, slots=True)
class Shape:
    """How many processes, and which listeners."""

    transactional: int = 1
    marketing: int = 1
    background: int = 1
    inbound: bool = True
    api_port: int = 8025
    inbound_port: int = 0
    submission_port: int = 0
    submissions_port: int = 0
    public: bool = False
    public_port: int = 0
    console: bool = False
    console_port: int = 0


@dataclass(frozen=True, slots=True)
class Stack:
    """Services in the order of their start, and where they answer."""

    services: tuple[Service, ...]
    api_url: str
    smtp_url: str
    public_url: str
    """Where the public pages answer on this machine; "" without them."""
    metrics: Mapping[str, str]
    """Service name → URL of its /metrics."""
    console_url: str = ""
    """Where the console answers on this machine; "" without it."""


def command(*words: str) -> tuple[str, ...]:
    """A `postlane` command run by this very interpreter, wherever it is installed."""
    return (sys.executable, "-m", "cli", *words)


def build(shape: Shape, env: Mapping[str, str]) -> Stack:
    """All services for `env`, which holds the servers, the secret and every other setting they share."""
    names = ["scheduler", *_worker_names(shape), *(["inbound"] if shape.inbound else [])]
    names += ["public"] if shape.public else []
    names += ["console"] if shape.console else []
    ports = dict(zip(names, free_ports.take(len(names)), strict=True))
    listeners = free_ports.take(5)
    inbound_port = shape.inbound_port or listeners[0]
    submission_port = shape.submission_port or listeners[1]
    submissions_port = shape.submissions_port or listeners[2]
    public_port = shape.public_port or listeners[3]
    console_port = shape.console_port or listeners[4]
    api_url = f"http://127.0.0.1:{shape.api_port}"
    root = str(CHECKOUT)
    shared = {**env, "PYTHONPATH": root, "PYTHONUNBUFFERED": "1"}
    services = [
        Service(
            "api",
            command("api"),
            {**shared, "POSTLANE_API_PORT": str(shape.api_port)},
            ready=http_ready(f"{api_url}/healthz"),
            ready_timeout=START_SECONDS,
            stop_timeout=API_STOP_SECONDS,
            group="postlane",
        )
    ]
    for name in names:
        words = ("worker", *name.removeprefix("worker-").rsplit("-", 1)) if name.startswith("worker-") else (name,)
        own = {"POSTLANE_METRICS_PORT": str(ports[name])}
        if name == "inbound":
            own |= {
                "POSTLANE_INBOUND_PORT": str(inbound_port),
                "POSTLANE_SUBMISSION_PORT": str(submission_port),
                "POSTLANE_SUBMISSIONS_PORT": str(submissions_port),
            }
        if name == "public":
            own |= {"POSTLANE_PUBLIC_PORT": str(public_port)}
        if name == "console":
            own |= {
                "POSTLANE_CONSOLE_PORT": str(console_port),
                # What it shows developers.
                "POSTLANE_API_PORT": str(shape.api_port),
                "POSTLANE_SUBMISSION_PORT": str(submission_port),
            }
        services.append(
            Service(
                name.removesuffix("-0"),
                command(*(words if len(words) == 1 else (words[0], words[1], "--index", words[2]))),
                shared | own,
                ready=http_ready(f"http://127.0.0.1:{ports[name]}/healthz"),
                ready_timeout=START_SECONDS,
                stop_timeout=WORKER_STOP_SECONDS,
                group="postlane",
            )
        )
    metrics = {name.removesuffix("-0"): f"http://127.0.0.1:{port}/metrics" for name, port in ports.items()}
    return Stack(
        tuple(services),
        api_url,
        f"smtp://127.0.0.1:{submission_port}",
        f"http://127.0.0.1:{public_port}" if shape.public else "",
        {"api": f"{api_url}/metrics", **metrics},
        f"http://127.0.0.1:{console_port}" if shape.console else "",
    )


def _worker_names(shape: Shape) -> list[str]:
    counts = {
        Lane.TRANSACTIONAL.value: shape.transactional,
        Lane.MARKETING.value: shape.marketing,
        BACKGROUND: shape.background,
    }
    return [f"worker-{queue}-{index}" for queue, count in counts.items() for index in range(count)]
