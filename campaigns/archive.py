"""Whether a campaign stands on the web, and where. Values only; `showing` says what stands there.

Off unless somebody switches it on, and gone as soon as it is off again. It stays after the campaign has ended.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

from core.refusal import invalid

PATH: Final = "/a/"
LIST_PATH: Final = "/archive/"


class Access(StrEnum):
    """Who sees it. The values are stored."""

    OFF = "off"
    LINK = "link"
    """Whoever has the address; search engines are told to leave it out."""
    INDEXED = "indexed"
    """Search engines, too; and it stands in the list of what its application has sent."""


@dataclass(frozen=True, slots=True)
class Archive:
    """Whether there is a page, and where."""

    access: Access = Access.OFF
    base: str = ""
    """The public host as it was called when the page was switched on."""

    @property
    def is_on(self) -> bool:
        """Somebody may see it."""
        return self.access is not Access.OFF

    def url(self, campaign_id: UUID) -> str:
        """The address of the page; "" while it is off."""
        return f"{self.base}{PATH}{campaign_id}" if self.is_on else ""

    def list_url(self, application_id: UUID) -> str:
        """The address of the list that it stands in; "" while it does not."""
        return f"{self.base}{LIST_PATH}{application_id}" if self.access is Access.INDEXED else ""


def switched(access: Access, public_url: str) -> Archive:
    """A page at the public host of this installation. Raises Refused: it has none."""
    if access is not Access.OFF and not public_url:
        raise invalid("archive", "this server has no public pages: set POSTLANE_PUBLIC_URL")
    return Archive(access, public_url if access is not Access.OFF else "")


def from_json(given: Mapping[str, Any]) -> Archive:
    """As it is stored."""
    return Archive(Access(given.get("access", Access.OFF)), given.get("base", ""))


def to_json(archive: Archive) -> dict[str, str]:
    """As it is stored."""
    return {"access": archive.access.value, "base": archive.base} if archive.is_on else {}
