"""A whole Postlane for one test: real PostgreSQL, real Valkey, the practice internet, and every process of the product.

`running_stack` starts the same services as `postlane up --demo` (`cli/running`), so what is
killed here is what would be killed on a server. The supervisor lives in the test's main thread and works only while the
test waits: use `until` for every wait. Never sleeps to synchronise, and never kills what it did not start.

Used by `tests/chaos` and `tests/scenarios`.
"""

import asyncio
import contextlib
import http.client
import json
import os
import shutil
import signal
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit
from uuid import UUID

import psycopg
from pydantic import SecretStr

from accounts import repository as accounts
from accounts.verify import Installation, fresh_resolver, verify_domain
from cli.running import demo, free_ports
from cli.running.embedded import start_servers
from cli.running.processes import Process, Service
from cli.running.stack import Shape, Stack, build
from cli.running.supervisor import TICK_SECONDS, ServiceState, Status, Supervisor
from core.ids import uuid7
from core.settings import Settings
from mta.smtp_client import WINDOW
from simulator import client as simulator
from simulator.ledger import LedgerEntry, read_ledger
from store.database import Database
from store.ready import make_ready

SENDER = demo.SENDER
BATCH = 500
MARKETING = "worker-marketing"
TRANSACTIONAL = "worker-transactional"
AS_OTHERS = {"POSTLANE_MARKETING_NICE": "0"}
"""Where stacks of several tests share the processors, a marketing worker that steps back waits for all of them."""

_ANSWER_SECONDS = 30.0
"""How long one request may take; longer is a failure like a refused connection."""

_PATIENCE_SECONDS = 120.0
"""How long the client of an API that was killed asks again."""

_COUNTED = """
SELECT outcome, sum(n)::int FROM (SELECT outcome, n FROM count_deltas UNION ALL SELECT s.outcome, h.n
  FROM report_series s JOIN report_hours h ON h.series_id = s.id WHERE s.by = 'application') counted GROUP BY 1
"""

