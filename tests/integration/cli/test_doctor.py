"""`postlane doctor`: finds what is wrong, says what to do, and is stopped by nothing."""

import json
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from accounts import repository as accounts
from core import settings
from core.queues import Lane
from core.secrets import InstanceSecret
from mta.model import EgressIp
from pools import ips
from pools.ip_values import egress_ip
from pools.repository import ensure_pool
from store.database import Database
from tests.dns_table import DnsTable
from tests.integration.cli.commands import Answer, Postlane, in_database
from tests.integration.workers.lane import _keys
from tests.integration.workers.test_lane_worker import DnsThread


@pytest.fixture
def doctor(postlane: Postlane, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The doctor with these settings changed, and a resolver that knows the practice internet."""
    table = DnsTable({("gmail.sim", "MX"): ["10 mx.gmail.sim."]})
    with DnsThread(table) as address:
        monkeypatch.setenv("POSTLANE_DNS_SERVERS", f'["{address}"]')

        def call(**changes: str) -> Answer:
            for name, value in changes.items():
                monkeypatch.setenv(f"POSTLANE_{name.upper()}", value)
            settings.load.cache_clear()
            return postlane("doctor")

        yield call


def levels(answer: Answer) -> dict[str, str]:
    return {finding["check"]: finding["level"] for finding in answer.out}


def told(answer: Answer, check: str) -> str:
    (finding,) = [one for one in answer.out if one["check"] == check]
    return f"{finding['found']} {finding['do']}"


def add_domain(url: str, secret: str) -> None:
    async def work(database: Database) -> None:
        async with database.transaction() as connection:
            application = await accounts.create_application(connection, "acme")
            assert application is not None
            request = accounts.DomainRequest(application.id, "acme.example", "b.acme.example", _keys())
            await accounts.create_domain(connection, InstanceSecret.from_text(secret), request)
            members = [EgressIp("127.0.1.1", "127.0.1.1", "a.example"), EgressIp("192.0.2.1", "192.0.2.1", "b.example")]
            await ensure_pool(connection, "main", Lane.TRANSACTIONAL, members)

    in_database(url, work)


def test_fit_installation(doctor: Any, database_url: str) -> None:
    add_domain(database_url, "5e" * 32)
    answer = doctor()
    found = levels(answer)

    assert {
        found[name] for name in ("version", "secret", "clock", "schema", "keys", "valkey", "dns", "data folder")
    } == {"ok"}
    assert found["console"] == "ok"
    assert "openid" not in found
    assert told(answer, "keys").startswith("2 DKIM keys can be opened")
    assert (found["ip 127.0.1.1"], found["ip 192.0.2.1"]) == ("ok", "warning")
    # The test server runs without fsync, and the doctor must not let that pass.
    assert (found["durability"], answer.status) == ("failed", 1)


def test_wrong_secret_is_found_before_mail_is_lost(doctor: Any, database_url: str) -> None:
    add_domain(database_url, "aa" * 32)
    answer = doctor()

    assert levels(answer)["keys"] == "failed"
    assert "2 of 2 DKIM keys cannot be opened" in told(answer, "keys")


def test_each_broken_part_is_named_and_stops_no_other(doctor: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, logger="psycopg.pool")
    answer = doctor(
        database_url="postgresql://somebody@127.0.0.1:1/x",
        redis_url="redis://127.0.0.1:1/0",
        dns_servers='["127.0.0.1:1"]',
        data_dir="/proc/version",
    )
    found = levels(answer)

    assert (found["postgresql"], found["valkey"], found["dns"], found["data folder"]) == (
        "failed", "warning", "failed", "failed",
    )  # fmt: skip
    assert "refused" in told(answer, "postgresql")
    assert answer.status == 1
    assert not [record for record in caplog.records if record.name == "psycopg.pool"]


def test_without_a_server_named_nobody_elses_is_asked(
    doctor: Any, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An empty URL is libpq's default: whatever PostgreSQL the environment or this host has."""
    add_domain(database_url, settings.load().secret.get_secret_value())
    for name, value in conninfo_to_dict(database_url).items():
        monkeypatch.setenv({"dbname": "PGDATABASE"}.get(name, f"PG{name.upper()}"), str(value))
    found = levels(doctor(database_url=""))

    assert found["postgresql"] == "failed"
    assert not {"keys", "dkim acme.example"} & found.keys()


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"dns_servers": "127.0.0.1"}, "dns_servers"),
        ({"database_url": "mysql://x"}, "POSTLANE_DATABASE_URL"),
        ({"redis_url": "localhost"}, "POSTLANE_REDIS_URL"),
        ({"secret": "short"}, "POSTLANE_SECRET"),
    ],
)
def test_setting_that_is_wrong_is_a_finding(doctor: Any, change: dict[str, str], named: str) -> None:
    answer = doctor(**change)

    assert levels(answer)["settings"] == "failed"
    assert named in told(answer, "settings")


