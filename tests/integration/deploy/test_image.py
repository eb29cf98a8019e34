"""The image, built by hand in an empty folder: COPY, RUN and ENV lines of the Dockerfile in their order, and its start.

No daemon and no base image: Python is this machine's, and of its packages those alone are lent whose names stand in the
lock file that the image installs. So a package that runs and is not copied, or not locked, is missed here too.
"""

import importlib.metadata
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.main import COMMANDS
from cli.running import free_ports
from cli.running.processes import Process, Service, wait_until
from cli.running.supervisor import http_ready
from store import revisions
from tests.integration.deploy.test_dist import empty_database
from tests.servers import TestServers
from tests.stack import reachable_folder
from tests.unit.deploy.commands import ROOT
from tests.unit.deploy.test_dockerfile import INSTRUCTIONS, LAST_STAGE

__all__ = ["empty_database"]

_LENT = ("python -m venv", "/pip ")
"""Steps that bring Python and packages, which are lent here."""


@pytest.fixture(scope="module")
def image() -> Iterator[Path]:
    """Its root directory."""
    with reachable_folder() as root:
        _venv(root)
        for word, rest in INSTRUCTIONS[: INSTRUCTIONS.index(LAST_STAGE[0], 1)]:
            if word == "COPY":
                _copy(root, rest)
            elif word == "RUN":
                steps = (step for step in rest.split("&&") if not any(lent in step for lent in _LENT))
                for step in steps:
                    subprocess.run(["sh", "-ec", _here(root, step)], check=True, capture_output=True, timeout=120)
        yield root


def _here(root: Path, text: str) -> str:
    return re.sub(r"(?<![\w/.])/(opt|data)\b", rf"{root}/\1", text)


def _venv(root: Path) -> None:
    """What pip would install, and nothing else that this machine has."""
    lock = (ROOT / "requirements" / "server.lock").read_text(encoding="utf-8")
    site = root / "opt" / "venv" / "lib" / "lent"
    site.mkdir(parents=True)
    for name in re.findall(r"^([a-z0-9-]+)(?:\[[^\]]*\])?==", lock, re.M):
        try:
            files = importlib.metadata.distribution(name).files or ()
        except importlib.metadata.PackageNotFoundError:  # for another system or version
            continue
        for first in {file.parts[0] for file in files} - {"..", "__pycache__"}:
            if not (site / first).exists():
                (site / first).symlink_to(Path(str(importlib.metadata.distribution(name).locate_file(first))))
    program = root / "opt" / "venv" / "bin" / "python"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nPYTHONPATH="$PYTHONPATH:{site}" exec {sys.base_prefix}/bin/python3 -S "$@"\n')
    program.chmod(0o755)


def _copy(root: Path, rest: str) -> None:
    *sources, target = shlex.split(rest.replace("${LOCK}", "requirements/server.lock"))
    for source in sources:
        place = Path(_here(root, target)) if target.startswith("/opt") else root / target.lstrip("/")
        if (ROOT / source).is_dir():
            shutil.copytree(ROOT / source, place, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
        else:
            place = place / Path(source).name if target.endswith("/") else place
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / source, place)


def _environment(root: Path, **more: str) -> dict[str, str]:
    """As the last stage sets it, and nothing of ours."""
    told = next(rest for word, rest in LAST_STAGE if word == "ENV").replace("$PATH", "/usr/bin:/bin")
    pairs = (one.split("=", 1) for one in shlex.split(told))
    return {name: _here(root, value) for name, value in pairs} | more


def _run(root: Path, *command: str, **env: str) -> subprocess.CompletedProcess[str]:
    data = root / "data"
    data.mkdir(exist_ok=True)
    return subprocess.run(
        command, cwd=data, env=_environment(root, **env), capture_output=True, text=True, check=False, timeout=120
    )


def _tree(root: Path) -> set[str]:
    return {str(path) for path in (root / "opt").rglob("*")}


def test_every_command_finds_what_it_imports(image: Path) -> None:
    """Those that a container never runs as well: each is one that somebody may type in it."""
    names = sorted({entry.target.partition(":")[0] for entry in COMMANDS})
    code = (
        "import importlib, sys; [importlib.import_module(one) for one in sys.argv[1:]]; import cli; print(cli.__file__)"
    )
    done = _run(image, "python", "-c", code, *names)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(image / "opt/postlane/cli/__init__.py")


def test_it_migrates_serves_and_is_found_healthy(
    image: Path, empty_database: str, servers: TestServers, tmp_path: Path
) -> None:
    given = {
        "POSTLANE_DATABASE_URL": empty_database,
        "POSTLANE_REDIS_URL": servers.redis_url,
        "POSTLANE_SECRET": "5a" * 32,
    }
    before = _tree(image)
    done = _run(image, "postlane", "migrate", **given)
    assert (done.returncode, done.stdout) == (0, f"database is at revision {revisions.newest()}\n"), done.stderr
    (port,) = free_ports.take(1)
    env = _environment(image, **given, POSTLANE_API_PORT=str(port))
    words = [*json.loads(_last("ENTRYPOINT")), *json.loads(_last("CMD"))]
    program = shutil.which(words[0], path=env["PATH"])
    assert program is not None
    ready = http_ready(f"http://127.0.0.1:{port}/healthz")
    service = Service("api", (program, *words[1:]), env, inherit_env=False, cwd=image / "data", ready=ready)
    process = Process(service, tmp_path / "api.log")
    check = json.loads(_last("HEALTHCHECK").split(" CMD ")[1])
    assert _run(image, *check, POSTLANE_API_PORT=str(port)).returncode == 1, "nothing serves yet"
    try:
        process.start()
        assert wait_until(ready, 60), (tmp_path / "api.log").read_text()
        assert _run(image, *check, POSTLANE_API_PORT=str(port)).returncode == 0
    finally:
        process.stop()
    assert process.exit_code() == 0
    assert _tree(image) == before, "its file system is read-only: nothing is written beside the code"


def _last(word: str) -> str:
    return next(rest for name, rest in LAST_STAGE if name == word)


def test_user_and_folder_of_the_last_stage_are_made_by_tools_of_the_base_image() -> None:
    """Which is Debian's: their names there, and options that this machine's have as well."""
    (run,) = (rest for word, rest in LAST_STAGE if word == "RUN")
    steps = [shlex.split(step) for step in run.split("&&")]
    assert [step[0] for step in steps] == ["python", "groupadd", "useradd", "install"]
    for program, *words in steps[1:]:
        known = subprocess.run(
            [program, "--help"],
            capture_output=True,
            text=True,
            check=False,
            env={"PATH": f"/usr/sbin:{os.defpath}", "LC_ALL": "C"},
        ).stdout
        options = [word for word in words if word.startswith("--")]
        assert options
        assert [option for option in options if option not in known] == [], program
