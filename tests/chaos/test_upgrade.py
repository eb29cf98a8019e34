"""The version before is upgraded under load: tables first, then one process after the other, old and new together.

Path: every process runs the version before, on its tables (`tests/versions`), two of them the API behind a proxy that
goes on to the next where nobody listens. Applications post mail of both lanes and ask for it all the time. `postlane
migrate` of the newer version migrates; then each process is ended with SIGTERM, and its successor is of the newer
version, in the order of docs/operations.md.
Expectation: each ends by itself, in seconds. Every request is answered, and no answer is 5xx. Everything accepted
arrives exactly once.
"""

import http.client
import itertools
import json
import os
import subprocess
import sys
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from alembic import command
from alembic.migration import MigrationContext

from cli.running import free_ports
from cli.running.processes import Service
from cli.running.stack import Shape, Stack
from cli.running.supervisor import http_ready
from store import migrate
from tests.chaos.conftest import quick_env
from tests.chaos.proof import ENDED_SECONDS, mails, prove
from tests.stack import MARKETING, TRANSACTIONAL, Options, RunningStack, running_stack
from tests.versions import Version, pair, upgrade

ORDER = (("scheduler", "worker-background"), (TRANSACTIONAL, MARKETING), ("inbound", "public"), ("api",), ("api-2",))
"""Of processes named together the first is ended while the others still run, and all are awaited together."""
MOST_SECONDS = 15.0
"""What systemd lets the shortest-lived of them have."""
BATCH = 20
EVERY_SECONDS = 0.1


@dataclass
class Proxy:
    """In front of two APIs: a request goes to the next where nobody takes it. What it saw."""

    ports: Sequence[int]
    key: str
    statuses: Counter[int] = field(default_factory=Counter)
    elsewhere: int = 0
    broken: int = 0
    """Connections that ended without an answer."""
    longest: float = 0.0

    def request(self, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None) -> object:
        began = time.monotonic()
        for port in itertools.cycle(self.ports):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
            try:
                connection.connect()
            except OSError:
                self.elsewhere += 1
                continue
            try:
                given = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json", **(headers or {})}
                connection.request(method, path, None if body is None else json.dumps(body).encode(), given)
                answer = connection.getresponse()
                text = answer.read()
            except (OSError, http.client.HTTPException):
                self.broken += 1
                continue
            finally:
                connection.close()
            self.statuses[answer.status] += 1
            self.longest = max(self.longest, time.monotonic() - began)
            return json.loads(text)
        raise AssertionError("there is no API")


@dataclass
class Application:
    """Posts mail and asks what became of it, until told to end."""

    proxy: Proxy
    mail: Iterator[dict[str, object]]
    accepted: list[str] = field(default_factory=list)
    ending: threading.Event = field(default_factory=threading.Event)
    failed: list[BaseException] = field(default_factory=list)

    def run(self) -> None:
        try:
            while not self.ending.wait(EVERY_SECONDS):
                batch = list(itertools.islice(self.mail, BATCH))
                key = {"Idempotency-Key": str(uuid.uuid4())}
                answer = self.proxy.request("POST", "/emails/batch", batch, key)
                assert isinstance(answer, dict)
                self.accepted += [row["id"] for row in answer["data"]]
                self.proxy.request("GET", f"/emails/{self.accepted[-1]}")
        except BaseException as error:
            self.failed.append(error)
            raise


@contextmanager
def sending(stack: RunningStack, ports: Sequence[int]) -> Iterator[Application]:
    every = mails(stack, 40_001, 0)[1:]  # the first would be to somebody who blocks our IPs
    both = (mail | {"stream": "marketing" if at % 2 else "transactional"} for at, mail in enumerate(every))
    found = Application(Proxy(ports, stack.key), both)
    thread = threading.Thread(target=found.run, name="application")
    thread.start()
    try:
        yield found
    finally:
        found.ending.set()
        thread.join(60)


def test_mail_flows_while_everything_is_upgraded(tmp_path: Path) -> None:
    before, after = pair(tmp_path)
    (second,) = free_ports.take(1)

    def another_api(stack: Stack) -> Sequence[Service]:
        api = stack.services[0]
        env = {**api.env, "POSTLANE_API_PORT": str(second)}
        ready = http_ready(f"http://127.0.0.1:{second}/healthz")
        return [before.runs(replace(api, name="api-2", env=env, ready=ready))]

    options = Options(Shape(public=True), quick_env(), _before(before), another_api)
    with running_stack(options) as stack:
        _as_before(stack, before)
        stack.begin()
        ports = [int(stack.api_url.rpartition(":")[2]), second]
        with sending(stack, ports) as application:
            stack.until(lambda: len(application.accepted) >= 200, 30, "mail on its way")
            assert _migrate(stack, after) == after.revision
            stack.until(_more(application), 30, "mail on the migrated tables, by the version before")
            ends = _replace_all(stack, after, application)
            stack.until(_more(application), 30, "mail by the new version")
        assert application.failed == []
        stack.until_all_ended(ENDED_SECONDS)
        proxy = application.proxy
        assert proxy.statuses.keys() == {200}, proxy.statuses
        assert len(set(application.accepted)) == len(application.accepted)
        proof = prove(stack, application.accepted, set(), most_repeats=0)
        assert proof.delivered == proof.messages == len(application.accepted)
        print(
            f"{before.name} ({before.revision}) to {after.name} ({after.revision}): {proof}; {proxy.statuses[200]}"
            f" answers, the longest after {proxy.longest:.2f} s, {proxy.elsewhere} taken by the other API,"
            f" {proxy.broken} asked again; processes ended within {max(ends.values()):.1f} s ({ends})"
        )


def _before(version: Version) -> Callable[[Service], Service]:
    def rework(service: Service) -> Service:
        return service if service.name == "simulator" else version.runs(service)

    return rework


def _as_before(stack: RunningStack, before: Version) -> None:
    """The version before has its own tables: the stack was made ready with those of today."""
    if before.revision == migrate.current(stack.database_url):
        return
    with migrate._connected(stack.database_url) as connection:
        config = migrate._config()
        config.attributes["connection"] = connection
        command.downgrade(config, before.revision)
        connection.commit()
        assert MigrationContext.configure(connection).get_current_revision() == before.revision


def _migrate(stack: RunningStack, version: Version) -> str:
    """`postlane migrate` of a version; the revision it reached."""
    given = {"DATABASE_URL": stack.database_url, "REDIS_URL": stack.redis_url, "DATA_DIR": str(stack.data_dir)}
    given["SECRET"] = stack.settings.secret.get_secret_value()
    env = version.env(os.environ | {f"POSTLANE_{name}": value for name, value in given.items()})
    line = [sys.executable, "-m", "cli", "migrate"]
    process = subprocess.Popen(line, cwd=version.root, env=env, stdout=subprocess.DEVNULL)
    stack.until(lambda: process.poll() is not None, 60, "the migration")
    assert process.returncode == 0
    return migrate.current(stack.database_url)


def _more(application: Application) -> Callable[[], object]:
    known = len(application.accepted)
    return lambda: len(application.accepted) >= known + 100 or application.failed


def _replace_all(stack: RunningStack, version: Version, application: Application) -> dict[str, float]:
    """Seconds that the end of each process took."""
    ends = {}
    for names in ORDER:
        for name in names:
            ends[name] = round(upgrade(stack, name, version), 1)
        stack.until(stack.all_running, 60, f"{names} of the new version")
        assert not application.failed
        for name in names:
            assert os.readlink(f"/proc/{stack.pid(name)}/cwd") == str(version.root)
    assert max(ends.values()) < MOST_SECONDS, ends
    return ends
