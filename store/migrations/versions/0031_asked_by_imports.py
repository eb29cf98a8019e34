"""What became of the people whom an import asks: found by the import."""

from alembic import op

from store.online import index

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None


def upgrade() -> None:
    index("confirmations_by_import", "confirmations", "(import_id) WHERE import_id IS NOT NULL")


def downgrade() -> None:
    op.execute("DROP INDEX confirmations_by_import")
