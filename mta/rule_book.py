"""The reply rules in force: the shipped ones, and before them the operator's own file, read again when it changes.

Owns when a file is read again, and which table stands after a bad edit: the last one that was whole. The deciding is
`mta/replies`. Made once a process (workers, bounce intake, explaining); `refresh` is called between batches and costs
one look at the file every few seconds. Used by one thread at a time, but a table, once handed out, never changes.
"""

import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Final

from core.errors import ConfigurationError
from core.logs import get_logger
from mta.model import Response, Verdict
from mta.replies import RuleTable, load_rules, shipped_files, shipped_rules
from mta.rules.reading import Rule

LOOK_SECONDS: Final = 5.0
"""Seconds between two looks at the file: an edit is in force at the next `refresh` after them."""

_Stamp = tuple[int, int, int] | None

_log = get_logger(__name__)


class RuleBook:
    """The table in force. `own` is the operator's file (None: only the shipped rules), `providers` the names it
    may use.

    A wrong file at the start raises `ConfigurationError`: nothing runs yet, so the operator is there to see it. Later
    it leaves the table in force as it is and says so once per edit, in the log and in `trouble`.
    """

    def __init__(
        self,
        own: Path | None,
        providers: Collection[str],
        *,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._own = own
        self._providers = frozenset(providers)
        self._now = now
        self._stamp: _Stamp = None if own is None else _stamp(own)
        self._next_look = now() + LOOK_SECONDS
        self._trouble = ""
        self._table = self._load()

    @property
    def table(self) -> RuleTable:
        """The rules in force, for whoever asks many times within one batch."""
        return self._table

    @property
    def trouble(self) -> str:
        """Why the file as it is now is not in force; "" when it is. Names file, rule, field and reason."""
        return self._trouble

    def classify(self, response: Response, provider: str) -> Verdict:
        """`RuleTable.classify` by the rules in force."""
        return self._table.classify(response, provider)

    def deciding_rule(self, response: Response, provider: str) -> Rule | None:
        """`RuleTable.deciding_rule` by the rules in force."""
        return self._table.deciding_rule(response, provider)

    def refresh(self) -> bool:
        """Read the file again if it has changed since the last look; whether the rules in force are new ones.

        Never raises: a file that is wrong or gone is a `trouble`.
        """
        if self._own is None or self._now() < self._next_look:
            return False
        self._next_look = self._now() + LOOK_SECONDS
        stamp = _stamp(self._own)
        if stamp == self._stamp and not self._trouble:
            return False
        self._stamp = stamp
        try:
            self._table = self._load()
        except ConfigurationError as error:
            self._tell(str(error))
            return False
        self._trouble = ""
        _log.info("rules_file_read", file=str(self._own), rules=len(self._table.rules))
        return True

    def _tell(self, trouble: str) -> None:
        """Once for each trouble. A file in trouble is read at every look: a permission that is given back, or an edit
        within one tick of the clock, leaves no trace in the stamp."""
        if trouble != self._trouble:
            _log.error("rules_file_wrong", file=str(self._own), error=trouble)
        self._trouble = trouble

    def _load(self) -> RuleTable:
        if self._own is None:
            return shipped_rules()
        return load_rules(self._own, *shipped_files(), providers=self._providers)


def _stamp(file: Path) -> _Stamp:
    """What tells one state of the file from the next; editors replace a file as often as they write into it."""
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
