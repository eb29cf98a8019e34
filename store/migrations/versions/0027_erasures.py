"""People who are being erased: gone over until nothing of their mail is under way, then the row goes with them."""

from alembic import op

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        "CREATE TABLE erasures (application_id uuid NOT NULL, address text NOT NULL,"
        " asked_at timestamptz NOT NULL, due_at timestamptz NOT NULL, PRIMARY KEY (application_id, address))"
    )


def downgrade() -> None:
    op.execute("DROP TABLE erasures")
