"""Suppressions have owners and may hold for one application; the queue says whose mail it is.

`suppressions.owner_id` is the application that added an entry, or whose mail led to it: it alone, or an operator, may
remove it. NULL, as in all older rows, is an entry of the operators. `scope` may now be `<application>` or
`<application> <lane>` too (`suppression/repository.scope_key`), which keeps (address, scope) unique and one index
enough. `delivery_queue.application_id` lets the claim ask for those; rows of the version before have none.
"""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_ONE_APPLICATION = "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}( (transactional|marketing))?"


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    # Not validated: every older row has one of the three words, and reading millions would hold the lock.
    op.execute(
        "ALTER TABLE suppressions ADD COLUMN owner_id uuid, DROP CONSTRAINT suppressions_scope_check,"
        " ADD CONSTRAINT suppressions_scope_check CHECK (scope IN ('all', 'transactional', 'marketing')"
        f" OR scope ~ '^{_ONE_APPLICATION}$') NOT VALID"
    )
    op.execute("ALTER TABLE delivery_queue ADD COLUMN application_id uuid")


def downgrade() -> None:
    op.execute("DELETE FROM suppressions WHERE scope NOT IN ('all', 'transactional', 'marketing')")
    op.execute("ALTER TABLE delivery_queue DROP COLUMN application_id")
    op.execute(
        "ALTER TABLE suppressions DROP COLUMN owner_id, DROP CONSTRAINT suppressions_scope_check,"
        " ADD CONSTRAINT suppressions_scope_check CHECK (scope IN ('all', 'transactional', 'marketing'))"
    )
