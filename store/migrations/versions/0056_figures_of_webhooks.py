"""The planner's figures of events of webhooks are gathered less often, and not of texts that nobody looks for: a look
at 30,000 rows of a kilobyte takes 0.1 s of a processor, and came every ten seconds while mail was sent. How large the
table is changes no plan: what is asked of it is asked by an index. Follows 0055.
"""

from store.online import change

revision = "0056"
down_revision = "0055"
branch_labels = None
depends_on = None

_TEXTS = ("payload", "once", "taken_url", "taken_answer")


def upgrade() -> None:
    change(
        "ALTER TABLE webhook_events SET (autovacuum_analyze_threshold = 50000, autovacuum_analyze_scale_factor = 0.5)",
        *(f"ALTER TABLE webhook_events ALTER COLUMN {name} SET STATISTICS 0" for name in _TEXTS),
    )


def downgrade() -> None:
    change(
        "ALTER TABLE webhook_events RESET (autovacuum_analyze_threshold, autovacuum_analyze_scale_factor)",
        *(f"ALTER TABLE webhook_events ALTER COLUMN {name} SET STATISTICS -1" for name in _TEXTS),
    )
