"""DKIM keys that come and go while another signs; how much an application may bring in, and has."""

from alembic import op

from store.online import change

revision = "0041"
down_revision = "0040"
branch_labels = None
depends_on = None


def upgrade() -> None:
    change(
        "ALTER TABLE dkim_keys ADD COLUMN IF NOT EXISTS state text NOT NULL DEFAULT 'active'"
        " CHECK (state IN ('coming', 'active', 'retired')), ADD COLUMN IF NOT EXISTS retired_at timestamptz",
        "ALTER TABLE applications ADD COLUMN IF NOT EXISTS messages_per_day bigint,"
        " ADD COLUMN IF NOT EXISTS messages_per_second integer",
        "CREATE TABLE IF NOT EXISTS application_use ("
        " application_id uuid PRIMARY KEY REFERENCES applications ON DELETE CASCADE,"
        " day date NOT NULL DEFAULT current_date, accepted bigint NOT NULL DEFAULT 0,"
        " tokens double precision NOT NULL DEFAULT 0, at timestamptz)"
        " WITH (fillfactor = 50)",
    )


def downgrade() -> None:
    op.execute("DROP TABLE application_use")
    op.execute("ALTER TABLE applications DROP COLUMN messages_per_day, DROP COLUMN messages_per_second")
    op.execute("DELETE FROM dkim_keys WHERE state <> 'active'")
    op.execute("ALTER TABLE dkim_keys DROP COLUMN state, DROP COLUMN retired_at")
