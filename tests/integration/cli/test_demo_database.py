"""A demo stays out of a database that somebody works with."""

import psycopg
import pytest

from cli.running.demo import APPLICATION, refuse_strangers
from core.errors import ConfigurationError
from core.ids import uuid7


def test_a_database_in_use_is_refused(database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        refuse_strangers(database_url)
        connection.execute("INSERT INTO applications (id, name) VALUES (%s, %s)", [uuid7(), APPLICATION])
        refuse_strangers(database_url)
        connection.execute("INSERT INTO applications (id, name) VALUES (%s, 'shop')", [uuid7()])
    with pytest.raises(ConfigurationError, match="holds the application 'shop'"):
        refuse_strangers(database_url)


def test_a_database_without_tables_is_nobodys(database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("INSERT INTO applications (id, name) VALUES (%s, 'shop')", [uuid7()])
        with pytest.raises(ConfigurationError):
            refuse_strangers(database_url)
        connection.execute("DROP TABLE applications CASCADE")
        refuse_strangers(database_url)

        assert connection.execute("SELECT to_regclass('applications')").fetchone() == (None,), "and nothing is made"
