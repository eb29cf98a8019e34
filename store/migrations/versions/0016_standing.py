"""What providers say about our IPs and domains: figures of SNDS and Yahoo, Google's compliance state, by day."""

from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute(
        "CREATE TABLE provider_figures ("
        " kind text NOT NULL CHECK (kind IN ('ip', 'domain')), subject text NOT NULL, provider text NOT NULL,"
        " source text NOT NULL, name text NOT NULL, day date NOT NULL, value double precision, text text NOT NULL"
        " DEFAULT '', imported_at timestamptz NOT NULL DEFAULT now(),"
        " PRIMARY KEY (kind, subject, provider, source, name, day))"
    )


def downgrade() -> None:
    op.execute("DROP TABLE provider_figures")
