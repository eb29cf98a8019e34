"""Mail about one message is bounded: what a mail says is known again (`digest`), and `further` counts what came after.

The index finds what came about a message before.
`inbound_mail_waiting` of 0001 is asked by nobody since 0011.
"""

from alembic import op

from store.online import change, index

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    change(
        "ALTER TABLE inbound_mail ADD COLUMN IF NOT EXISTS digest bytea,"
        " ADD COLUMN IF NOT EXISTS further integer NOT NULL DEFAULT 0",
        "DROP INDEX IF EXISTS inbound_mail_waiting",
    )
    index("inbound_mail_by_message", "inbound_mail", "(email_id, position) WHERE digest IS NOT NULL")


def downgrade() -> None:
    op.execute("CREATE INDEX inbound_mail_waiting ON inbound_mail (received_at) WHERE result IS NULL")
    op.execute("DROP INDEX inbound_mail_by_message")
    op.execute("ALTER TABLE inbound_mail DROP COLUMN digest, DROP COLUMN further")
