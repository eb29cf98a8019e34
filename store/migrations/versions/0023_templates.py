"""Templates, their versions with a row for each language, and images for mail.

A version holds what was written (`source`) and what it became (`html`, `plain`), which is what mail is rendered from.
One with `published_at` never changes; a template has at most one without. Images are kept by their hash: PostgreSQL is
the one place that all hosts of an installation share.
"""

from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

_TEMPLATES = """
CREATE TABLE templates (
  id uuid PRIMARY KEY, application_id uuid NOT NULL, name text NOT NULL, alias text,
  published_id uuid, draft_id uuid, published_at timestamptz,
  created_at timestamptz NOT NULL DEFAULT now(), updated_at timestamptz NOT NULL DEFAULT now(),
  UNIQUE (application_id, alias));
CREATE INDEX templates_by_application ON templates (application_id, id);

CREATE TABLE template_versions (
  id uuid PRIMARY KEY, template_id uuid NOT NULL REFERENCES templates ON DELETE CASCADE, number integer NOT NULL,
  sender text NOT NULL DEFAULT '', reply_to text[] NOT NULL DEFAULT '{}', variables jsonb NOT NULL DEFAULT '[]',
  layout_id uuid, created_at timestamptz NOT NULL DEFAULT now(), published_at timestamptz,
  UNIQUE (template_id, number));
CREATE INDEX template_versions_by_layout ON template_versions (layout_id) WHERE layout_id IS NOT NULL;

CREATE TABLE template_languages (
  version_id uuid NOT NULL REFERENCES template_versions ON DELETE CASCADE, language text NOT NULL,
  kind text NOT NULL CHECK (kind IN ('html', 'mjml', 'blocks')), subject text NOT NULL, source text NOT NULL,
  text_source text, html text NOT NULL, plain text NOT NULL,
  PRIMARY KEY (version_id, language));
"""

_IMAGES = """
CREATE TABLE images (
  id uuid PRIMARY KEY, application_id uuid NOT NULL, hash text NOT NULL, name text NOT NULL,
  type text NOT NULL CHECK (type IN ('png', 'jpeg', 'gif', 'webp')), width integer NOT NULL, height integer NOT NULL,
  size integer NOT NULL, data bytea NOT NULL, created_at timestamptz NOT NULL DEFAULT now(),
  UNIQUE (application_id, hash));
ALTER TABLE images ALTER COLUMN data SET STORAGE EXTERNAL;
CREATE INDEX images_by_hash ON images (hash);
CREATE INDEX images_by_application ON images (application_id, id);
"""


def upgrade() -> None:
    op.execute(_TEMPLATES)
    op.execute(_IMAGES)


def downgrade() -> None:
    op.execute("DROP TABLE images, template_languages, template_versions, templates")
