"""Mail that came back: who brought it, what was understood, about which message, and when it is looked at (again).

`due_at` is also the lease of who works on it. `result` stays NULL until something followed, or nothing ever will.
"""

from alembic import op

from store.online import change, index

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    change(
        "ALTER TABLE inbound_mail ADD COLUMN IF NOT EXISTS mail_from text NOT NULL DEFAULT '',"
        " ADD COLUMN IF NOT EXISTS peer text NOT NULL DEFAULT '',"
        " ADD COLUMN IF NOT EXISTS due_at timestamptz NOT NULL DEFAULT now(),"
        " ADD COLUMN IF NOT EXISTS author text NOT NULL DEFAULT '',"
        " ADD COLUMN IF NOT EXISTS subject text NOT NULL DEFAULT '', ADD COLUMN IF NOT EXISTS kind text,"
        " ADD COLUMN IF NOT EXISTS email_id uuid, ADD COLUMN IF NOT EXISTS position smallint,"
        " ADD COLUMN IF NOT EXISTS placed_by text, ADD COLUMN IF NOT EXISTS detail text NOT NULL DEFAULT ''"
    )
    index("inbound_mail_due", "inbound_mail", "(due_at) WHERE result IS NULL")
    index("inbound_mail_results", "inbound_mail", "(result, id)")


def downgrade() -> None:
    op.execute("DROP INDEX inbound_mail_due, inbound_mail_results")
    op.execute(
        "ALTER TABLE inbound_mail DROP COLUMN mail_from, DROP COLUMN peer, DROP COLUMN due_at, DROP COLUMN author,"
        " DROP COLUMN subject, DROP COLUMN kind, DROP COLUMN email_id, DROP COLUMN position, DROP COLUMN placed_by,"
        " DROP COLUMN detail"
    )
