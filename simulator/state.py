"""The state file: where a running practice internet can be found. JSON, written whole or not at all.

Written by `simulator/main.py` once everything listens, removed when it stops; read by clients, `postlane up` and tests.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from core.errors import UnavailableError


class SimulatorUnavailableError(UnavailableError):
    """No practice internet runs where one was looked for. Starting it helps."""


@dataclass(frozen=True, slots=True)
class SimulatorState:
    """Everything a client has to know."""

    pid: int
    dns_address: str
    dns_port: int
    smtp_port: int
    control_address: str
    control_port: int
    ehlo_mode: bool
    """Only 127.0.0.1 exists: clients are told apart by EHLO name."""
    domains: tuple[str, ...]
    providers: Mapping[str, Mapping[str, tuple[str, ...]]]
    """Provider → `domains`, `hosts`, `mx_suffixes`."""
    providers_file: str
    """Path of `providers.toml`."""
    ca_certificate: str
    """Path of the practice authority's certificate (PEM), for clients that want to verify."""
    webhook_url: str
    """Where the practice application receives webhooks (`simulator/receiver.py`)."""


def write_state(path: Path, state: SimulatorState) -> None:
    """Write the file in one step. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(json.dumps(asdict(state), indent=1) + "\n", "utf-8")
    temporary.replace(path)


def read_state(path: Path) -> SimulatorState:
    """What the file says. Raises SimulatorUnavailableError when there is none or it is no state file."""
    try:
        content: dict[str, Any] = json.loads(path.read_text("utf-8"))
        content["domains"] = tuple(content["domains"])
        content["providers"] = {
            name: {key: tuple(values) for key, values in entry.items()} for name, entry in content["providers"].items()
        }
        return SimulatorState(**content)
    except FileNotFoundError:
        raise SimulatorUnavailableError(f"no practice internet is running: {path} does not exist") from None
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise SimulatorUnavailableError(f"{path} is not a state file of the practice internet: {error!r}") from error


def remove_state(path: Path, pid: int) -> None:
    """Remove the file unless another process has written its own meanwhile."""
    try:
        if read_state(path).pid == pid:
            path.unlink()
    except (SimulatorUnavailableError, FileNotFoundError):
        return
