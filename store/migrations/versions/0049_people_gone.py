"""How far an audience is fixed, beside its rows: one may stand ahead, of a contact whose address changed. And the
history of deleted contacts by the hash of their address, so that whoever is erased afterwards is gone from it too.
"""

from alembic import op

from store.online import change, index

revision = "0049"
down_revision = "0048"
branch_labels = None
depends_on = None

# Of those that are being fixed at this moment the last row says it, as before.
_UNDER_WAY = """
UPDATE campaigns c SET fixed_to = (
  SELECT contact_id FROM campaign_recipients r WHERE r.campaign_id = c.id ORDER BY contact_id DESC LIMIT 1)
 WHERE c.fixed_at IS NULL AND c.fixed_to IS NULL AND c.state IN ('sending', 'paused', 'stopped')
"""


def upgrade() -> None:
    change("ALTER TABLE campaigns ADD COLUMN IF NOT EXISTS fixed_to uuid", _UNDER_WAY)
    index("contact_history_of_deleted", "contact_history",
          "(application_id, (detail->>'address_hash')) WHERE what = 'deleted'")  # fmt: skip


def downgrade() -> None:
    op.execute("DROP INDEX contact_history_of_deleted")
    op.execute("ALTER TABLE campaigns DROP COLUMN fixed_to")
