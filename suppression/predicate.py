"""Which entries of the suppression list forbid a message: the only answer, as SQL for the statements that ask.

An entry is about an address, its domain or its hash (`suppression/subjects`), and holds for everything, one stream, one
application or one topic (`suppression/scopes`). One whose time is over holds for nothing.
"""

from typing import Final

from suppression.scopes import forbidding_keys
from suppression.subjects import forms_in_sql

IN_FORCE: Final = "(s.expires_at IS NULL OR s.expires_at > now())"
"""About a row of `suppressions` that the statement calls `s`."""


def forbidding(row: str) -> str:
    """`FROM ... WHERE ...` for the entries, called `s`, that forbid the message in `row`: the name of a row with the
    columns `address` (folded), `lane`, `application_id` and `topic_id`."""
    subjects, scopes = forms_in_sql(f"{row}.address"), forbidding_keys(row)
    return f"FROM suppressions s WHERE s.address IN ({subjects}) AND s.scope IN ({scopes}) AND {IN_FORCE}"
