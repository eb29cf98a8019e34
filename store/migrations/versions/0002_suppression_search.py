"""Search in a suppression list of millions: by beginning of the address, by domain, by reason and scope.

`address` gets the collation "C": addresses are folded keys, not words of a language, and only in byte order can the
unique index (address, scope) also answer "begins with". So the search by address needs no index of its own.
"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute('ALTER TABLE suppressions ALTER COLUMN address TYPE text COLLATE "C"')
    # A folded address has exactly one "@": quoted local parts are refused (core/addresses).
    op.execute("CREATE INDEX suppressions_by_domain ON suppressions (split_part(address, '@', 2), id)")
    # One expression, not two columns: a scan between two rows ends early only where the first column differs.
    op.execute("CREATE INDEX suppressions_by_reason ON suppressions ((scope || ' ' || reason), id)")
    op.execute("CREATE INDEX suppressions_by_end ON suppressions (expires_at) WHERE expires_at IS NOT NULL")


def downgrade() -> None:
    op.execute("DROP INDEX suppressions_by_end, suppressions_by_reason, suppressions_by_domain")
    op.execute('ALTER TABLE suppressions ALTER COLUMN address TYPE text COLLATE "default"')
