"""What an email says about itself beside its content: its type (topic), what is tracked in it, whether it may leave.

`topic_id` and `capture` stand on the queue row too: the claim asks for the choices of the recipient, and sees that
a mail is only to be captured, in its one statement. A tracking of NULL is that of the sender's domain.
"""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute(
        "ALTER TABLE emails ADD COLUMN topic_id uuid, ADD COLUMN open_tracking boolean,"
        " ADD COLUMN click_tracking boolean, ADD COLUMN capture boolean NOT NULL DEFAULT false"
    )
    op.execute("ALTER TABLE delivery_queue ADD COLUMN topic_id uuid, ADD COLUMN capture boolean NOT NULL DEFAULT false")


def downgrade() -> None:
    op.execute("ALTER TABLE delivery_queue DROP COLUMN topic_id, DROP COLUMN capture")
    op.execute(
        "ALTER TABLE emails DROP COLUMN topic_id, DROP COLUMN open_tracking, DROP COLUMN click_tracking,"
        " DROP COLUMN capture"
    )
