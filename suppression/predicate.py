"""Which entries of the suppression list forbid a message: the only answer, as SQL for the statements that ask.

An entry holds for everything, for one lane, for one application's mail, or for one application's mail of one lane; its
`scope` says which (`suppression/repository.scope_key`). An entry whose time is over holds for nothing.
"""

from typing import Final

IN_FORCE: Final = "(s.expires_at IS NULL OR s.expires_at > now())"
"""About a row of `suppressions` that the statement calls `s`."""


def forbidding(row: str) -> str:
    """`FROM ... WHERE ...` for the entries, called `s`, that forbid the message in `row`: the name of a row with the
    columns `address` (folded), `lane` and `application_id`. A row without an application asks for what holds for all.
    """
    scopes = f"'all', {row}.lane, {row}.application_id::text, {row}.application_id || ' ' || {row}.lane"
    return f"FROM suppressions s WHERE s.address = {row}.address AND s.scope IN ({scopes}) AND {IN_FORCE}"
