"""Mail that came back: who brought it, what was understood, about which message, and when it is looked at (again).

`due_at` is also the lease of who works on it. `result` stays NULL until something followed, or nothing ever will.
"""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute(
        "ALTER TABLE inbound_mail ADD COLUMN mail_from text NOT NULL DEFAULT '',"
        " ADD COLUMN peer text NOT NULL DEFAULT '', ADD COLUMN due_at timestamptz NOT NULL DEFAULT now(),"
        " ADD COLUMN author text NOT NULL DEFAULT '', ADD COLUMN subject text NOT NULL DEFAULT '',"
        " ADD COLUMN kind text, ADD COLUMN email_id uuid, ADD COLUMN position smallint, ADD COLUMN placed_by text,"
        " ADD COLUMN detail text NOT NULL DEFAULT ''"
    )
    op.execute("CREATE INDEX inbound_mail_due ON inbound_mail (due_at) WHERE result IS NULL")
    op.execute("CREATE INDEX inbound_mail_results ON inbound_mail (result, id)")


def downgrade() -> None:
    op.execute("DROP INDEX inbound_mail_due, inbound_mail_results")
    op.execute(
        "ALTER TABLE inbound_mail DROP COLUMN mail_from, DROP COLUMN peer, DROP COLUMN due_at, DROP COLUMN author,"
        " DROP COLUMN subject, DROP COLUMN kind, DROP COLUMN email_id, DROP COLUMN position, DROP COLUMN placed_by,"
        " DROP COLUMN detail"
    )
