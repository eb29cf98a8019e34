"""Starts `hammer` processes for a test, and a Valkey that a test may stop and kill."""

import asyncio
import json
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from cli.running.embedded_valkey import EmbeddedValkey, start_valkey

Process = asyncio.subprocess.Process


@asynccontextmanager
async def hammers(count: int, *arguments: object) -> AsyncIterator[list[Process]]:
    """So many processes, begun at the same moment; killed in the end if they are still there."""
    started: list[Process] = []
    try:
        for _ in range(count):
            started.append(
                await asyncio.create_subprocess_exec(
                    sys.executable, "-m", "tests.integration.pools.hammer", *map(str, arguments),
                    stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
                )
            )  # fmt: skip
        for process in started:
            assert process.stdout is not None
            assert await process.stdout.readline() == b"ready\n"
        for process in started:
            assert process.stdin is not None
            process.stdin.write(b"\n")
        yield started
    finally:
        for process in started:
            if process.returncode is None:
                process.kill()
            await process.wait()


async def result(process: Process) -> dict[str, float]:
    """What a process that has run to its end printed last."""
    out, _ = await process.communicate()
    assert process.returncode == 0
    facts: dict[str, float] = json.loads(out.splitlines()[-1])
    return facts


@contextmanager
def own_valkey() -> Iterator[EmbeddedValkey]:
    """A Valkey of this test alone."""
    with tempfile.TemporaryDirectory(prefix="postlane-test-") as folder:
        os.chmod(folder, 0o711)  # as root, the server's own account has to get to its data in there
        server = start_valkey(Path(folder))
        try:
            yield server
        finally:
            server.stop()


@contextmanager
def stopped(server: EmbeddedValkey) -> Iterator[None]:
    """It takes connections (the kernel does) and answers nothing."""
    pid = server.process.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)
