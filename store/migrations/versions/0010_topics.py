"""Topics (types of mail), what recipients chose about them, and the history of every choice.

A topic that was deleted stays as a row: its default and its choices rule mail of it that waits. `choices.topic_id` of
zeros is all marketing mail of the application: its only use is the pause. Nothing here refers to `applications`: mail
of one that was deleted may still be under way, and what was chosen about it holds.
"""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_TOPICS = """
CREATE TABLE topics (
  id uuid PRIMARY KEY, application_id uuid NOT NULL, name text NOT NULL, description text NOT NULL DEFAULT '',
  default_subscription text NOT NULL CHECK (default_subscription IN ('opt_in', 'opt_out')),
  visibility text NOT NULL CHECK (visibility IN ('public', 'private')),
  lane text NOT NULL CHECK (lane IN ('transactional', 'marketing')),
  is_default boolean NOT NULL DEFAULT false, created_at timestamptz NOT NULL DEFAULT now(), deleted_at timestamptz);
CREATE INDEX topics_by_application ON topics (application_id, id);
CREATE UNIQUE INDEX topics_default ON topics (application_id) WHERE is_default;
"""

_CHOICES = """
CREATE TABLE choices (
  address text NOT NULL COLLATE "C", application_id uuid NOT NULL, topic_id uuid NOT NULL,
  subscription text CHECK (subscription IN ('opt_in', 'opt_out')), paused_until timestamptz,
  updated_at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (address, application_id, topic_id));
"""

_HISTORY = """
CREATE TABLE choice_history (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, address text NOT NULL COLLATE "C", application_id uuid NOT NULL,
  topic_id uuid, what text NOT NULL, until timestamptz, source text NOT NULL, ip text, email_id uuid,
  detail text NOT NULL DEFAULT '', at timestamptz NOT NULL DEFAULT now());
CREATE INDEX choice_history_by_address ON choice_history (address, application_id, id);
"""


def upgrade() -> None:
    for statements in (_TOPICS, _CHOICES, _HISTORY):
        op.execute(statements)


def downgrade() -> None:
    op.execute("DROP TABLE choice_history, choices, topics")