Rows = list[tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class Options:
    """What the test's Postlane consists of, and the settings it differs in."""

    shape: Shape = field(default_factory=lambda: Shape(background=0, inbound=False))
    env: Mapping[str, str] = field(default_factory=dict)
    """`POSTLANE_…` variables for every process."""
    rework: Callable[[Service], Service] = lambda service: service
    """Changes a service before it is started."""
    more: Callable[[Stack], Sequence[Service]] = lambda _: ()
    """Further services."""
    greylist_seconds: float = 1.0
    secret: str = field(default_factory=lambda: os.urandom(32).hex())


_NIL = UUID(int=0)


@dataclass(frozen=True, slots=True)
class Since:
    """From when on things count, in a stack that several tests share."""

    number: int = 0
    """Of the test; it stands in the addresses of its mail."""
    id: UUID = _NIL
    """Ids of this test's mail are greater."""
    at: float = 0.0
    """Seconds since the epoch."""
    octets: int = 0
    """Of the ledger."""
    figures: Mapping[str, int] = field(default_factory=dict)
    """By outcome."""


class ServersOfStack(Protocol):
    """PostgreSQL and Valkey that run, and what of them the supervisor starts again."""

    @property
    def database_url(self) -> str: ...
    @property
    def redis_url(self) -> str: ...
    @property
    def processes(self) -> tuple[Process, ...]: ...
    def stop(self) -> None: ...


StartServers = Callable[[Path], ServersOfStack]


class RunningStack:
    """A Postlane that runs. Use from the thread that made it; `submit` and `request` also work in others."""

    def __init__(self, data_dir: Path, settings: Settings, practice: demo.Practice, stack: Stack) -> None:
        self.data_dir = data_dir
        self.database_url = settings.database_url
        self.redis_url = settings.redis_url
        self.settings = practice.settings
        self.api_url = stack.api_url
        self.public_url = stack.public_url
        self.console_url = stack.console_url
        self.metrics = stack.metrics
        self.key = practice.api_key
        self.inbound_port = practice.ports.inbound
        self.submission_port = urlsplit(stack.smtp_url).port or 0
        self.ledger_file = data_dir / "ledger"
        self.since = Since()
        self._kept: psycopg.Connection[tuple[Any, ...]] | None = None
        self.supervisor: Supervisor | None = None
        self.simulator: simulator.SimulatorState | None = None

    def begin(self) -> None:
        """What was until now does not count any more."""
        self.until(self.all_running, 60, "every service to run")
        assert self.waiting() == 0, "the test before left mail on its way"
        octets = self.ledger_file.stat().st_size
        self.since = Since(self.since.number + 1, uuid7(), time.time(), octets, self._counted())

    # Waiting

    def tick(self) -> None:
        """Let the supervisor look after its services once."""
        assert self.supervisor is not None
        self.supervisor.tick()

    def until(self, condition: Callable[[], object], seconds: float, what: str) -> float:
        """Poll until `condition` is true, the supervisor working meanwhile; the seconds it took. Fails after `seconds`.

        A server that is away (psycopg.OperationalError, OSError) counts as "not yet".
        """
        started = time.monotonic()
        while True:
            self.tick()
            with contextlib.suppress(psycopg.OperationalError, OSError, http.client.HTTPException):
                if condition():
                    return time.monotonic() - started
            if time.monotonic() - started > seconds:
                raise AssertionError(f"waited {seconds:g} s for {what}; services: {self.states()}")
            time.sleep(TICK_SECONDS)

    def wait_for(self, future: "Future[Any]", seconds: float, what: str) -> Any:
        """The result of work in another thread, the supervisor working meanwhile."""
        self.until(future.done, seconds, what)
        return future.result()

    # Processes

    def states(self) -> dict[str, ServiceState]:
        """What each service is doing."""
        assert self.supervisor is not None
        return {state.name: state for state in self.supervisor.states()}

    def pid(self, service: str) -> int:
        """Process id of a service that runs."""
        pid = self.states()[service].pid
        assert pid is not None, f"{service} does not run"
        return pid

    def send_signal(self, service: str, number: signal.Signals) -> None:
        """Send a signal to the process of a service."""
        os.kill(self.pid(service), number)

    def kill(self, service: str, number: signal.Signals = signal.SIGKILL) -> None:
        """End a service, and wait until it is gone; the supervisor starts it again with the next waits."""
        process = self.pid(service)
        os.kill(process, number)
        self.until(lambda: self.states()[service].pid != process, 10, f"the end of {service}")

    def all_running(self) -> bool:
        """Whether every service is up."""
        return all(state.status is Status.RUNNING for state in self.states().values())

    def sessions(self, service: str) -> int:
        """SMTP connections the process of a service has open at this moment (Linux: from /proc, else from nothing)."""
        assert self.simulator is not None
        return _connections(self.pid(service), self.simulator.smtp_port)

    def on_wire(self, service: str) -> int:
        """Mails that it can have under way at this moment, at most: a window for each connection."""
        return self.sessions(service) * WINDOW

    # The store

    def sql(self, statement: str, parameters: Sequence[object] | Mapping[str, object] | None = None) -> Rows:
        """Rows of one statement, committed at once. psycopg.OperationalError while PostgreSQL is away.

        The thread that waits for things asks many times a second: it keeps its connection.
        """
        if threading.current_thread() is not threading.main_thread():
            with self._connect() as connection:
                return _rows(connection.execute(statement, parameters))
        try:
            return self._ask(statement, parameters)
        except psycopg.OperationalError:
            self.hang_up()  # PostgreSQL was killed since
            return self._ask(statement, parameters)

    def hang_up(self) -> None:
        """Close the connection that is kept."""
        if self._kept is not None:
            self._kept.close()
        self._kept = None

    def _ask(self, statement: str, parameters: Sequence[object] | Mapping[str, object] | None) -> Rows:
        if self._kept is None:
            self._kept = self._connect()
        return _rows(self._kept.execute(statement, parameters))

    def _connect(self) -> "psycopg.Connection[tuple[Any, ...]]":
        return psycopg.connect(self.database_url, autocommit=True, connect_timeout=5)

    def one(self, statement: str, parameters: Sequence[object] | Mapping[str, object] | None = None) -> Any:
        """The first column of the first row."""
        return self.sql(statement, parameters)[0][0]

    def waiting(self) -> int:
        """Messages on their way."""
        return int(self.one("SELECT count(*) FROM delivery_queue"))

    def until_all_ended(self, seconds: float) -> float:
        """Wait until no message is on its way any more; the seconds it took."""
        return self.until(lambda: self.waiting() == 0, seconds, "the queue to become empty")

    def until_ended(self, ids: Sequence[str], seconds: float) -> float:
        """Wait until these emails are not on their way any more, whatever others wait; the seconds it took."""
        statement = "SELECT count(*) FROM delivery_queue WHERE email_id = ANY(%s::uuid[])"
        return self.until(lambda: self.one(statement, [list(ids)]) == 0, seconds, f"{len(ids)} emails to end")

    def figures(self) -> dict[str, int]:
        """What was counted, by outcome: added up or still to be, by one reading of both."""
        return {outcome: n - self.since.figures.get(outcome, 0) for outcome, n in self._counted().items()}

    def _counted(self) -> dict[str, int]:
        return dict(self.sql(_COUNTED))

    # The door in

    def request(self, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None) -> Any:
        """One request with the demo's key; the decoded answer. HttpError for every status but 2xx."""
        parts = urlsplit(self.api_url)
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=_ANSWER_SECONDS)
        try:
            return _exchange(connection, self.key, method, path, body, headers or {})
        finally:
            connection.close()

    def send(self, to: str, **fields: object) -> str:
        """Enqueue one mail; its email id."""
        mail = {"from": SENDER, "to": to, "subject": "Hello", "text": "It works."}
        return str(self.request("POST", "/emails", mail | fields)["id"])

    def email(self, email_id: str) -> dict[str, Any]:
        """What the API tells about an email."""
        return dict(self.request("GET", f"/emails/{email_id}"))

    def last_event(self, email_id: str) -> str:
        """How far an email is, in the API's word."""
        return str(self.email(email_id)["last_event"])

    def events(self, email_id: str) -> list[dict[str, Any]]:
        """The timeline of an email."""
        return list(self.request("GET", f"/emails/{email_id}/events")["data"])

    def submit(self, mails: Sequence[Mapping[str, object]], batch: int = BATCH, clients: int = 2) -> "Submission":
        """Enqueue many mails through `POST /emails/batch` from threads; returns at once, see `Submission`.

        Each client behaves like a careful application: an Idempotency-Key for every batch, and the same request again
        when the connection breaks, or the answer is 409 (in flight), 429 or 5xx.
        """
        return Submission(self, [mails[start : start + batch] for start in range(0, len(mails), batch)], clients)

    def enqueue(self, mails: Sequence[Mapping[str, object]], seconds: float = 120.0) -> list[str]:
        """Enqueue many mails and wait for the answers; email ids in the order of the mails."""
        return self.submit(mails).ids(seconds)

    # The far side

    def ledger(self) -> list[LedgerEntry]:
        """Every mail the practice internet took, once the ledger has not grown for two of its flush intervals."""
        self.until(_Still(self.ledger_file, 0.3), 10, "the ledger to settle")
        return [entry for entry in read_ledger(self.ledger_file) if entry.at >= self.since.at]


