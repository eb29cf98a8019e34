"""What the address of the editor says: which block, which language, and as whom the mail is shown. Pure."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Final
from urllib.parse import urlencode

WIDTHS: Final = ("", "phone", "dark", "text")
TABS: Final = ("", "mail", "facts", "code", "versions")
_KEYS: Final = {"whom": "as"}


@dataclass(frozen=True, slots=True)
class Asked:
    """One place in the editor."""

    block: str = ""
    """Path of the chosen block."""
    tab: str = ""
    """What stands in the form: "" is the chosen block, or the code of a mail without blocks."""
    language: str = ""
    whom: str = ""
    width: str = ""
    """How the mail is shown."""

    @classmethod
    def of(cls, params: Mapping[str, str]) -> "Asked":
        """From parameters of an address; what there is not is left out."""
        given = {name: params.get(_KEYS.get(name, name), "")[:400].strip() for name in cls.__dataclass_fields__}
        found = cls(**given)
        return replace(
            found, tab=found.tab if found.tab in TABS else "", width=found.width if found.width in WIDTHS else ""
        )

    def query(self, **changes: str) -> str:
        """As parameters, with these changes."""
        said = asdict(replace(self, **changes))
        return urlencode({_KEYS.get(name, name): value for name, value in said.items() if value})
