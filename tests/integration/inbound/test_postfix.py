"""Postfix with Postlane as its relayhost: what a server does that has a mail system of its own and is to send through
ours. conftest.py leaves this file out where there is no Postfix, or nobody who may start it: its master needs root."""

import asyncio
import os
import shutil
import smtplib
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from cli.running import free_ports
from core.settings import Settings
from store.database import Database
from tests.integration.inbound.certificate import certificate
from tests.integration.inbound.conftest import Account, rows
from tests.stack import reachable_folder
from workers.inbound import InboundServer

POSTFIX = shutil.which("postfix", path=f"{os.environ['PATH']}:/usr/sbin")

pytestmark = [
    pytest.mark.timeout(180),
    pytest.mark.skipif(
        POSTFIX is None or os.geteuid() != 0, reason="needs Postfix (package postfix), and root to start it"
    ),
]

_MAIN = """\
compatibility_level = 3.6
queue_directory = {base}/queue
data_directory = {base}/data
maillog_file = {base}/maillog
maillog_file_prefixes = {base}
myhostname = app.shop.example
mydestination =
mynetworks = 127.0.0.0/8
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
alias_maps =
smtpd_tls_security_level = none
smtp_dns_support_level = disabled
minimal_backoff_time = 1s
queue_run_delay = 1s
relayhost = [127.0.0.1]:{port}
smtp_sasl_auth_enable = yes
smtp_sasl_password_maps = inline:{{ {{[127.0.0.1]:{port} = postlane:{key}}} }}
smtp_sasl_security_options = noanonymous
smtp_tls_security_level = verify
smtp_tls_CAfile = {ca}
smtp_tls_verify_cert_match = {name}
{more}
"""

_MASTER = """\
127.0.0.1:{port} inet n - n - - smtpd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 1 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
tlsmgr unix - - n 1000? 1 tlsmgr
postlog unix-dgram n - n - 1 postlogd
"""


@asynccontextmanager
async def _running(base: Path, main: str, port: int) -> AsyncIterator[None]:
    """A Postfix of its own, as a child of ours."""
    for name in ("etc", "queue", "data"):
        (base / name).mkdir()
    shutil.chown(base / "data", "postfix")
    (base / "etc/main.cf").write_text(main, "ascii")
    (base / "etc/master.cf").write_text(_MASTER.format(port=port), "ascii")
    assert POSTFIX is not None
    await asyncio.to_thread(subprocess.run, [POSTFIX, "-c", str(base / "etc"), "check"], check=True)
    shown = await asyncio.to_thread(
        subprocess.run, [f"{Path(POSTFIX).parent}/postconf", "-c", str(base / "etc"), "-h", "daemon_directory"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    master = await asyncio.create_subprocess_exec(f"{shown.stdout.strip()}/master", "-c", str(base / "etc"), "-d")
    try:
        yield
    finally:
        master.terminate()
        await master.wait()


def _hand_over(port: int, *headers: str) -> None:
    lines = ("From: orders@shop.example", "To: ann@x.example", "Subject: From cron", *headers, "", "Hello", "")
    with smtplib.SMTP("127.0.0.1", port, timeout=20) as client:
        client.sendmail("root@app.shop.example", ["ann@x.example", "bob@y.example"], "\r\n".join(lines))


async def _until(base: Path, text: str) -> str:
    """Wait until Postfix's log says so; that line."""
    async with asyncio.timeout(60):
        while True:
            log = (base / "maillog").read_text() if (base / "maillog").exists() else ""
            found = [line for line in log.splitlines() if text in line]
            if found:
                return found[-1]
            await asyncio.sleep(0.1)


@pytest.mark.parametrize("way", ["starttls", "wrapped"])
async def test_postfix_relays_through_us(
    server: InboundServer, account: Account, settings: Settings, database: Database, way: str
) -> None:
    with reachable_folder() as base:
        port = free_ports.take(1)[0]
        ours = server.submissions.port if way == "wrapped" else server.submission.port
        main = _MAIN.format(
            base=base, port=ours, key=account.key, ca=certificate(settings, base), name=settings.hostname,
            more="smtp_tls_wrappermode = yes" if way == "wrapped" else "",
        )  # fmt: skip
        async with _running(base, main, port):
            await _until(base, "daemon started")
            await asyncio.to_thread(_hand_over, port, "X-Postlane-Tag: host=app")
            sent = await _until(base, "status=sent")

    [(email_id, tags)] = await rows(database, "SELECT id, tags FROM emails")
    assert f"250 2.0.0 Ok: queued as {email_id}" in sent
    assert tags == [["host", "app"]]
    queued = await rows(database, "SELECT recipient FROM delivery_queue ORDER BY position")
    assert queued == [("ann@x.example",), ("bob@y.example",)]
