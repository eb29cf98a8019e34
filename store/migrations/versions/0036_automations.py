"""Automations: what follows by itself, one run a person, one row a step.

`automations` name their event beside their steps, so that an event finds who waits for it by an index. A version never
changes: a run keeps the one it began with. `automation_runs` are unique by automation, person and entry (the event, or
the first yes), and `automation_steps` by run and position: what was done is not done again. `application_events` is
what applications told. `confirmed_contacts` is who confirmed and was not looked at yet: nearly always empty.
"""

from alembic import op

revision = "0036"
down_revision = "0035"
branch_labels = None
depends_on = None

_AUTOMATIONS = """
CREATE TABLE automations (
  id uuid PRIMARY KEY, application_id uuid NOT NULL, name text NOT NULL,
  state text NOT NULL DEFAULT 'disabled' CHECK (state IN ('enabled', 'disabled')), version_id uuid NOT NULL,
  event_name text NOT NULL, next_at timestamptz, stopped_at timestamptz,
  created_at timestamptz NOT NULL DEFAULT now(), updated_at timestamptz NOT NULL DEFAULT now());
CREATE INDEX automations_by_application ON automations (application_id, id);
CREATE INDEX automations_waiting ON automations (application_id, event_name) WHERE state = 'enabled';
CREATE INDEX automations_next ON automations (next_at) WHERE next_at IS NOT NULL;

CREATE TABLE automation_versions (
  id uuid PRIMARY KEY, automation_id uuid NOT NULL, steps jsonb NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now());
CREATE INDEX automation_versions_by_automation ON automation_versions (automation_id);
"""

# Each run is changed once for each mail: with room on its page it need not move.
_RUNS = """
CREATE TABLE automation_runs (
  id uuid PRIMARY KEY, automation_id uuid NOT NULL, application_id uuid NOT NULL, version_id uuid NOT NULL,
  contact_id uuid NOT NULL, entry text NOT NULL, event_id uuid, position smallint NOT NULL DEFAULT 0,
  state text NOT NULL DEFAULT 'running' CHECK (state IN ('running', 'completed', 'failed', 'cancelled')),
  reason text, due_at timestamptz, held_since timestamptz, created_at timestamptz NOT NULL DEFAULT now(),
  ended_at timestamptz, UNIQUE (automation_id, contact_id, entry)) WITH (fillfactor = 80);
CREATE INDEX automation_runs_due ON automation_runs (application_id, due_at, id) WHERE state = 'running';
CREATE INDEX automation_runs_by_automation ON automation_runs (automation_id, id);
CREATE INDEX automation_runs_by_contact ON automation_runs (contact_id);
CREATE INDEX automation_runs_by_event ON automation_runs (event_id) WHERE event_id IS NOT NULL;
CREATE INDEX automation_runs_ended ON automation_runs (ended_at)
 WHERE ended_at IS NOT NULL AND entry <> 'confirmed';

CREATE TABLE automation_steps (
  run_id uuid NOT NULL, position smallint NOT NULL, state text NOT NULL, email_id uuid, campaign_id uuid, reason text,
  at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (run_id, position));
"""

_EVENTS = """
CREATE TABLE event_definitions (
  id uuid PRIMARY KEY, application_id uuid NOT NULL, name text NOT NULL, schema jsonb,
  created_at timestamptz NOT NULL DEFAULT now(), updated_at timestamptz NOT NULL DEFAULT now(),
  UNIQUE (application_id, name));

CREATE TABLE application_events (
  id uuid PRIMARY KEY, application_id uuid NOT NULL, name text NOT NULL, contact_id uuid NOT NULL,
  payload jsonb NOT NULL DEFAULT '{}', at timestamptz NOT NULL DEFAULT now());
CREATE INDEX application_events_by_contact ON application_events (contact_id);

CREATE TABLE confirmed_contacts (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, application_id uuid NOT NULL, contact_id uuid NOT NULL,
  segment_id uuid);
"""


def upgrade() -> None:
    for statements in (_AUTOMATIONS, _RUNS, _EVENTS):
        op.execute(statements)


def downgrade() -> None:
    op.execute(
        "DROP TABLE confirmed_contacts, application_events, event_definitions, automation_steps, automation_runs,"
        " automation_versions, automations"
    )
