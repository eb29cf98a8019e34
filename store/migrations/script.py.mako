"""${message}

Must stay compatible with the version that is still running while it is applied: add first, remove a release later.
"""

from alembic import op

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    ${upgrades if upgrades else "raise RuntimeError('write this migration')"}


def downgrade() -> None:
    ${downgrades if downgrades else "raise RuntimeError('restore the backup instead')"}
