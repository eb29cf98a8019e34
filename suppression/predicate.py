"""Which entries of the suppression list forbid a message, and which say that somebody left: the only answer, as SQL for
the statements that ask.

An entry is about an address, its domain or its hash (`suppression/subjects`), and holds for everything, one stream, one
application or one topic (`suppression/scopes`). One whose time is over holds for nothing.
"""

from typing import Final

from suppression.reasons import Reason, SuppressionScope
from suppression.scopes import forbidding_keys
from suppression.subjects import forms_in_sql

IN_FORCE: Final = "(s.expires_at IS NULL OR s.expires_at > now())"
"""About a row of `suppressions` that the statement calls `s`."""

_LEFT: Final = f"('{Reason.UNSUBSCRIBE}', '{Reason.COMPLAINT}')"
"""What people say themselves: a complaint takes the place of an unsubscription, and says no less."""


def forbidding(row: str) -> str:
    """`FROM ... WHERE ...` for the entries, called `s`, that forbid the message in `row`: the name of a row with the
    columns `address` (folded), `lane`, `application_id` and `topic_id`."""
    return _entries(row, f"s.scope IN ({forbidding_keys(row)})")


def left_all(row: str) -> str:
    """An expression: whether the person in `row` (columns `address` and `application_id`) left all marketing mail of
    the application. The one meaning of `unsubscribed`."""
    scope = f"{row}.application_id || ' {SuppressionScope.MARKETING}'"
    return f"EXISTS (SELECT {_entries(row, f's.scope = {scope} AND s.reason IN {_LEFT}')})"


def _entries(row: str, hold: str) -> str:
    """Those about the address in `row` that `hold` is true of."""
    return f"FROM suppressions s WHERE s.address IN ({forms_in_sql(f'{row}.address')}) AND {hold} AND {IN_FORCE}"