class HttpError(Exception):
    """An answer that is not 2xx."""

    def __init__(self, status: int, body: str) -> None:
        super().__init__(f"{status}: {body[:300]}")
        self.status = status


class Submission:
    """Batches on their way to the API. `acknowledged` grows as answers come."""

    def __init__(self, stack: RunningStack, batches: Sequence[Sequence[Mapping[str, object]]], clients: int) -> None:
        self._stack = stack
        self._answers: list[list[str] | None] = [None] * len(batches)
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(clients, thread_name_prefix="client")
        self.repeated_requests = 0
        self._futures = [self._pool.submit(self._send, number, batch) for number, batch in enumerate(batches)]
        self._pool.shutdown(wait=False)

    @property
    def acknowledged(self) -> int:
        """Mails the API has accepted."""
        return sum(len(answer) for answer in self._answers if answer is not None)

    def until_acknowledged(self, mails: int) -> None:
        """Wait until the API has accepted this many."""
        self._stack.until(lambda: self.acknowledged >= mails, 60, f"{mails} accepted mails")

    @property
    def done(self) -> bool:
        """Whether every batch has its answer, or failed."""
        return all(future.done() for future in self._futures)

    def ids(self, seconds: float) -> list[str]:
        """Email ids in the order of the mails, once all are acknowledged."""
        self._stack.until(lambda: self.done, seconds, "the answers to all batches")
        for future in self._futures:
            future.result()
        return [email_id for answer in self._answers if answer is not None for email_id in answer]

    def _send(self, number: int, batch: Sequence[Mapping[str, object]]) -> None:
        headers = {"Idempotency-Key": str(uuid.uuid4())}
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while True:
            try:
                answer = self._stack.request("POST", "/emails/batch", batch, headers)
            except (OSError, http.client.HTTPException, HttpError) as error:
                final = isinstance(error, HttpError) and error.status < 500 and error.status not in (409, 429)
                if final or time.monotonic() > deadline:
                    raise
                with self._lock:
                    self.repeated_requests += 1
                time.sleep(0.1)  # what a client does between two tries; nothing waits for it
                continue
            self._answers[number] = [str(row["id"]) for row in answer["data"]]
            return


class _Still:
    """True once a file has had the same size for some time."""

    def __init__(self, file: Path, seconds: float) -> None:
        self._file, self._seconds = file, seconds
        self._size, self._since = -1, time.monotonic()

    def __call__(self) -> bool:
        size = self._file.stat().st_size
        if size != self._size:
            self._size, self._since = size, time.monotonic()
        return time.monotonic() - self._since >= self._seconds


