"""Sign-up: forms, confirmations that wait, imports of contacts.

A confirmation is one row per folded address and application, whatever asks: whoever signs somebody else up a thousand
times fills one row. It holds what the person will get once they confirm, and when which mail of ours is due; imports
queue theirs apart, for they leave at a pace of their own. An uploaded file waits in parts in the database, so that
whichever process works on it finds it, and goes when the import has ended.
"""

from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

_FORMS = """
CREATE TABLE signup_forms (
  id uuid PRIMARY KEY, application_id uuid NOT NULL, name text NOT NULL, sender text NOT NULL,
  segment_id uuid, topics uuid[] NOT NULL DEFAULT '{}', fields jsonb NOT NULL DEFAULT '[]',
  language text NOT NULL, texts jsonb NOT NULL DEFAULT '{}', origins text[] NOT NULL DEFAULT '{}',
  welcome boolean NOT NULL DEFAULT true, created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now(), deleted_at timestamptz);
CREATE INDEX signup_forms_by_application ON signup_forms (application_id, id);
"""

_CONFIRMATIONS = """
CREATE TABLE confirmations (
  id uuid PRIMARY KEY, application_id uuid NOT NULL, address text NOT NULL COLLATE "C", email text NOT NULL,
  form_id uuid, import_id uuid, language text NOT NULL, wanted jsonb NOT NULL DEFAULT '{}', ip text,
  asked_at timestamptz NOT NULL, expires_at timestamptz NOT NULL,
  next_mail text CHECK (next_mail IN ('confirm', 'reminder', 'welcome')), mail_at timestamptz,
  mails smallint NOT NULL DEFAULT 0, mailed_at timestamptz, email_id uuid, unsent text, confirmed_at timestamptz,
  UNIQUE (application_id, address), CHECK ((next_mail IS NULL) = (mail_at IS NULL)));
CREATE INDEX confirmations_due ON confirmations (mail_at)
  WHERE mail_at IS NOT NULL AND (import_id IS NULL OR next_mail <> 'confirm');
CREATE INDEX confirmations_due_of_imports ON confirmations (mail_at, id)
  WHERE import_id IS NOT NULL AND next_mail = 'confirm';
CREATE INDEX confirmations_mailed_of_imports ON confirmations (mailed_at) WHERE import_id IS NOT NULL;
CREATE INDEX confirmations_by_address ON confirmations (address);
CREATE INDEX confirmations_by_end ON confirmations (expires_at);
CREATE INDEX confirmations_by_form ON confirmations (form_id) WHERE form_id IS NOT NULL;
"""

_IMPORTS = """
CREATE TABLE contact_imports (
  id uuid PRIMARY KEY, application_id uuid NOT NULL, fingerprint text NOT NULL, name text NOT NULL, actor text NOT NULL,
  terms jsonb NOT NULL, status text NOT NULL CHECK (status IN ('queued', 'in_progress', 'completed', 'failed')),
  failure text, line bigint NOT NULL DEFAULT 0, total bigint NOT NULL DEFAULT 0, created bigint NOT NULL DEFAULT 0,
  updated bigint NOT NULL DEFAULT 0, skipped bigint NOT NULL DEFAULT 0, failed bigint NOT NULL DEFAULT 0,
  confirmations bigint NOT NULL DEFAULT 0, reasons jsonb NOT NULL DEFAULT '{}', faults jsonb NOT NULL DEFAULT '[]',
  created_at timestamptz NOT NULL DEFAULT now(), updated_at timestamptz NOT NULL DEFAULT now(),
  completed_at timestamptz);
CREATE INDEX contact_imports_by_application ON contact_imports (application_id, id);
CREATE UNIQUE INDEX contact_imports_open ON contact_imports (application_id, fingerprint) WHERE completed_at IS NULL;

CREATE TABLE contact_import_parts (
  import_id uuid NOT NULL, part integer NOT NULL, data bytea NOT NULL, PRIMARY KEY (import_id, part));
ALTER TABLE contact_import_parts ALTER COLUMN data SET STORAGE EXTERNAL;
"""


def upgrade() -> None:
    for statements in (_FORMS, _CONFIRMATIONS, _IMPORTS):
        op.execute(statements)


def downgrade() -> None:
    op.execute("DROP TABLE contact_import_parts, contact_imports, confirmations, signup_forms")
