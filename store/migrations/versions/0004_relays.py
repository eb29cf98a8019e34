"""Relays as IPs of a pool: what their owner allows, and passwords of relays and proxies sealed.

`via` keeps everything but the password. One that an earlier release stored in it goes on working until it is set anew.
"""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute(
        "ALTER TABLE egress_ips ADD COLUMN sealed_password bytea, ADD COLUMN connections integer,"
        " ADD COLUMN messages_per_second double precision, ADD COLUMN messages_per_hour integer"
    )


def downgrade() -> None:
    op.execute("DELETE FROM egress_ips WHERE connections IS NOT NULL")
    op.execute(
        "ALTER TABLE egress_ips DROP COLUMN sealed_password, DROP COLUMN connections,"
        " DROP COLUMN messages_per_second, DROP COLUMN messages_per_hour"
    )
