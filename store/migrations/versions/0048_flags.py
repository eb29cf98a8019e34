"""How feature flags are switched: for everything, and for applications with a switch of their own.

`percent` is the share for which a flag is on; NULL is back to what is declared, with who said so.
"""

from alembic import op

from store.online import change

revision = "0048"
down_revision = "0047"
branch_labels = None
depends_on = None

ASKED = "current_setting('postlane.audited', true) = 'on'"


def upgrade() -> None:
    change(
        "CREATE TABLE IF NOT EXISTS flags ("
        " name text NOT NULL, application_id uuid REFERENCES applications ON DELETE CASCADE,"
        " percent smallint CHECK (percent BETWEEN 0 AND 100), reason text NOT NULL DEFAULT '',"
        " changed_by text NOT NULL, changed_at timestamptz NOT NULL DEFAULT now(),"
        " UNIQUE NULLS NOT DISTINCT (name, application_id))",
        f"CREATE OR REPLACE TRIGGER audited AFTER INSERT OR UPDATE OR DELETE ON flags FOR EACH ROW WHEN ({ASKED})"
        " EXECUTE FUNCTION audited('flag', 'name', 'changed_at', 'changed_by')",
    )


def downgrade() -> None:
    op.execute("DROP TABLE flags")
