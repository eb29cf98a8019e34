"""Tables as SQLAlchemy Core knows them, for questions whose conditions are put together at run time: searches,
segments. Only what such questions read; the schema itself is the migrations', and a test compares the two.

`compiled` turns a composed question into SQL and parameters for psycopg. Fixed statements stay SQL constants where they
are used, and whatever writes is one of those.
"""

from sqlalchemy import (
    ARRAY,
    UUID,
    Boolean,
    Column,
    DateTime,
    Integer,
    MetaData,
    Select,
    SmallInteger,
    Table,
    Text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg

_metadata = MetaData()
_DIALECT = PGDialect_psycopg()

suppressions = Table(
    "suppressions",
    _metadata,
    Column("id", UUID, primary_key=True),
    Column("address", Text, nullable=False),
    Column("scope", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("expires_at", DateTime(timezone=True)),
    Column("owner_id", UUID),
    Column("note", Text, nullable=False),
    Column("source_id", UUID),
    Column("actor", Text, nullable=False),
)

emails = Table(
    "emails",
    _metadata,
    Column("id", UUID, primary_key=True),
    Column("application_id", UUID, nullable=False),
    Column("domain_id", UUID, nullable=False),
    Column("lane", Text, nullable=False),
    Column("pool_id", UUID),
    Column("content_id", UUID, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("sender", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("to", ARRAY(Text), nullable=False),
    Column("cc", ARRAY(Text), nullable=False),
    Column("bcc", ARRAY(Text), nullable=False),
    Column("reply_to", ARRAY(Text), nullable=False),
    Column("tags", JSONB, nullable=False),
    Column("message_id", Text, nullable=False),
    Column("scheduled_at", DateTime(timezone=True)),
    Column("expires_at", DateTime(timezone=True)),
    Column("topic_id", UUID),
    Column("open_tracking", Boolean),
    Column("click_tracking", Boolean),
    Column("capture", Boolean, nullable=False),
    Column("campaign_id", UUID),
    Column("contact_id", UUID),
    Column("template_id", UUID),
    Column("again_of", UUID),
    Column("again_of_position", SmallInteger),
)

messages = Table(
    "messages",
    _metadata,
    Column("email_id", UUID, primary_key=True),
    Column("position", SmallInteger, primary_key=True),
    Column("recipient", Text, nullable=False),
    Column("address", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("attempts", SmallInteger, nullable=False),
    Column("updated_at", DateTime(timezone=True), nullable=False),
    Column("capture", Boolean, nullable=False),
)

events = Table(
    "events",
    _metadata,
    Column("email_id", UUID, nullable=False),
    Column("position", SmallInteger, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("kind", Text, nullable=False),
    Column("attempt", SmallInteger),
    *(Column(name, Text) for name in ("ip", "provider", "mx", "tls", "phase")),
    Column("code", SmallInteger),
    *(Column(name, Text) for name in ("enhanced", "reply", "action", "class", "scope", "rule", "detail")),
    Column("next_attempt_at", DateTime(timezone=True)),
    Column("duration_ms", Integer),
    Column("engagement", JSONB),
    Column("pool_id", UUID),
)

delivery_queue = Table(
    "delivery_queue",
    _metadata,
    Column("email_id", UUID, primary_key=True),
    Column("position", SmallInteger, primary_key=True),
    Column("lane", Text, nullable=False),
    Column("destination", Text, nullable=False),
    Column("recipient", Text, nullable=False),
    Column("address", Text, nullable=False),
    Column("due_at", DateTime(timezone=True), nullable=False),
    Column("attempts", SmallInteger, nullable=False),
    Column("claimed_by", UUID),
    Column("claimed_at", DateTime(timezone=True)),
    Column("last_ip", Text),
    Column("expires_at", DateTime(timezone=True)),
    Column("hold", Text),
    Column("engaged_at", DateTime(timezone=True)),
    Column("application_id", UUID),
    Column("topic_id", UUID),
    Column("capture", Boolean, nullable=False),
    Column("breaker", Text),
    Column("campaign_id", UUID),
)

contacts = Table(
    "contacts",
    _metadata,
    Column("id", UUID, primary_key=True),
    Column("application_id", UUID, nullable=False),
    Column("address", Text, nullable=False),
    Column("email", Text, nullable=False),
    Column("first_name", Text),
    Column("last_name", Text),
    Column("language", Text),
    Column("time_zone", Text),
    Column("properties", JSONB, nullable=False),
    Column("status", Text, nullable=False),
    Column("confirmed_at", DateTime(timezone=True)),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("updated_at", DateTime(timezone=True), nullable=False),
)

segment_members = Table(
    "segment_members",
    _metadata,
    Column("segment_id", UUID, primary_key=True),
    Column("contact_id", UUID, primary_key=True),
    Column("status", Text, nullable=False),
    Column("added_at", DateTime(timezone=True), nullable=False),
    Column("changed_at", DateTime(timezone=True), nullable=False),
)

campaign_recipients = Table(
    "campaign_recipients",
    _metadata,
    Column("campaign_id", UUID, primary_key=True),
    Column("contact_id", UUID, primary_key=True),
    Column("email_id", UUID),
    Column("due_at", DateTime(timezone=True), nullable=False),
    Column("engaged_at", DateTime(timezone=True)),
    Column("queued_at", DateTime(timezone=True)),
    Column("ended_at", DateTime(timezone=True)),
    Column("opened_at", DateTime(timezone=True)),
    Column("clicked_at", DateTime(timezone=True)),
    Column("unsubscribed_at", DateTime(timezone=True)),
    Column("complained_at", DateTime(timezone=True)),
    Column("variant", SmallInteger, nullable=False),
    Column("state", Text, nullable=False),
    Column("destination", Text, nullable=False),
    Column("reason", Text),
    Column("provider", Text),
    Column("ip", Text),
    Column("class", Text),
)

topics = Table(
    "topics",
    _metadata,
    Column("id", UUID, primary_key=True),
    Column("application_id", UUID, nullable=False),
    Column("name", Text, nullable=False),
    Column("description", Text, nullable=False),
    Column("default_subscription", Text, nullable=False),
    Column("visibility", Text, nullable=False),
    Column("lane", Text, nullable=False),
    Column("is_default", Boolean, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("deleted_at", DateTime(timezone=True)),
)

choices = Table(
    "choices",
    _metadata,
    Column("address", Text, primary_key=True),
    Column("application_id", UUID, primary_key=True),
    Column("topic_id", UUID, primary_key=True),
    Column("subscription", Text),
    Column("paused_until", DateTime(timezone=True)),
    Column("updated_at", DateTime(timezone=True), nullable=False),
)

engaged = Table(
    "engaged",
    _metadata,
    Column("application_id", UUID, primary_key=True),
    Column("address", Text, primary_key=True),
    Column("opened_at", DateTime(timezone=True)),
    Column("clicked_at", DateTime(timezone=True)),
    Column("active_at", DateTime(timezone=True)),
    Column("opens", Integer, nullable=False),
    Column("clicks", Integer, nullable=False),
)

DESCRIBED = tuple(_metadata.tables.values())


def compiled(question: Select[*tuple[object, ...]]) -> tuple[str, dict[str, object]]:
    """The SQL of a question with the parameters it names."""
    made = question.compile(dialect=_DIALECT)
    return str(made), dict(made.params)
