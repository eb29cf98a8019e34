"""The public pages as a process of their own that is told to end while links are followed.

Opens and clicks gather for seconds before they are written. Whoever had an answer before the end is in the timeline
after it, without anybody starting the process again.
"""

import asyncio
import http.client
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import UUID

from cli.running import free_ports
from cli.running.processes import wait_until
from cli.running.supervisor import http_ready
from core.secrets import InstanceSecret
from messages.link_tokens import Kind, LinkTokens, coded, payload_of
from store.database import Database
from tests.integration.messages.emails import make_partitions, new_email, rows, store
from tests.integration.pages.conftest import SECRET

MAILS, CLIENTS, ENOUGH = 200, 2, 100
"""No more than 60 links of one mail are noted in a minute."""


@contextmanager
def public_process(database_url: str, redis_url: str, folder: Path) -> Iterator[tuple["subprocess.Popen[bytes]", int]]:
    """`postlane public`, ready, and its port."""
    port, metrics = free_ports.take(2)
    env = {
        "POSTLANE_DATABASE_URL": database_url, "POSTLANE_REDIS_URL": redis_url, "POSTLANE_SECRET": SECRET,
        "POSTLANE_DATA_DIR": str(folder), "POSTLANE_PUBLIC_PORT": str(port), "POSTLANE_METRICS_PORT": str(metrics),
        "POSTLANE_PUBLIC_URL": f"http://127.0.0.1:{port}",
    }  # fmt: skip
    with (folder / "public.log").open("wb") as log:
        command = [sys.executable, "-m", "cli", "public"]
        process = subprocess.Popen(command, env={**os.environ, **env}, stdout=log, stderr=subprocess.STDOUT)
    try:
        assert wait_until(http_ready(f"http://127.0.0.1:{port}/healthz"), 60), (folder / "public.log").read_text()
        yield process, port
    finally:
        process.kill()
        process.wait()


class Reader(threading.Thread):
    """Follows one link after the other, none twice, until nobody answers."""

    def __init__(self, port: int, ids: list[UUID], number: int) -> None:
        super().__init__(daemon=True)
        self.answered: list[str] = []
        self._port, self._ids, self._number = port, ids, number
        self._tokens = LinkTokens(InstanceSecret.from_text(SECRET))

    def run(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=20)
        with suppress(OSError, http.client.HTTPException):
            while True:
                target = f"https://shop.example/{self._number}/{len(self.answered)}"
                connection.request("GET", self._path(target.encode()), headers={"User-Agent": "Firefox"})
                answer = connection.getresponse()
                answer.read()
                assert answer.status == 302
                self.answered.append(target)
        connection.close()

    def _path(self, target: bytes) -> str:
        payload = payload_of(self._ids[len(self.answered) % len(self._ids)], 0, self._tokens.place_of("127.0.0.1"))
        return f"/c/{self._tokens.head(Kind.CLICK, payload, target)}{coded(target)}"


async def test_what_was_answered_before_sigterm_is_in_the_timeline_after_it(
    database: Database, database_url: str, redis_url: str, tmp_path: Path
) -> None:
    await make_partitions(database)
    emails = [new_email() for _ in range(MAILS)]
    await store(database, *emails)

    def read_and_end() -> tuple[int, list[str]]:
        with public_process(database_url, redis_url, tmp_path) as (process, port):
            readers = [Reader(port, [email.id for email in emails], number) for number in range(CLIENTS)]
            for reader in readers:
                reader.start()
            assert wait_until(lambda: sum(len(reader.answered) for reader in readers) >= ENOUGH, 20)
            process.send_signal(signal.SIGTERM)
            for reader in readers:
                reader.join(20)
            return process.wait(20), [target for reader in readers for target in reader.answered]

    status, answered = await asyncio.to_thread(read_and_end)
    seen = Counter(link for (link,) in await rows(database, "SELECT engagement->>'link' FROM events"))
    assert status == 0
    assert len(answered) >= ENOUGH
    assert set(answered) <= seen.keys(), f"{len(set(answered) - seen.keys())} of {len(answered)} clicks are lost"
    assert seen.total() == len(seen), "a click stands twice in the timeline"
    assert not [*(tmp_path / "hits").glob("*.hits")]
