"""People of imports are asked in turns of their applications: each one's, oldest first."""

from alembic import op

from store.online import index

revision = "0032"
down_revision = "0031"
branch_labels = None
depends_on = None


def upgrade() -> None:
    index(
        "confirmations_turns_of_imports",
        "confirmations",
        "(application_id, mail_at, id) WHERE import_id IS NOT NULL AND next_mail = 'confirm'",
    )


def downgrade() -> None:
    op.execute("DROP INDEX confirmations_turns_of_imports")