def _embedded(data_dir: Path) -> ServersOfStack:
    return start_servers(data_dir, lambda _: None)


@contextlib.contextmanager
def running_stack(options: Options | None = None, start: StartServers = _embedded) -> Iterator[RunningStack]:
    """A Postlane with servers of its own, ready to take mail; all of it is gone afterwards. Takes about 6 s."""
    options = options or Options()
    with reachable_folder() as data_dir:
        servers = start(data_dir)
        try:
            settings = Settings(
                database_url=servers.database_url, redis_url=servers.redis_url, data_dir=data_dir,
                secret=SecretStr(options.secret), _env_file=None,
            )  # fmt: skip
            make_ready(settings.database_url)
            practice = demo.prepare(settings)
            shape = _with_ports(options.shape, practice)
            public = {"POSTLANE_PUBLIC_URL": f"http://127.0.0.1:{shape.public_port}"} if shape.public else {}
            stack = build(shape, _environment(settings) | dict(practice.env) | public | dict(options.env))
            every = (_eager(practice.service, options), *stack.services, *options.more(stack))
            services = [options.rework(service) for service in every]
            running = RunningStack(data_dir, settings, practice, stack)
            running.supervisor = Supervisor([*servers.processes, *services], data_dir / "logs")
            try:
                running.supervisor.start()
                _open(running)
                yield running
            finally:
                running.hang_up()
                running.supervisor.stop()
        finally:
            servers.stop()


def _rows(cursor: "psycopg.Cursor[tuple[Any, ...]]") -> Rows:
    return cursor.fetchall() if cursor.description else []


def _eager(service: Service, options: Options) -> Service:
    """The practice internet with a greylisting that is over quickly, and people who do not hesitate long."""
    quick = ("--greylist-seconds", str(options.greylist_seconds), "--people-seconds", "0.3")
    return replace(service, command=(*service.command, *quick))


def _with_ports(shape: Shape, practice: demo.Practice) -> Shape:
    api, public = free_ports.take(2)
    return replace(shape, api_port=api, public_port=public, inbound_port=practice.ports.inbound)


def _open(stack: RunningStack) -> None:
    """Verify the sender domain against the practice internet's DNS, and have every delivery written down."""
    stack.simulator = simulator.wait_for_state(stack.data_dir / "simulator.json")
    simulator.keep_ledger(stack.simulator, stack.ledger_file)
    asyncio.run(_verify(stack.settings))


@contextlib.contextmanager
def reachable_folder() -> Iterator[Path]:
    """A folder the servers' account can enter too, which pytest's own folders are not for root; removed afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="postlane-stack-"))
    folder.chmod(0o711)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _environment(settings: Settings) -> dict[str, str]:
    return {
        "POSTLANE_DATABASE_URL": settings.database_url,
        "POSTLANE_REDIS_URL": settings.redis_url,
        "POSTLANE_SECRET": settings.secret.get_secret_value(),
        "POSTLANE_DATA_DIR": str(settings.data_dir),
        **AS_OTHERS,
    }


async def _verify(settings: Settings) -> None:
    ours = replace(Installation.of(settings), hostname=demo.HOSTNAME)
    database = Database(settings.database_url, size=2, name="postlane-test")
    await database.open()
    try:
        async with database.connection() as connection:
            application = await accounts.application(connection, demo.APPLICATION)
            assert application is not None
            domain = await accounts.domain_named(connection, application.id, demo.DOMAIN)
        assert domain is not None
        await verify_domain(database, fresh_resolver(settings), ours, domain.id)
    finally:
        await database.close()


def _exchange(
    connection: http.client.HTTPConnection, key: str, method: str, path: str, body: object, headers: Mapping[str, str]
) -> Any:
    data = None if body is None else json.dumps(body).encode()
    sent = {"Authorization": f"Bearer {key}", "Content-Type": "application/json", **headers}
    connection.request(method, path, data, sent)
    answer = connection.getresponse()
    text = answer.read().decode()
    if not 200 <= answer.status < 300:
        raise HttpError(answer.status, text)
    return json.loads(text)


def _connections(pid: int, port: int) -> int:
    """Established TCP connections of a process to a remote port, from its sockets in /proc."""
    inodes = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            target = os.readlink(descriptor)
            if target.startswith("socket:["):
                inodes.add(target[8:-1])
    lines = [line.split() for line in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]]
    return sum(1 for f in lines if f[3] == "01" and int(f[2].split(":")[1], 16) == port and f[9] in inodes)
