"""Variables that look like settings and are none: `POSTLANE_HOSTNAM` would be passed over in silence. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final

from core.settings import Settings

_PREFIX: Final = str(Settings.model_config["env_prefix"])
_OTHERS: Final = frozenset({f"{_PREFIX}API_KEY", f"{_PREFIX}API_URL", f"{_PREFIX}WORKER_NAME"})
"""Read by commands that call the API, and by workers for their name: no settings of the class."""
_OF_TESTS: Final = (f"{_PREFIX}TEST_", f"{_PREFIX}CHAOS_")
_LIKENESS: Final = 0.75


@dataclass(frozen=True, slots=True)
class Misnamed:
    """One of these."""

    name: str
    meant: str
    """The setting it looks like, "" for none."""

    @property
    def told(self) -> str:
        """In half a sentence."""
        return f"{self.name} is no setting" + (f": {self.meant} is meant?" if self.meant else "")


def misnamed(given: Iterable[str]) -> list[Misnamed]:
    """Those of these variables that nobody reads, by name."""
    known = {f"{_PREFIX}{name.upper()}" for name in Settings.model_fields} | _OTHERS
    strange = sorted(name for name in {*given} - known if not name.startswith(_OF_TESTS))
    return [Misnamed(name, next(iter(get_close_matches(name, sorted(known), 1, _LIKENESS)), "")) for name in strange]
