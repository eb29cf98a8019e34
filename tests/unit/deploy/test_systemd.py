"""The systemd units against the product: commands, queues, settings, ports, time to stop."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from cli.running import stack
from core.queues import QUEUES
from deploy.settings_page import variables
from tests.unit.deploy.commands import ROOT, consumed, parse
from workers.loop import STOP_SECONDS

FOLDER = ROOT / "deploy" / "systemd"
UNITS = sorted(FOLDER.glob("*.service"))
LASTING = [file for file in UNITS if file.name != "postlane-migrate.service"]
PROGRAM = "/opt/postlane/.venv/bin/postlane"

Entries = list[tuple[str, str, str]]


def _entries(file: Path) -> Entries:
    """(section, key, value) in order; a key may come more than once."""
    found: Entries = []
    section = ""
    for line in file.read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            section = line.strip("[]")
        elif line and not line.startswith("#"):
            key, _, value = line.partition("=")
            found.append((section, key, value))
    return found


def _values(file: Path, key: str) -> list[str]:
    return [value for _, name, value in _entries(file) if name == key]


def _words(file: Path) -> list[str]:
    program, *words = _values(file, "ExecStart")[0].replace("%i", "0").split()
    assert program == PROGRAM
    return words


def _environment(file: Path) -> dict[str, str]:
    pairs = " ".join(_values(file, "Environment")).split()
    return dict(pair.split("=", 1) for pair in pairs)


def _ids(file: Path) -> str:
    return file.name


@pytest.mark.parametrize("file", UNITS, ids=_ids)
def test_command_exists_with_these_arguments(file: Path) -> None:
    words = _words(file)

    assert parse(words) == words[0]


def test_every_celery_queue_has_a_consumer() -> None:
    assert consumed([_words(file) for file in UNITS]) == set(QUEUES)


@pytest.mark.parametrize("file", UNITS, ids=_ids)
def test_variables_are_settings(file: Path) -> None:
    assert set(_environment(file)) <= variables()


def test_ports_of_metrics_differ() -> None:
    ports = [_environment(file)["POSTLANE_METRICS_PORT"] for file in LASTING if file.name != "postlane-api.service"]
    many = [port.replace("%i", str(index)) for port in ports for index in (range(10) if "%i" in port else [0])]

    assert len(many) == len(set(many)) == 25
    assert all(1024 < int(port) < 65536 for port in many)


@pytest.mark.parametrize("file", UNITS, ids=_ids)
def test_nothing_runs_as_root(file: Path) -> None:
    assert _values(file, "User") == ["postlane"]
    assert _values(file, "NoNewPrivileges") == ["yes"]
    inbound = file.name == "postlane-inbound.service"
    assert _values(file, "CapabilityBoundingSet") == ["CAP_NET_BIND_SERVICE" if inbound else ""]


@pytest.mark.parametrize("file", LASTING, ids=_ids)
def test_service_comes_back_and_is_given_the_time_to_stop(file: Path) -> None:
    least = stack.API_STOP_SECONDS if file.name == "postlane-api.service" else stack.WORKER_STOP_SECONDS + STOP_SECONDS

    assert _values(file, "Restart") == ["always"]
    assert float(_values(file, "TimeoutStopSec")[0]) > least
    assert ("Unit", "StartLimitIntervalSec", "0") in _entries(file)


@pytest.mark.parametrize("file", LASTING, ids=_ids)
def test_service_starts_after_the_migration(file: Path) -> None:
    assert "postlane-migrate.service" in _values(file, "After")[0].split()
    assert "postlane-migrate.service" in " ".join(_values(file, "Wants")).split()


@pytest.mark.parametrize("file", LASTING, ids=_ids)
def test_data_lies_in_the_state_folder(file: Path) -> None:
    assert _values(file, "StateDirectory") == ["postlane"]
    assert _environment(file)["POSTLANE_DATA_DIR"] == "/var/lib/postlane"


def test_target_starts_one_of_each() -> None:
    wanted = " ".join(_values(FOLDER / "postlane.target", "Wants")).split()

    assert {re.sub(r"@\d+", "@", name) for name in wanted} == {file.name for file in LASTING}


def test_systemd_understands_them(tmp_path: Path) -> None:
    assert shutil.which("systemd-analyze"), "needs systemd-analyze (package systemd)"
    for file in FOLDER.iterdir():
        (tmp_path / file.name).write_text(file.read_text(encoding="utf-8").replace(PROGRAM, "/bin/true"))
    names = [file.name.replace("@.", "@0.") for file in [*UNITS, FOLDER / "postlane.target"]]
    done = subprocess.run(
        ["systemd-analyze", "verify", *names],
        cwd=tmp_path, env={"SYSTEMD_UNIT_PATH": f"{tmp_path}:", "PATH": "/usr/bin:/bin"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert [line for line in done.stderr.splitlines() if "postlane" in line] == []
