"""Postfix with OpenDKIM, as a good administrator would set them up: what Postlane is compared with.

Owns a Postfix and an OpenDKIM instance of its own, with own configuration, queue and ports; the system's are not
touched. Configured for speed where that costs no promise: the queue is on disk and synced, 50 connections to one
destination at once, connections are reused, nothing is chrooted, no TLS. Towards the comparison it errs in Postfix's
favour: all recipients are at one destination, mail comes in over kept-open sessions, no DNS is asked, and no
suppression list.

Postfix wants root to start. OpenDKIM is reached over a Unix socket, as Debian ships it, or over TCP, as the design's
baseline was measured: that has less than half the rate, as if each milter exchange waited for a delayed
acknowledgement. Both pairs can run at the same time.
"""

import asyncio
import base64
import contextlib
import os
import pwd
import shutil
import smtplib
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from bench import processor
from bench.errors import BenchError
from bench.sink import CountingSink, TimedSink, program, wait_for_count
from bench.verify import verified_by
from bench.world import World, run_process
from cli.running.free_ports import take
from cli.running.processes import Process, Service
from cli.running.supervisor import tcp_ready
from mta.sign import Algorithm, dns_record, generate_rsa

DOMAIN = "bench.example"
CHECK_DOMAIN = "check.example"
"""Recipients whose mail goes to a sink that keeps it, so that the signature can be verified."""
SELECTOR = "b"
SESSIONS = 20
BODY_BYTES = 5000
_PATIENCE = 120.0
"""Seconds for the queue to run empty once everything is accepted."""

_MAIN = """\
compatibility_level = 3.6
queue_directory = {base}/queue
data_directory = {base}/data
maillog_file = {base}/maillog
maillog_file_prefixes = {base}
myhostname = postfix.{domain}
mydestination =
mynetworks = 127.0.0.0/8
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
alias_maps =
relayhost = {nexthop}
transport_maps = inline:{{{{{check_domain}=smtp:[127.0.0.1]:{check_port}}}}}
smtpd_milters = {milter}
milter_default_action = tempfail
default_destination_concurrency_limit = 50
initial_destination_concurrency = 50
smtp_connection_cache_destinations = {nexthop}
smtp_tls_security_level = none
smtpd_tls_security_level = none
"""

