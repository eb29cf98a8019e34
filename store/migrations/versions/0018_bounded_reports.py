"""Mail about one message is bounded: what a mail says is known again (`digest`), and `further` counts what came after.

The index finds what came about a message before. No row has a digest yet, so that it is made in a moment.
`inbound_mail_waiting` of 0001 is asked by nobody since 0011.
"""

from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("ALTER TABLE inbound_mail ADD COLUMN digest bytea, ADD COLUMN further integer NOT NULL DEFAULT 0")
    op.execute("CREATE INDEX inbound_mail_by_message ON inbound_mail (email_id, position) WHERE digest IS NOT NULL")
    op.execute("DROP INDEX inbound_mail_waiting")


def downgrade() -> None:
    op.execute("CREATE INDEX inbound_mail_waiting ON inbound_mail (received_at) WHERE result IS NULL")
    op.execute("DROP INDEX inbound_mail_by_message")
    op.execute("ALTER TABLE inbound_mail DROP COLUMN digest, DROP COLUMN further")
