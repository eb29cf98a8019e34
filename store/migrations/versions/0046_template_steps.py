"""Steps of a template's draft, to undo and redo; how often it was written, to tell whoever would write over another.

A step is the whole writing as JSON: fifty of them at most, and as many bytes as `templates/steps` allows. The content
of a campaign that is written in the editor is a template of its own, which is told by `campaign_id` and in no list.
"""

from alembic import op

from store.online import change, index

revision = "0046"
down_revision = "0045"
branch_labels = None
depends_on = None


def upgrade() -> None:
    change(
        "ALTER TABLE templates ADD COLUMN IF NOT EXISTS revision integer NOT NULL DEFAULT 0,"
        " ADD COLUMN IF NOT EXISTS step integer NOT NULL DEFAULT 0, ADD COLUMN IF NOT EXISTS campaign_id uuid",
        "CREATE TABLE IF NOT EXISTS template_steps ("
        " template_id uuid NOT NULL REFERENCES templates ON DELETE CASCADE, number integer NOT NULL,"
        " what text NOT NULL, writing text NOT NULL, at timestamptz NOT NULL DEFAULT now(),"
        " PRIMARY KEY (template_id, number))",
    )
    index("templates_of_campaigns", "templates", "(campaign_id) WHERE campaign_id IS NOT NULL")


def downgrade() -> None:
    op.execute("DROP TABLE template_steps")
    op.execute("ALTER TABLE templates DROP COLUMN revision, DROP COLUMN step, DROP COLUMN campaign_id")