def test_old_schema_is_found(doctor: Any, database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '0001'")
    answer = doctor()

    assert levels(answer)["schema"] == "failed"
    assert "postlane migrate" in told(answer, "schema")


def test_newer_tables_are_no_reason_to_migrate(doctor: Any, database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    answer = doctor()

    assert levels(answer)["schema"] == "warning"
    assert "upgrade this host's Postlane" in told(answer, "schema")
    assert "postlane migrate" not in told(answer, "schema")


def test_schema_that_may_not_be_read_is_a_finding(doctor: Any, database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute("ALTER TABLE alembic_version RENAME COLUMN version_num TO other")
    answer = doctor()

    assert "failed" in {level for check, level in levels(answer).items() if check in ("postgresql", "schema")}
    assert levels(answer)["valkey"] == "ok"


def test_resolver_that_lies_is_found(doctor: Any) -> None:
    with DnsThread(DnsTable({})) as address:
        answer = doctor(dns_servers=f'["{address}"]')

    assert "say that gmail.sim has no MX, and it has" in told(answer, "dns")


def test_what_is_signed_is_verified_against_the_published_key(doctor: Any, database_url: str) -> None:
    add_domain(database_url, "5e" * 32)
    with psycopg.connect(database_url) as connection:
        connection.execute("UPDATE domains SET status = 'verified'")
    answer = doctor()

    assert levels(answer)["dkim acme.example"] == "failed"
    assert "mail signed now does not verify against" in told(answer, "dkim acme.example")


def test_a_relay_that_does_not_let_us_in_is_told_without_its_password(doctor: Any, database_url: str) -> None:
    async def work(database: Database) -> None:
        async with database.transaction() as connection:
            relay = egress_ip("vendor", "localhost", via="smtp+tls://shop:hunter2@127.0.0.1:9")
            await ips.add_ip(connection, relay, InstanceSecret.from_text("5e" * 32))

    in_database(database_url, work)
    answer = doctor()

    assert levels(answer)["relay vendor"] == "failed"
    assert "ptr vendor" not in levels(answer)
    assert "postlane ips update vendor" in told(answer, "relay vendor")
    assert "hunter2" not in str(answer.out)


@pytest.mark.parametrize(("url", "level"), [("", "warning"), ("http://127.0.0.1:1", "failed")])
def test_public_pages_are_there_or_it_is_said(doctor: Any, url: str, level: str) -> None:
    assert levels(doctor(public_url=url))["public pages"] == level


KEY = {"kty": "oct", "k": "c2hvd24gYnkgYSB0ZXN0LCBhbmQgbG9uZyBlbm91Z2g", "kid": "one"}


@contextmanager
def told_by(document: dict[str, object]) -> Iterator[str]:
    """A provider of OpenID Connect that says this of itself; its issuer."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            issuer = f"http://127.0.0.1:{server.server_port}"
            keys = {"keys": [KEY]}
            known = {
                "issuer": issuer, "authorization_endpoint": f"{issuer}/in", "token_endpoint": f"{issuer}/token",
                "jwks_uri": f"{issuer}/keys",
            }  # fmt: skip
            found = keys if self.path == "/keys" else known | document
            body = json.dumps(found).encode()
            self.send_response(200 if self.path in ("/keys", "/.well-known/openid-configuration") else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize(
    ("document", "changes", "level", "says"),
    [
        ({}, {}, "ok", "answers and shows its keys"),
        ({"issuer": "https://other.example"}, {}, "failed", "calls itself 'https://other.example'"),
        ({"jwks_uri": "http://keys.example"}, {}, "failed", "jwks_uri is no https address"),
        ({}, {"openid_client_id": ""}, "failed", "POSTLANE_OPENID_CLIENT_ID is not set"),
        ({}, {"openid_issuer": "http://127.0.0.1:1"}, "failed", "does not answer"),
        ({}, {"server_networks": "[]"}, "failed", "POSTLANE_SERVER_NETWORKS"),
    ],
)
def test_a_provider_that_lets_nobody_in_is_said(
    doctor: Any, document: dict[str, object], changes: dict[str, str], level: str, says: str
) -> None:
    with told_by(document) as issuer:
        given = {"openid_issuer": issuer, "openid_client_id": "postlane", "server_networks": '["127.0.0.0/8"]'}
        answer = doctor(**given | changes)
    assert levels(answer)["openid"] == level
    assert says in told(answer, "openid")
