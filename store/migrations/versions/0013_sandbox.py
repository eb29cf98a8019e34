"""The sandbox: test keys, what of live mail is caught too, and the mailbox that both end in.

`messages.capture` says for good what the queue row said while the mail was on its way: it never left. An email is a
test as a whole (`emails.capture`) when a test key sent it; a rule catches single recipients. `captured_mails` names a
message once, so that a worker that is killed and does it again keeps no second copy.
"""

from alembic import op

from store.online import change, index_partitions

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

RULES = """
CREATE TABLE IF NOT EXISTS capture_rules (
  id uuid PRIMARY KEY, application_id uuid NOT NULL REFERENCES applications ON DELETE CASCADE,
  pattern text NOT NULL, created_at timestamptz NOT NULL DEFAULT now(), UNIQUE (application_id, pattern))
"""

MAILBOX = """
CREATE TABLE captured_mails (
  id uuid PRIMARY KEY, application_id uuid NOT NULL, email_id uuid NOT NULL, position smallint NOT NULL,
  captured_at timestamptz NOT NULL DEFAULT now(), mail_from text NOT NULL, rcpt_to text NOT NULL,
  size integer NOT NULL, raw bytea NOT NULL, UNIQUE (email_id, position));
ALTER TABLE captured_mails ALTER COLUMN raw SET STORAGE EXTERNAL;
CREATE INDEX captured_mails_by_application ON captured_mails (application_id, id);

CREATE TABLE simulated_complaints (
  email_id uuid NOT NULL, position smallint NOT NULL, due_at timestamptz NOT NULL, PRIMARY KEY (email_id, position));
"""


def upgrade() -> None:
    change(
        "ALTER TABLE api_keys ADD COLUMN IF NOT EXISTS test boolean NOT NULL DEFAULT false",
        "ALTER TABLE messages ADD COLUMN IF NOT EXISTS capture boolean NOT NULL DEFAULT false",
        RULES,
    )
    index_partitions("emails_of_tests", "emails", "(application_id, id) WHERE capture")
    op.execute(MAILBOX)


def downgrade() -> None:
    op.execute("DROP TABLE simulated_complaints, captured_mails, capture_rules")
    op.execute("DROP INDEX emails_of_tests")
    op.execute("ALTER TABLE messages DROP COLUMN capture")
    op.execute("DELETE FROM api_keys WHERE test")
    op.execute("ALTER TABLE api_keys DROP COLUMN test")
