"""The inbound process: SMTP listeners on one event loop: submission with the acceptor behind it, bounces with
`inbound_mail`.

A bounce is answered after its commit; the task for it is a hint from a thread of its own, so
that Redis being away delays nothing: the background worker sweeps for what has no task.

Both listeners bind `inbound_host`. On a loopback address API keys are taken without TLS; on any other only after
STARTTLS. The certificate is `inbound.pem` in the data folder (key and chain), made self-signed when it is missing.
"""

import asyncio
import concurrent.futures
import ipaddress
import logging
import signal
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final
from uuid import UUID

from celery import Celery
from kombu.exceptions import OperationalError
from prometheus_client import Gauge

from accounts.directory import Directory
from accounts.return_paths import ReturnPathDomains
from audience.topics import TopicBook
from core import metrics
from core.clock import SystemClock
from core.errors import UnavailableError
from core.logs import get_logger
from core.publish import HintPublisher, celery_app
from core.queues import BACKGROUND, TASK_BOUNCE
from core.secrets import InstanceSecret
from core.settings import Settings
from flags.watch import FlagWatch
from messages.accept import Acceptor
from messages.limits import MAX_RECIPIENTS
from messages.submit import Host, SubmissionDoor
from mta import return_path
from mta.inbound import ServerOptions, SubmissionHandler
from mta.inbound_gate import Gate
from mta.inbound_reports import BOUNCE_BYTES, Addressee, BounceHandler, ReceivedMail
from mta.inbound_server import BOUNCE_GATE, SUBMISSION_GATE, Listener
from mta.placing import token_in
from mta.report_parts import read_parts
from mta.server_certificate import server_context
from outcomes.inbound import store_inbound
from store.database import Database
from store.heartbeats import Heartbeat

_log = get_logger(__name__)

CONNECTIONS = Gauge("postlane_inbound_connections", "Open SMTP connections of clients, by listener", ["listener"])

STOP_SECONDS: Final = 3.0
"""For mails that are being taken; closing the database adds up to a second. `postlane up` gives a process 5 s."""
DESKS: Final = frozenset({"fbl", "abuse", "postmaster"})
"""Local parts that take mail about any message, at the host name and at each return path domain. `fbl@` is the address
to register with feedback loops; the others have to be there (RFC 2142)."""
GROUP: Final = 200
"""Mails that share a commit."""
SHARE_SECONDS: Final = 0.01
"""While several connections bring mail a commit waits so long for them: else the first of them would have one alone."""
CERTIFICATE: Final = "inbound.pem"
_QUIET_SECONDS: Final = 1.0
_GATHER_SECONDS: Final = 0.05
_APART_SECONDS: Final = 0.4
"""A task costs as much as taking several mails: the first waits so long for others to share it, the next so long."""


