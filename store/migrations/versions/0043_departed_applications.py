"""Applications that are gone and whose people are still being taken away, in slices (`audience/forgetting`): one row
each until nothing is left of them."""

from alembic import op

revision = "0043"
down_revision = "0042"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        "CREATE TABLE departed_applications (application_id uuid PRIMARY KEY, at timestamptz NOT NULL DEFAULT now())"
    )


def downgrade() -> None:
    op.execute("DROP TABLE departed_applications")
