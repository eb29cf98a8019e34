"""Lists of contacts that were uploaded and not begun: somebody looks at what their columns mean first. Their pieces
stand in `contact_import_parts`, under the id of the upload, and become the import's when it begins. Follows 0053.
"""

from alembic import op

revision = "0054"
down_revision = "0053"
branch_labels = None
depends_on = None

SCHEMA = """
CREATE TABLE contact_uploads (
  id uuid PRIMARY KEY, application_id uuid NOT NULL, name text NOT NULL, actor text NOT NULL,
  bytes bigint NOT NULL, lines bigint NOT NULL, created_at timestamptz NOT NULL DEFAULT now());
CREATE INDEX contact_uploads_by_application ON contact_uploads (application_id, id);
"""


def upgrade() -> None:
    op.execute(SCHEMA)


def downgrade() -> None:
    op.execute("DROP TABLE contact_uploads")
