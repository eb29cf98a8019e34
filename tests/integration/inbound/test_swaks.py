"""swaks, the tool that operators try a listener with. conftest.py leaves this file out where it cannot be had."""

import asyncio
import re
import shutil

import pytest

from store.database import Database
from tests.integration.inbound.conftest import Account, rows
from workers.inbound import InboundServer

pytestmark = [
    pytest.mark.timeout(120),
    pytest.mark.skipif(shutil.which("swaks") is None, reason="needs swaks (package swaks)"),
]


async def _swaks(*words: str) -> str:
    process = await asyncio.create_subprocess_exec(
        "swaks", "--server", "127.0.0.1", "--from", "orders@shop.example", "--to", "ann@x.example,bob@y.example",
        "--auth-user", "anything", *words,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    output, _ = await process.communicate()
    return f"{output.decode()}\n[{process.returncode}]"


@pytest.mark.parametrize("way", ["plain", "tls", "tlsc"])
async def test_swaks(server: InboundServer, account: Account, database: Database, way: str) -> None:
    port = server.submissions.port if way == "tlsc" else server.submission.port
    safety = {"plain": [], "tls": ["--tls"], "tlsc": ["--tls-on-connect"]}[way]
    mechanism = "LOGIN" if way == "tls" else "PLAIN"

    said = await _swaks(
        "--port", str(port), *safety, "--auth", mechanism, "--auth-password", account.key,
        "--header", "X-Postlane-Tag: tool=swaks", "--header", "Resend-Idempotency-Key: swaks-1",
    )  # fmt: skip

    [(email_id, tags)] = await rows(database, "SELECT id, tags FROM emails")
    assert said.endswith("[0]"), said
    assert re.search(rf"250 2\.0\.0 Ok: queued as {email_id}", said), said
    assert tags == [["tool", "swaks"]]
    assert len(await rows(database, "SELECT 1 FROM delivery_queue")) == 2


async def test_a_wrong_key_is_told(server: InboundServer, account: Account) -> None:
    said = await _swaks("--port", str(server.submission.port), "--auth", "PLAIN", "--auth-password", account.key + "x")

    assert "535 5.7.8" in said
    assert not said.endswith("[0]")
