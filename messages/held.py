"""Whether somebody holds a queue row: the one place that judges `claimed_by`, `claimed_at` and `due_at` together.

A claim moves `due_at` ahead by the lease, and each renewal does so again. A row is free when nobody has claimed it, or
when its lease is over. While PostgreSQL was away leases ran out under workers that live, with outcomes they could not
commit. So a restart of the server gives every older lease its time again, before anybody may take the mail, send it a
second time, or say that it was cancelled. How long the lease was stands in the row.

SQL fragments about a `delivery_queue` that the statement calls `q`.
"""

from typing import Final

FREE: Final = """(q.claimed_by IS NULL OR (q.due_at <= now() AND (q.claimed_at > pg_postmaster_start_time()
            OR now() - pg_postmaster_start_time() > q.due_at - q.claimed_at)))"""

NEXT_ATTEMPT: Final = f"CASE WHEN {FREE} THEN q.due_at END"
"""When it is due; NULL while somebody holds it, whose lease is no next attempt."""
