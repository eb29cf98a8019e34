"""What a transaction changes of what people set up, row by row, for the audit log.

Triggers keep it in a setting of the transaction (`postlane.changes`, a JSON object a line), and only where the
transaction asked for it (`postlane.audited`): those of the API and of the command line do. `accounts/audited` makes one
line of the log of it before the commit. Workers and the console, which tells it in its own words, never pay for it.

Of a table: the noun it belongs to, the column that people know a row by, and columns that are not kept: secrets,
addresses of people, and what changes by itself. Of one that begins with `#` only a trace is kept: texts, for their
length, and sealed passwords. After `ROWS` rows the rest is only counted.
"""

from alembic import op

from store.online import change

revision = "0039"
down_revision = "0038"
branch_labels = None
depends_on = None

ROWS = 40

TABLES = {
    "alarm_mail": ("alarm", "sender", "#sealed_password last_at last_email_id next_try_at tries trouble"),
    "alarm_rules": ("alarm", "rule", "by changed_at"),
    "alarms": ("alarm", "id", "count last_at"),
    "api_keys": ("key", "name", "last_used_at token_hash"),
    "applications": ("application", "name", ""),
    "automation_versions": ("automation_version", "automation_id", ""),
    "automations": ("automation", "id", "next_at updated_at"),
    "breakers": ("breaker", "provider", ""),
    "campaigns": ("campaign", "id", "#body #experiment #html #languages heard_since paced_at updated_at"),
    "capture_rules": ("rule", "pattern", ""),
    "contact_properties": ("property", "key", ""),
    "dkim_keys": ("dkim_key", "domain_id", "#public_key sealed_private_key"),
    "domains": ("domain", "name", "checked_at record_status"),
    "egress_ips": ("ip", "address", "#sealed_password #via changed_at"),
    "event_definitions": ("event", "name", "updated_at"),
    "images": ("image", "name", "data hash"),
    "pool_assignments": ("pool_assignment", "pool_id", ""),
    "pool_ips": ("pool_member", "pool_id", ""),
    "pools": ("pool", "name", ""),
    "seeds": ("seed", "address", "#sealed_password due_at trouble"),
    "segments": ("segment", "id", "updated_at"),
    "signup_forms": ("form", "name", "updated_at"),
    "suppressions": ("suppression", "id", "actor address detail note source_id"),
    "tapering_policies": ("topic_policy", "topic_id", "updated_at"),
    "template_languages": ("template_language", "version_id", "#html #plain #source #text_source"),
    "template_versions": ("template_version", "template_id", ""),
    "templates": ("template", "id", "updated_at"),
    "throttles": ("throttle", "subject", "#reply good stepped_at"),
    "topics": ("topic", "name", ""),
    "warmup_plans": ("plan", "name", ""),
    "warmup_tracks": ("warmup_track", "ip", "last_used progress_at"),
    "warmups": ("warmup", "ip", "evaluated_to"),
    "webhook_endpoints": ("webhook", "id", "failing_since failures rest_until served_by served_until"),
    "webhook_secrets": ("webhook_secret", "endpoint_id", "sealed"),
}
"""Table → noun, the column of its name, what is not kept."""

GONE = {
    "contacts": ("contact", "id", "address email first_name language last_name properties time_zone"),
}
"""The same of tables whose rows are noted when they are deleted only."""

KEEP = f"""
CREATE OR REPLACE FUNCTION audited() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  counted integer := coalesce(nullif(current_setting('postlane.changed', true), ''), '0')::integer + 1;
  was jsonb;
  becomes jsonb;
  hidden text;
BEGIN
  IF counted <= {ROWS} THEN
    IF TG_OP <> 'INSERT' THEN was := to_jsonb(OLD); END IF;
    IF TG_OP <> 'DELETE' THEN becomes := to_jsonb(NEW); END IF;
    FOREACH hidden IN ARRAY TG_ARGV[2:] LOOP
      IF starts_with(hidden, '#') THEN
        hidden := substr(hidden, 2);
        was := audit_trace(was, hidden);
        becomes := audit_trace(becomes, hidden);
      ELSE
        was := was - hidden;
        becomes := becomes - hidden;
      END IF;
    END LOOP;
    IF was IS NOT DISTINCT FROM becomes THEN RETURN NULL; END IF;
    PERFORM set_config('postlane.changes', concat(current_setting('postlane.changes', true), jsonb_build_object(
      'table', TG_TABLE_NAME, 'noun', TG_ARGV[0], 'name', TG_ARGV[1], 'before', was, 'after', becomes), E'\\n'), true);
  END IF;
  PERFORM set_config('postlane.changed', counted::text, true);
  RETURN NULL;
END $$
"""
TRACE = """
CREATE OR REPLACE FUNCTION audit_trace(kept jsonb, name text) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE WHEN kept ->> name IS NULL THEN kept ELSE jsonb_set(kept, ARRAY[name], to_jsonb(concat(
    length(kept ->> name), ' characters, ', left(encode(sha256(convert_to(kept ->> name, 'UTF8')), 'hex'), 8)))) END $$
"""
ASKED = "current_setting('postlane.audited', true) = 'on'"


def upgrade() -> None:
    op.execute(TRACE)
    op.execute(KEEP)
    change(
        *_triggers(TABLES, "INSERT OR UPDATE OR DELETE"),
        *_triggers(GONE, "DELETE"),
    )


def downgrade() -> None:
    for table in (*TABLES, *GONE):
        op.execute(f"DROP TRIGGER audited ON {table}")
    op.execute("DROP FUNCTION audited()")
    op.execute("DROP FUNCTION audit_trace(jsonb, text)")


def _triggers(tables: dict[str, tuple[str, str, str]], events: str) -> list[str]:
    return [
        f"CREATE OR REPLACE TRIGGER audited AFTER {events} ON {table} FOR EACH ROW WHEN ({ASKED})"
        f" EXECUTE FUNCTION audited({', '.join(repr(word) for word in (noun, name, *hidden.split()))})"
        for table, (noun, name, hidden) in tables.items()
    ]
