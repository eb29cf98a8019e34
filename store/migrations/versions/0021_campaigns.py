"""Campaigns: what is sent, to whom, and what became of each person.

`campaign_recipients` is one row for each person, fixed when the campaign starts; whoever is named here is a contact, so
that erasing somebody needs nothing here. `campaign_contents` is what was sent, per variant and language, and never
changes once mail has left with it. `campaign_news` is what happened to mail of campaigns, written with the timeline and
taken once by `campaigns/settle`. `campaign_tallies` counts rows by state, in the transactions that move them.
`halted_campaigns` names those of which nothing may leave now; it is read by every claim, and nearly always empty.

Emails and queue rows name their campaign, and an email its contact. The index of the queue holds campaigns' mail only.
"""

from alembic import op

from store.online import change, index

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

_CAMPAIGNS = """
CREATE TABLE campaigns (
  id uuid PRIMARY KEY, application_id uuid NOT NULL, name text NOT NULL DEFAULT '',
  state text NOT NULL DEFAULT 'draft' CHECK (state IN
    ('draft', 'scheduled', 'sending', 'paused', 'stopped', 'finished', 'cancelled')),
  reason text NOT NULL DEFAULT '', segment_id uuid, topic_id uuid, pool_id uuid, sender text NOT NULL,
  subject text NOT NULL DEFAULT '', preview_text text NOT NULL DEFAULT '', reply_to text[] NOT NULL DEFAULT '{}',
  html text, body text, template text, tags jsonb NOT NULL DEFAULT '[]', open_tracking boolean, click_tracking boolean,
  capture boolean NOT NULL DEFAULT false, plan jsonb NOT NULL DEFAULT '{}', experiment jsonb NOT NULL DEFAULT '{}',
  scheduled_at timestamptz, fixed_at timestamptz, started_at timestamptz, ended_at timestamptz,
  created_at timestamptz NOT NULL DEFAULT now(), updated_at timestamptz NOT NULL DEFAULT now());
CREATE INDEX campaigns_by_application ON campaigns (application_id, id);
CREATE INDEX campaigns_at_work ON campaigns (state) WHERE state NOT IN ('draft', 'finished');

CREATE TABLE campaign_contents (
  id uuid PRIMARY KEY, campaign_id uuid NOT NULL, variant smallint NOT NULL, language text NOT NULL DEFAULT '',
  sender text NOT NULL, subject text NOT NULL, html text, body text, headers jsonb NOT NULL DEFAULT '[]',
  UNIQUE (campaign_id, variant, language));
"""

# Each row is changed two or three times: with room on its page it need not move.
_RECIPIENTS = """
CREATE TABLE campaign_recipients (
  campaign_id uuid NOT NULL, contact_id uuid NOT NULL, email_id uuid, due_at timestamptz NOT NULL,
  engaged_at timestamptz, queued_at timestamptz, ended_at timestamptz, opened_at timestamptz, clicked_at timestamptz,
  unsubscribed_at timestamptz, complained_at timestamptz, variant smallint NOT NULL DEFAULT 0,
  state text NOT NULL DEFAULT 'waiting', destination text NOT NULL, reason text, provider text, ip text, class text,
  PRIMARY KEY (campaign_id, contact_id)) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05);
CREATE INDEX campaign_recipients_by_contact ON campaign_recipients (contact_id);
CREATE INDEX campaign_recipients_waiting ON campaign_recipients (campaign_id, due_at, engaged_at DESC NULLS LAST)
 WHERE state = 'waiting';

CREATE TABLE campaign_tallies (
  campaign_id uuid NOT NULL, state text NOT NULL, n bigint NOT NULL, PRIMARY KEY (campaign_id, state))
  WITH (fillfactor = 50);

CREATE TABLE campaign_links (
  campaign_id uuid NOT NULL, number integer NOT NULL, url text NOT NULL, PRIMARY KEY (campaign_id, number));
CREATE UNIQUE INDEX campaign_links_by_url ON campaign_links (campaign_id, md5(url));

CREATE TABLE campaign_clicks (
  campaign_id uuid NOT NULL, contact_id uuid NOT NULL, number integer NOT NULL, clicks integer NOT NULL,
  PRIMARY KEY (campaign_id, contact_id, number)) WITH (fillfactor = 80);
"""

_NEWS = """
CREATE TABLE campaign_news (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, campaign_id uuid NOT NULL, contact_id uuid NOT NULL,
  email_id uuid NOT NULL, kind text NOT NULL, at timestamptz NOT NULL, detail text, ip text, provider text, class text,
  link text, machine boolean NOT NULL DEFAULT false);

CREATE TABLE halted_campaigns (
  campaign_id uuid PRIMARY KEY, why text NOT NULL, at timestamptz NOT NULL DEFAULT now());
"""


def upgrade() -> None:
    change(
        "ALTER TABLE emails ADD COLUMN IF NOT EXISTS campaign_id uuid, ADD COLUMN IF NOT EXISTS contact_id uuid",
        "ALTER TABLE delivery_queue ADD COLUMN IF NOT EXISTS campaign_id uuid",
    )
    index("delivery_queue_by_campaign", "delivery_queue", "(campaign_id, due_at) WHERE campaign_id IS NOT NULL")
    for statements in (_CAMPAIGNS, _RECIPIENTS, _NEWS):
        op.execute(statements)


def downgrade() -> None:
    op.execute(
        "DROP TABLE halted_campaigns, campaign_news, campaign_clicks, campaign_links, campaign_tallies,"
        " campaign_recipients, campaign_contents, campaigns"
    )
    op.execute("ALTER TABLE delivery_queue DROP COLUMN campaign_id")
    op.execute("ALTER TABLE emails DROP COLUMN campaign_id, DROP COLUMN contact_id")