_MASTER = """\
127.0.0.1:{port} inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""

_OPENDKIM = """\
Syslog no
Mode s
Canonicalization relaxed/relaxed
SignatureAlgorithm rsa-sha256
OversignHeaders From
Domain {domain}
Selector {selector}
KeyFile {base}/key.pem
RequireSafeKeys no
UserID opendkim
UMask 000
Socket {socket}
"""


class Milter(StrEnum):
    """The socket between Postfix and OpenDKIM."""

    UNIX = "unix"
    INET = "inet"


@dataclass(frozen=True, slots=True)
class Turn:
    """One run."""

    per_second: float
    accepted_per_second: float
    cpu: dict[str, float]
    """Processor microseconds of a message by daemon, with all processes it started."""


@dataclass(frozen=True, slots=True)
class Postfix:
    """A running pair."""

    port: int
    check_port: int
    key_record: str
    version: str
    pids: Mapping[str, int]

    async def run(self, sink: CountingSink, messages: int) -> Turn:
        """Hand over `messages` mails by smtp-source and wait for the last 250 at the sink."""
        cpu = processor.sample(self.pids)
        before, begun = sink.count(), time.monotonic()
        source = await asyncio.create_subprocess_exec(*self._source(messages))
        try:
            if await source.wait():
                raise BenchError("smtp-source failed: see its message above and the maillog")
        finally:
            if source.returncode is None:
                source.kill()
        accepted = time.monotonic()
        arrived = await wait_for_count(sink, before + messages, _PATIENCE, lambda: None)
        used = processor.microseconds_per_message(processor.sample(self.pids).since(cpu), messages)
        return Turn(messages / (arrived - begun), messages / (accepted - begun), used)

    def _source(self, messages: int) -> tuple[str, ...]:
        return (
            program("smtp-source", "postfix"), "-d", "-s", str(SESSIONS), "-m", str(messages), "-l", str(BODY_BYTES),
            "-f", f"news@{DOMAIN}", "-t", "reader@customers.example", f"127.0.0.1:{self.port}",
        )  # fmt: skip

    async def check_signature(self) -> int:
        """Send one mail to a sink that keeps it, and verify its signature; its size on the wire."""
        sink = TimedSink()
        sink.keep = True
        await sink.start("127.0.0.1", self.check_port)
        try:
            await asyncio.to_thread(self._send_one)
            for _ in range(200):
                if sink.mails:
                    break
                await asyncio.sleep(0.05)
        finally:
            await sink.stop()
        if not sink.mails or not verified_by(sink.mails[0], f"{SELECTOR}._domainkey.{DOMAIN}", self.key_record):
            raise BenchError(
                "the mail that left Postfix carries no valid DKIM signature: the comparison would be wrong"
            )
        return len(sink.mails[0])

    def _send_one(self) -> None:
        with smtplib.SMTP("127.0.0.1", self.port, timeout=20) as client:
            text = "\r\n".join(["X" * 70] * (BODY_BYTES // 72))
            client.sendmail(
                f"news@{DOMAIN}",
                [f"reader@{CHECK_DOMAIN}"],
                f"From: news@{DOMAIN}\r\nTo: reader@{CHECK_DOMAIN}\r\nSubject: check\r\n\r\n{text}\r\n",
            )


def missing() -> str:
    """Why the comparison cannot be measured here, "" when it can."""
    if os.geteuid() != 0:
        return "Postfix needs root to start: run `make bench` as root for this figure"
    try:
        for name, package in (("postfix", "postfix"), ("smtp-source", "postfix"), ("opendkim", "opendkim")):
            program(name, package)
    except BenchError as error:
        return str(error)
    return ""


@contextlib.contextmanager
def running(world: World, by: Milter) -> Iterator[Postfix]:
    """Both daemons, delivering to the world's smtp-sink."""
    base = world.options.folder.resolve() / f"postfix-{by.value}"
    shutil.rmtree(base, ignore_errors=True)
    record = _write_key(base)
    port, milter_port, check_port = take(3)
    unix = by is Milter.UNIX
    socket = f"local:{base}/milter/socket" if unix else f"inet:{milter_port}@127.0.0.1"
    milter = f"unix:{base}/milter/socket" if unix else f"inet:127.0.0.1:{milter_port}"
    (base / "opendkim.conf").write_text(
        _OPENDKIM.format(base=base, domain=DOMAIN, selector=SELECTOR, socket=socket), "ascii"
    )
    nexthop = f"[127.0.0.1]:{world.smtp_port}"
    main = _MAIN.format(
        base=base, domain=DOMAIN, nexthop=nexthop, milter=milter, check_domain=CHECK_DOMAIN, check_port=check_port
    )
    (base / "etc/main.cf").write_text(main, "ascii")
    (base / "etc/master.cf").write_text(_MASTER.format(port=port), "ascii")
    ready: Callable[[], bool] = (base / "milter/socket").exists if unix else tcp_ready("127.0.0.1", milter_port)
    with contextlib.ExitStack() as stack:
        signer = (program("opendkim", "opendkim"), "-f", "-x", str(base / "opendkim.conf"))
        filtering = Process(Service("opendkim", signer, ready=ready), base / "opendkim.log")
        run_process(stack, filtering)
        service = Service("postfix", _master(base), ready=tcp_ready("127.0.0.1", port))
        serving = Process(service, base / "postfix.log")
        run_process(stack, serving)
        pids = {"opendkim": filtering.pid or 0, "postfix": serving.pid or 0}
        yield Postfix(port, check_port, record, _version(base), pids)


def _master(base: Path) -> tuple[str, ...]:
    """The command of Postfix's main process. It is started as a child of ours (`-d`: do not detach) and not by
    `postfix start`, whose daemon is in a session of its own and would outlive a killed benchmark."""
    config = str(base / "etc")
    checked = subprocess.run(
        [program("postfix", "postfix"), "-c", config, "check"], capture_output=True, text=True, check=False
    )
    if checked.returncode:
        raise BenchError(f"Postfix does not accept its configuration: {checked.stderr.strip()}")
    shown = subprocess.run(
        [program("postconf", "postfix"), "-c", config, "-h", "daemon_directory"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return (f"{shown.stdout.strip()}/master", "-c", config, "-d")


def _write_key(base: Path) -> str:
    """Folders with the owners that the daemons want, and a key; the key's DNS record."""
    for name in ("etc", "queue", "data", "milter"):
        (base / name).mkdir(parents=True, exist_ok=True)
    shutil.chown(base / "data", "postfix")
    shutil.chown(base / "milter", "opendkim")
    der, public = generate_rsa()
    key = base / "key.pem"
    key.touch(mode=0o600)
    key.write_text(_pem(der), "ascii")
    account = pwd.getpwnam("opendkim")
    os.chown(key, account.pw_uid, account.pw_gid)
    return dns_record(public, Algorithm.RSA)


def _pem(der: bytes) -> str:
    text = base64.b64encode(der).decode("ascii")
    lines = "\n".join(text[start : start + 64] for start in range(0, len(text), 64))
    return f"-----BEGIN PRIVATE KEY-----\n{lines}\n-----END PRIVATE KEY-----\n"


def _version(base: Path) -> str:
    said = subprocess.run(
        [program("postconf", "postfix"), "-c", str(base / "etc"), "-h", "mail_version"],
        capture_output=True,
        text=True,
        check=True,
    )
    signer = subprocess.run([program("opendkim", "opendkim"), "-V"], capture_output=True, text=True, check=False)
    first = (signer.stdout or signer.stderr).strip().splitlines()
    return f"Postfix {said.stdout.strip()}, {first[0].strip() if first else 'OpenDKIM'}"
