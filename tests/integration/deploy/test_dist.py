"""`make dist`: what it builds is installed and works where there is no checkout.

It is installed into an environment of its own, far from the checkout (`tests/dist`).
"""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

from cli.running import free_ports
from cli.running.processes import Process, Service, wait_until
from cli.running.supervisor import http_ready
from deploy import sbom
from store import revisions
from tests import dist
from tests.servers import TestServers, drop_database


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its `bin`."""
    assert list(dist.built().glob("*.tar.gz"))
    return dist.environment(tmp_path_factory.mktemp("dist") / "env").bin


@pytest.fixture
def empty_database(servers: TestServers) -> Iterator[str]:
    """URL of one without a table; of its own name, for tests of other files use this too, beside each other."""
    name = f"postlane_dist_{uuid4().hex}"
    with psycopg.connect(servers.database_url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    yield servers.database_url.replace("/postlane?", f"/{name}?")
    drop_database(servers.database_url, name)


def test_it_migrates_and_serves_far_from_the_checkout(
    installed: Path, empty_database: str, servers: TestServers, tmp_path: Path
) -> None:
    env = {
        "POSTLANE_DATABASE_URL": empty_database, "POSTLANE_REDIS_URL": servers.redis_url, "POSTLANE_SECRET": "5a" * 32,
        "PATH": "/usr/bin:/bin", "HOME": str(tmp_path),
    }  # fmt: skip

    def run(*words: str) -> str:
        command = [str(installed / "postlane"), *words]
        done = subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    where = "import cli, console; print(cli.__file__, console.__file__)"
    places = subprocess.run(
        [installed / "python", "-c", where], cwd=tmp_path, capture_output=True, text=True, check=True
    ).stdout.split()
    assert all(place.startswith(str(installed.parent)) for place in places)
    before = json.loads(run("version", "--check"))
    assert (before["revision"], before["missing"][0]["revision"]) == ("", "0001")
    run("migrate")
    after = json.loads(run("version", "--check"))
    assert (after["revision"], after["missing"]) == (revisions.newest(), [])
    port, metrics = free_ports.take(2)
    console = Service(
        "console", (str(installed / "postlane"), "console"),
        env | {"POSTLANE_CONSOLE_PORT": str(port), "POSTLANE_METRICS_PORT": str(metrics)},
        inherit_env=False, cwd=tmp_path, ready=http_ready(f"http://127.0.0.1:{port}/sign-in"),
    )  # fmt: skip
    process = Process(console, tmp_path / "console.log")
    try:
        process.start()
        assert wait_until(console.ready, 30), (tmp_path / "console.log").read_text()
    finally:
        process.stop()


def test_the_list_of_what_runs_names_every_package_with_its_hashes() -> None:
    lock = sbom.LOCK.read_text(encoding="utf-8")
    told = json.loads(sbom.document(lock))
    names = {one["name"]: one for one in told["components"]}
    assert len(names) == sum("==" in line for line in lock.splitlines())
    assert all(one["hashes"] for one in names.values())
    assert names["nh3"]["licenses"] == [{"license": {"id": "MIT"}}]
    assert told["bomFormat"] == "CycloneDX"
    licences = json.dumps([one.get("licenses") for one in names.values()])
    assert "AGPL" not in licences
    assert "GPL-" not in licences.replace("LGPL-", "")