class BounceTasks:
    """Publishes tasks from one thread, one for all that was stored meanwhile. Never blocks and never fails: the sweep
    finds the rest."""

    def __init__(self, redis_url: str) -> None:
        self._app: Celery = celery_app(redis_url)
        self._thread = concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix="bounce-tasks")
        self._quiet_until = 0.0
        self._sent_at = float("-inf")
        self._waiting = threading.Event()

    def publish(self, first: UUID) -> None:
        """Hint that mails wait, this one first. Dropped for a second after Redis did not answer, so that nothing piles
        up; and while another hint waits to be given."""
        if time.monotonic() >= self._quiet_until and not self._waiting.is_set():
            self._waiting.set()
            self._thread.submit(self._send, first)

    def stop(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _send(self, first: UUID) -> None:
        time.sleep(max(_GATHER_SECONDS, self._sent_at + _APART_SECONDS - time.monotonic()))
        self._waiting.clear()  # what is stored from here on may come too late for this one
        if time.monotonic() < self._quiet_until:
            return
        self._sent_at = time.monotonic()
        try:
            self._app.send_task(TASK_BOUNCE, args=[str(first)], queue=BACKGROUND, retry=False)
        except (OperationalError, OSError) as error:
            self._quiet_until = time.monotonic() + _QUIET_SECONDS
            _log.warning("bounce_tasks_lost", error=str(error))


@dataclass(slots=True)
class _Waiting:
    mails: Sequence[ReceivedMail]
    done: "asyncio.Future[None]"


class BounceStore:
    """Where the bounce listener puts mails: committed first, then hinted. What comes while a commit is under way shares
    the next one: an fsync costs as much as a hundred rows."""

    def __init__(self, database: Database, tasks: BounceTasks) -> None:
        self._database = database
        self._tasks = tasks
        self._waiting: list[_Waiting] = []
        self._committing: asyncio.Task[None] | None = None
        self._shared = False
        """Whether the last commit was of several mails."""

    async def store(self, mails: Sequence[ReceivedMail]) -> None:
        """Raises DatabaseUnavailableError; then nothing is stored."""
        waiting = _Waiting(mails, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        if self._committing is None or self._committing.done():
            self._committing = asyncio.create_task(self._commit_groups(), name="bounce-store")
        await waiting.done

    async def _commit_groups(self) -> None:
        while self._waiting:
            if self._shared:
                await asyncio.sleep(SHARE_SECONDS)
            group, self._waiting = self._waiting[:GROUP], self._waiting[GROUP:]
            self._shared = len(group) > 1
            await self._commit(group)

    async def _commit(self, group: Sequence[_Waiting]) -> None:
        try:
            async with self._database.transaction() as connection:
                identifiers = await store_inbound(connection, [mail for one in group for mail in one.mails])
        except BaseException as error:  # whatever it is, those who wait have to hear of it
            if len(group) > 1 and not isinstance(error, UnavailableError | asyncio.CancelledError):
                for one in group:  # it came with one of them
                    await self._commit([one])
                return
            for one in group:
                _fail(one.done, error)
            if isinstance(error, asyncio.CancelledError):
                raise
            return
        self._tasks.publish(identifiers[0])
        for one in group:
            if not one.done.done():
                one.done.set_result(None)


def _fail(done: "asyncio.Future[None]", error: BaseException) -> None:
    if done.done():
        return
    if isinstance(error, asyncio.CancelledError):
        done.cancel()
    else:
        done.set_exception(error)


class OurAddresses:
    """Which addresses the bounce listener takes mail at: signed by us in a domain of ours, and our desks."""

    def __init__(self, secret: InstanceSecret, domains: ReturnPathDomains, hostname: str) -> None:
        self._secret = secret
        self._domains = domains
        self._hostname = hostname.lower()

    async def identify(self, address: str) -> Addressee | None:
        """What the address stands for. The signature is asked first: strangers cause no query. Raises
        DatabaseUnavailableError."""
        local, _, domain = address.lower().rpartition("@")
        if not local:  # RFC 5321 section 4.5.1: <postmaster> without a domain is ours
            return Addressee() if domain == "postmaster" else None
        named = return_path.parse(self._secret, address) or return_path.parse_unsubscribe(self._secret, address)
        if named is None and local not in DESKS:
            return None
        if not (named is None and domain == self._hostname) and not await self._domains.has(domain):
            return None
        return Addressee(named)

    def place(self, content: bytes) -> tuple[UUID, int] | None:
        """The message that a mail quotes."""
        return token_in(self._secret, *read_parts(content))


@dataclass(slots=True)
class InboundServer:
    """The running process, for `run` and for tests."""

    database: Database
    directory: Directory
    acceptor: Acceptor
    hints: HintPublisher
    tasks: BounceTasks
    submission: Listener
    submissions: Listener
    """The same with TLS from the first byte."""
    bounces: Listener
    heartbeat: Heartbeat
    flags: FlagWatch

    async def stop(self) -> None:
        """Finish the mails that are being taken, within `STOP_SECONDS`, and close everything."""
        await asyncio.gather(*(one.stop(STOP_SECONDS) for one in (self.submission, self.submissions, self.bounces)))
        await self.acceptor.stop()
        await self.directory.settle()
        self.tasks.stop()
        self.hints.stop()
        await self.heartbeat.stop()
        await self.flags.stop()
        await self.database.close()


def run(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT. Raises ConfigurationError, or OSError when a port cannot be had."""
    # aiosmtpd reports each log-in as a deprecation warning, and clients' addresses at lower levels.
    logging.getLogger("mail.log").setLevel(logging.ERROR)
    # Not uvloop: aiosmtpd's STARTTLS is built on the standard loop's own SSL protocol.
    asyncio.run(_run(settings))


async def _run(settings: Settings) -> None:
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    server = await start(settings)
    watched = metrics.serve(
        settings.metrics_host, settings.metrics_port, lambda: "stopping" if stopping.is_set() else ""
    )
    _log.info(
        "inbound_ready",
        submission_port=server.submission.port,
        submissions_port=server.submissions.port,
        bounce_port=server.bounces.port,
        metrics_port=watched.server_address[1],
    )
    await stopping.wait()
    await server.stop()
    watched.shutdown()


async def start(settings: Settings) -> InboundServer:
    """Open everything and listen. Raises ConfigurationError and OSError."""
    secret = InstanceSecret.from_text(settings.secret.get_secret_value())
    tls = server_context(settings.data_dir / CERTIFICATE, settings.hostname, SystemClock().now())
    database = Database(settings.database_url, settings.database_pool_size, "postlane-inbound")
    await database.open()
    hints = HintPublisher(settings.redis_url)
    hints.start()
    directory, tasks = Directory(database), BounceTasks(settings.redis_url)
    acceptor = Acceptor(database, hints.hint)
    await acceptor.start()
    host = Host(settings.hostname, settings.sandbox_domain, bool(settings.public_url))
    door = SubmissionDoor(directory, TopicBook(database), acceptor, acceptor.clock, host)
    options = ServerOptions(settings.hostname, settings.max_message_bytes, tls, is_loopback(settings.inbound_host))
    kept, wrapped = replace(options, max_bytes=BOUNCE_BYTES), replace(options, wrapped=True)
    server = InboundServer(
        database,
        directory,
        acceptor,
        hints,
        tasks,
        Listener(SubmissionHandler(door.log_in, door.submit, MAX_RECIPIENTS), options, Gate(SUBMISSION_GATE)),
        Listener(SubmissionHandler(door.log_in, door.submit, MAX_RECIPIENTS), wrapped, Gate(SUBMISSION_GATE)),
        Listener(_bounce_handler(secret, database, tasks, settings), kept, Gate(BOUNCE_GATE)),
        Heartbeat(database, "inbound"),
        FlagWatch(database),
    )
    try:
        await server.submission.start(settings.inbound_host, settings.submission_port)
        await server.submissions.start(settings.inbound_host, settings.submissions_port)
        await server.bounces.start(settings.inbound_host, settings.inbound_port)
    except BaseException:
        await server.stop()
        raise
    await server.flags.start()
    await server.heartbeat.start()
    CONNECTIONS.labels("submission").set_function(server.submission.gate.open)
    CONNECTIONS.labels("submissions").set_function(server.submissions.gate.open)
    CONNECTIONS.labels("bounces").set_function(server.bounces.gate.open)
    return server


def is_loopback(host: str) -> bool:
    """Whether this address is reachable from this machine only. Names other than localhost are not looked up."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _bounce_handler(
    secret: InstanceSecret, database: Database, tasks: BounceTasks, settings: Settings
) -> BounceHandler:
    addresses = OurAddresses(secret, ReturnPathDomains(database), settings.hostname)
    return BounceHandler(addresses.identify, addresses.place, BounceStore(database, tasks).store)
