"""What an email says about itself beside its content: its type (topic), what is tracked in it, whether it may leave.

`topic_id` and `capture` stand on the queue row too: the claim asks for the choices of the recipient, and sees that
a mail is only to be captured, in its one statement. A tracking of NULL is that of the sender's domain.
"""

from alembic import op

from store.online import change

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    change(
        "ALTER TABLE emails ADD COLUMN IF NOT EXISTS topic_id uuid, ADD COLUMN IF NOT EXISTS open_tracking boolean,"
        " ADD COLUMN IF NOT EXISTS click_tracking boolean,"
        " ADD COLUMN IF NOT EXISTS capture boolean NOT NULL DEFAULT false",
        "ALTER TABLE delivery_queue ADD COLUMN IF NOT EXISTS topic_id uuid,"
        " ADD COLUMN IF NOT EXISTS capture boolean NOT NULL DEFAULT false",
    )


def downgrade() -> None:
    op.execute("ALTER TABLE delivery_queue DROP COLUMN topic_id, DROP COLUMN capture")
    op.execute(
        "ALTER TABLE emails DROP COLUMN topic_id, DROP COLUMN open_tracking, DROP COLUMN click_tracking,"
        " DROP COLUMN capture"
    )
