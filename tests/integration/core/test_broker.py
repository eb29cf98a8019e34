"""Every client of Valkey over TLS and over a Unix socket; and a Valkey that answers but refuses to write."""

import contextlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import redis
from celery.exceptions import OperationalError as CeleryError
from kombu.exceptions import OperationalError

from cli.commands import doctor
from cli.running.embedded_valkey import EmbeddedValkey
from core.publish import HintPublisher, celery_app, marker
from core.queues import Lane
from core.settings import Settings
from pools.scripts import Script
from tests.integration.core.front import Front
from tests.integration.core.refusals import REFUSALS
from tests.integration.core.test_publish import counted, eventually
from tests.integration.pools.processes import own_valkey
from tests.smtp_sink import Certificates

_PASSWORD = "not-for-strangers"


def _publish(url: str) -> None:
    publisher = HintPublisher(url)
    publisher.start()
    publisher.hint(Lane.TRANSACTIONAL, ["a.example"])
    publisher.stop()


def _send_task(url: str) -> None:
    celery_app(url).send_task("anything", queue="background", retry=False)


def _consume(url: str) -> None:
    with celery_app(url).connection_for_read() as connection:
        connection.default_channel.client.llen("background")


async def _script(url: str) -> None:
    script = Script(url, "rates", timeout=5.0)
    await script.run([b"postlane:none"])
    await script.close()


def _doctor(url: str) -> None:
    list(doctor._redis(Settings(redis_url=url, _env_file=None)))  # type: ignore[call-arg]  # pydantic-settings' own


_ERRORS = (redis.RedisError, OSError, OperationalError, CeleryError)


@pytest.fixture
def certificates() -> Certificates:
    return Certificates("127.0.0.1")


@pytest.mark.parametrize("client", [_publish, _send_task, _consume, _doctor])
def test_no_client_tells_its_password_to_a_server_of_an_unknown_ca(
    client: Callable[[str], None], certificates: Certificates, redis_url: str
) -> None:
    with Front(redis_url, certificates.good) as front:
        with contextlib.suppress(*_ERRORS):
            client(f"rediss://:{_PASSWORD}@127.0.0.1:{front.port}/0")

        assert front.connections > 0
        assert front.heard == b""


async def test_a_script_tells_its_password_to_no_server_of_an_unknown_ca(
    certificates: Certificates, redis_url: str
) -> None:
    with Front(redis_url, certificates.good) as front:
        await _script(f"rediss://:{_PASSWORD}@127.0.0.1:{front.port}/0")

        assert front.connections > 0
        assert front.heard == b""


@pytest.mark.parametrize("client", [_publish, _send_task, _consume, _doctor])
def test_every_client_takes_a_server_of_the_named_ca(
    client: Callable[[str], None], certificates: Certificates, redis_url: str, tmp_path: Path
) -> None:
    certificates.ca.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    with Front(redis_url, certificates.good) as front:
        client(f"rediss://:{_password(redis_url)}@127.0.0.1:{front.port}/0?ssl_ca_certs={tmp_path / 'ca.pem'}")

        assert _password(redis_url).encode() in front.heard


@pytest.mark.parametrize("client", [_publish, _send_task, _consume, _doctor])
def test_every_client_takes_a_unix_socket(client: Callable[[str], None], redis_url: str, tmp_path: Path) -> None:
    path = tmp_path / "v.sock"
    with Front(redis_url, path=path) as front:
        client(f"unix://:{_password(redis_url)}@{path}?db={urlsplit(redis_url).path.strip('/')}")

        assert _password(redis_url).encode() in front.heard


async def test_a_script_takes_both(certificates: Certificates, redis_url: str, tmp_path: Path) -> None:
    certificates.ca.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    with Front(redis_url, certificates.good) as tls, Front(redis_url, path=tmp_path / "v.sock") as local:
        await _script(f"rediss://:{_password(redis_url)}@127.0.0.1:{tls.port}/0?ssl_ca_certs={tmp_path / 'ca.pem'}")
        await _script(f"unix://:{_password(redis_url)}@{tmp_path / 'v.sock'}?db=0")

        assert _password(redis_url).encode() in tls.heard
        assert _password(redis_url).encode() in local.heard


def _password(redis_url: str) -> str:
    return urlsplit(redis_url).password or ""


# --- a server that refuses writes


@pytest.fixture(scope="module")
def valkey() -> Iterator[EmbeddedValkey]:
    with own_valkey() as server:
        yield server


@pytest.fixture
def client(valkey: EmbeddedValkey) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(valkey.url, decode_responses=True) as connection:
        connection.flushall()
        yield connection


def test_the_embedded_one_writes_no_snapshots_and_goes_on_when_it_cannot_save(client: redis.Redis) -> None:
    assert client.config_get("save", "stop-writes-on-bgsave-error") == {"save": "", "stop-writes-on-bgsave-error": "no"}


@pytest.mark.parametrize("refuse", REFUSALS)
def test_a_hint_that_is_refused_is_lost_and_given_again(
    refuse: Callable[..., Callable[[], object]], valkey: EmbeddedValkey, client: redis.Redis
) -> None:
    publisher = HintPublisher(valkey.url)
    publisher.start()
    end = refuse(client, valkey.process.service.cwd)
    try:
        before = counted(Lane.TRANSACTIONAL, "lost")
        publisher.hint(Lane.TRANSACTIONAL, ["a.example"])
        assert eventually(lambda: counted(Lane.TRANSACTIONAL, "lost") == before + 1)
    finally:
        end()

    def given_again() -> bool:  # as the due scan does
        publisher.hint(Lane.TRANSACTIONAL, ["a.example"])
        return bool(client.llen("transactional"))

    assert eventually(given_again)
    assert client.exists(marker(Lane.TRANSACTIONAL, "a.example"))
    publisher.stop()


_WORKER = """
import sys
from core.publish import celery_app

app = celery_app(sys.argv[1])

@app.task(name="note")
def note(text):
    print(text, flush=True)

without = "--without-gossip --without-mingle --without-heartbeat"
app.worker_main(f"worker --pool=threads --concurrency=1 --queues=background {without}".split())
"""


def test_a_worker_outlives_every_refusal(valkey: EmbeddedValkey, client: redis.Redis, tmp_path: Path) -> None:
    """BRPOP is a write: to Celery a refusal was the end of the worker ("Unrecoverable error"), and the mail stood."""
    said = tmp_path / "said"
    with said.open("w") as out, (tmp_path / "log").open("w") as log:
        worker = subprocess.Popen([sys.executable, "-c", _WORKER, valkey.url], stdout=out, stderr=log)
    try:
        for refuse in REFUSALS:
            end = refuse(client, valkey.process.service.cwd)
            seen = (tmp_path / "log").stat().st_size
            assert eventually(lambda seen=seen: (tmp_path / "log").stat().st_size > seen, 20)  # type: ignore[misc]
            end()
            celery_app(valkey.url).send_task("note", args=[refuse.__name__], queue="background")
            assert eventually(lambda refuse=refuse: refuse.__name__ in said.read_text(), 20)  # type: ignore[misc]
        assert worker.poll() is None
    finally:
        worker.kill()
        worker.wait()
