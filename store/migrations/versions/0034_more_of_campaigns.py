"""Campaigns that follow another one, tag their links, stand on the web, and say it in several languages.

`follows` names the campaign whose people get it, `follows_whom` which of them. The rest is kept as it is asked for.
"""

from store.online import change

revision = "0034"
down_revision = "0033"
branch_labels = None
depends_on = None


def upgrade() -> None:
    change(
        "ALTER TABLE campaigns ADD COLUMN IF NOT EXISTS follows uuid, ADD COLUMN IF NOT EXISTS follows_whom text,"
        " ADD COLUMN IF NOT EXISTS utm jsonb NOT NULL DEFAULT '{}',"
        " ADD COLUMN IF NOT EXISTS archive jsonb NOT NULL DEFAULT '{}',"
        " ADD COLUMN IF NOT EXISTS languages jsonb NOT NULL DEFAULT '{}'"
    )


def downgrade() -> None:
    change(
        "ALTER TABLE campaigns DROP COLUMN follows, DROP COLUMN follows_whom, DROP COLUMN utm, DROP COLUMN archive,"
        " DROP COLUMN languages"
    )
