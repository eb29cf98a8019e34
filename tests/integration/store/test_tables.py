"""Tables as composed questions see them are those that the migrations make."""

import pytest
from sqlalchemy import Table, create_engine, inspect
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg

from store.tables import DESCRIBED

DIALECT = PGDialect_psycopg()


@pytest.mark.parametrize("table", DESCRIBED, ids=lambda table: str(table.name))
def test_a_described_table_is_the_migrated_one(database_url: str, table: Table) -> None:
    engine = create_engine(database_url.replace("postgresql://", "postgresql+psycopg://"))
    found = inspect(engine).get_columns(table.name)
    engine.dispose()
    stored = {
        column["name"]: (column["type"].compile(DIALECT).partition(" COLLATE")[0], bool(column["nullable"]))
        for column in found
    }
    assert {column.name: (column.type.compile(DIALECT), column.nullable) for column in table.columns} == stored
