"""Figures of single emails, out of their timelines: for a handful of ids, which no counter is kept for.

An open or click is told apart as the counters do: the first of a person, another one, that of a machine. A complaint
that was taken back is none.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

from store.database import Connection
from store.figures import Answer, Question, Row
from store.tally import Tally

_WHEN: Final = "date_trunc(%(period)s, timezone(%(zone)s, {}))"

_COUNTS: Final = f"""
SELECT e.id::text, {_WHEN.format("e.created_at")} AS at, 'accepted', '', count(*)
  FROM emails e JOIN messages m ON m.email_id = e.id
 WHERE e.id = ANY(%(emails)s) AND m.email_id = ANY(%(emails)s) AND e.application_id = %(application)s
   AND NOT e.capture GROUP BY 1, 2
UNION ALL
SELECT e.id::text, {_WHEN.format("v.at")}, v.kind,
       CASE WHEN v.engagement IS NULL THEN coalesce(v.class, '')
            WHEN v.engagement->>'machine' IS NOT NULL THEN 'machine'
            WHEN (v.engagement->>'first')::boolean THEN 'first' ELSE 'again' END, count(*)
  FROM emails e JOIN events v ON v.email_id = e.id
 WHERE e.id = ANY(%(emails)s) AND v.email_id = ANY(%(emails)s) AND e.application_id = %(application)s
   AND NOT e.capture AND NOT (v.kind = 'complained' AND EXISTS (
     SELECT FROM events w WHERE w.email_id = v.email_id AND w.email_id = ANY(%(emails)s) AND w.position = v.position
        AND w.kind = 'complaint_withdrawn' AND w.at >= v.at))
 GROUP BY 1, 2, 3, 4
 ORDER BY 2, 1
"""


async def ask_emails(
    connection: Connection, question: Question, application_id: UUID, emails: Sequence[UUID], *, each: bool
) -> Answer:
    """The figures of these emails of an application, all together or each by itself, whatever time the question names:
    an email has its own."""
    names = {
        "emails": list(emails), "application": application_id, "period": question.period or "day",
        "zone": question.zone.key,
    }  # fmt: skip
    cursor = await connection.execute(_COUNTS, names)
    totals, rows = Counter[tuple[str, str]](), defaultdict[tuple[Any, ...], Counter[tuple[str, str]]](Counter)
    for email, at, outcome, part, n in await cursor.fetchall():
        place = (at if question.period else None, *((email,) if each else ()))
        totals[outcome, part] += n
        rows[place][outcome, part] += n
    made = [Row(_shown(question, place[0]), place[1:], Tally.of(counts)) for place, counts in rows.items()]
    return Answer(Tally.of(totals), made)


def _shown(question: Question, at: Any) -> Any:
    if at is None:
        return None
    return at.replace(tzinfo=question.zone) if question.period == "hour" else at.date()
