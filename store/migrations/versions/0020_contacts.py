"""People an application writes to: contacts, what is known of them, the lists and segments they are in.

A contact is one folded address in one application. `status` is whether its consent is proved; that somebody has *left*
stands in `choices` and `suppressions` alone, so that there is one answer to it. `properties` holds typed values by the
key of `contact_properties`. A segment without a filter is a list: people are put in, each with a status of its own; one
with a filter has no members and is asked for when it is used. `contact_history` is append-only and names no address, so
that erasing somebody is deleting their rows.
"""

from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

_CONTACTS = """
CREATE TABLE contacts (
  id uuid PRIMARY KEY, application_id uuid NOT NULL, address text NOT NULL COLLATE "C", email text NOT NULL,
  first_name text, last_name text, language text, time_zone text, properties jsonb NOT NULL DEFAULT '{}',
  status text NOT NULL CHECK (status IN ('unconfirmed', 'confirmed')), confirmed_at timestamptz,
  created_at timestamptz NOT NULL DEFAULT now(), updated_at timestamptz NOT NULL DEFAULT now(),
  UNIQUE (application_id, address)) WITH (fillfactor = 90);
CREATE INDEX contacts_by_application ON contacts (application_id, id);
"""

_PROPERTIES = """
CREATE TABLE contact_properties (
  id uuid PRIMARY KEY, application_id uuid NOT NULL, key text NOT NULL,
  type text NOT NULL CHECK (type IN ('string', 'number', 'boolean', 'date')), fallback_value jsonb,
  created_at timestamptz NOT NULL DEFAULT now(), UNIQUE (application_id, key));
"""

_SEGMENTS = """
CREATE TABLE segments (
  id uuid PRIMARY KEY, application_id uuid NOT NULL, name text NOT NULL, filter jsonb,
  created_at timestamptz NOT NULL DEFAULT now(), updated_at timestamptz NOT NULL DEFAULT now(), deleted_at timestamptz);
CREATE INDEX segments_by_application ON segments (application_id, id);

CREATE TABLE segment_members (
  segment_id uuid NOT NULL, contact_id uuid NOT NULL,
  status text NOT NULL CHECK (status IN ('unconfirmed', 'confirmed', 'unsubscribed')),
  added_at timestamptz NOT NULL DEFAULT now(), changed_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (segment_id, contact_id)) WITH (fillfactor = 90);
CREATE INDEX segment_members_by_contact ON segment_members (contact_id);
"""

_HISTORY = """
CREATE TABLE contact_history (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, application_id uuid NOT NULL, contact_id uuid NOT NULL,
  what text NOT NULL, source text NOT NULL, ip text, actor text NOT NULL DEFAULT '', source_id uuid,
  detail jsonb NOT NULL DEFAULT '{}', at timestamptz NOT NULL DEFAULT now());
CREATE INDEX contact_history_by_contact ON contact_history (contact_id, id);
"""


def upgrade() -> None:
    for statements in (_CONTACTS, _PROPERTIES, _SEGMENTS, _HISTORY):
        op.execute(statements)


def downgrade() -> None:
    op.execute("DROP TABLE contact_history, segment_members, segments, contact_properties, contacts")
