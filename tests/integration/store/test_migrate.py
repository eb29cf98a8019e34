"""Migrations: from nothing to the newest, again without effect, and by several at once."""

import concurrent.futures
import uuid
from collections.abc import Iterator
from importlib import import_module

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import create_engine, text

from core.errors import ConfigurationError
from store import migrate, revisions
from store.database import DatabaseUnavailableError
from tests.servers import TestServers, drop_database, with_database

TABLES = {
    "applications", "api_keys", "domains", "dkim_keys", "pools", "egress_ips", "pool_ips", "suppressions", "emails",
    "contents", "attachments", "messages", "events", "delivery_queue", "idempotency_keys", "outcome_counts",
    "inbound_mail",
}  # fmt: skip


@pytest.fixture
def empty_url(servers: TestServers) -> Iterator[str]:
    name = f"postlane_empty_{uuid.uuid4().hex}"
    with psycopg.connect(servers.database_url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    yield with_database(servers.database_url, name)
    drop_database(servers.database_url, name)


def tables(url: str) -> set[str]:
    with psycopg.connect(url) as connection:
        found = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
    return {name for (name,) in found}


def test_empty_database_gets_every_table(empty_url: str) -> None:
    assert migrate.current(empty_url) == ""
    reached = migrate.upgrade(empty_url)

    assert reached == revisions.newest() == migrate.current(empty_url) != ""
    assert tables(empty_url) >= TABLES - {"emails"}
    assert {"emails_default", "messages_default"} <= tables(empty_url)


def test_stored_addresses_are_folded_anew(database_url: str) -> None:
    """What the version before stored: the lower case of its time, with final sigmas."""
    fold_anew = import_module("store.migrations.versions.0006_fold_anew")._fold_anew
    engine = create_engine(database_url.replace("postgresql://", "postgresql+psycopg://"))
    add = "INSERT INTO suppressions (id, address, scope, reason, source) VALUES (gen_random_uuid(), '{}', '{}', '', '')"
    with engine.begin() as connection:
        for address, scope in (("ως@x.example", "all"), ("ωσ@x.example", "all"), ("ως@x.example", "marketing")):
            connection.execute(text(add.format(address, scope)))
        fold_anew(connection, "suppressions")
        kept = connection.execute(text("SELECT address, scope FROM suppressions ORDER BY scope, address")).fetchall()
    engine.dispose()
    assert [tuple(row) for row in kept] == [
        ("ως@x.example", "all"), ("ωσ@x.example", "all"), ("ωσ@x.example", "marketing"),
    ]  # fmt: skip


def test_again_changes_nothing(empty_url: str) -> None:
    migrate.upgrade(empty_url)
    before = tables(empty_url)

    assert migrate.upgrade(empty_url) == revisions.newest()
    assert tables(empty_url) == before


def test_several_at_once_take_turns(empty_url: str) -> None:
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        reached = list(pool.map(migrate.upgrade, [empty_url] * 3))

    assert reached == [revisions.newest()] * 3


def test_away_server_is_said() -> None:
    url = "postgresql://somebody@127.0.0.1:1/nowhere"
    with pytest.raises(DatabaseUnavailableError, match="Connection refused"):
        migrate.upgrade(url)
    with pytest.raises(DatabaseUnavailableError, match="Connection refused"):
        migrate.current(url)


def test_database_of_a_newer_version_is_refused_in_words(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(ConfigurationError, match=r"revision 9999.*newer version of Postlane.*Nothing was changed"):
        migrate.upgrade(database_url)
    assert migrate.current(database_url) == "9999"
