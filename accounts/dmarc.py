"""Which DMARC policy holds for a sender domain, and whether another domain is aligned with it (RFC 9989). Pure.

Receivers find the policy by the *tree walk*: they ask at the domain, then at each of its parents up to the top, in at
most eight questions. There is no list of public suffixes any more: the organisation's own domain is the one whose
record says `psd=n`, else the one below a record with `psd=y`, else the shortest one with a record.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

PREFIX: Final = "_dmarc."
_PARENTS: Final = 7
"""Labels of the longest parent that is asked (RFC 9989 section 4.10): one question each, and one for the domain."""

Texts = Mapping[str, Sequence[str]]
"""TXT records by the name that was asked, with `_dmarc.` in front; a missing name means that nobody answered."""


@dataclass(frozen=True, slots=True)
class Record:
    """The one DMARC record of a domain."""

    domain: str
    tags: Mapping[str, str] = field(hash=False)

    @property
    def policy(self) -> str:
        """For its own mail: `none`, `quarantine`, `reject`, or "" where it says nothing valid."""
        found = self.tags.get("p", "").lower()
        return found if found in ("none", "quarantine", "reject") else ""

    @property
    def suffix(self) -> str:
        """`y`: others' domains are below it; `n`: it is an organisation's own; "" where it does not say."""
        found = self.tags.get("psd", "").lower()
        return found if found in ("y", "n") else ""

    def strict(self, tag: str) -> bool:
        """Whether alignment by `aspf` or `adkim` wants the same domain, and not only the same organisation."""
        return self.tags.get(tag, "").lower() == "s"


@dataclass(frozen=True, slots=True)
class Discovery:
    """What the walk found."""

    record: Record | None
    """The one that holds for mail of the domain; None: DMARC does not apply to it."""
    organisation: str
    """The domain of whoever it belongs to."""
    silent: str = ""
    """Name of which nobody answered, where that leaves open whether there is a record."""


def tree(domain: str) -> tuple[str, ...]:
    """The domains that are asked, in order."""
    parents = domain.split(".")[1:][-_PARENTS:]
    return (domain, *(".".join(parents[at:]) for at in range(len(parents))))


def discover(domain: str, texts: Texts) -> Discovery:
    """The policy of `domain`, and its organisation."""
    found: list[Record] = []
    silent = ""
    for name in tree(domain):
        answered = texts.get(PREFIX + name)
        silent = silent or (PREFIX + name if answered is None and not found else "")
        record = record_of(name, answered or ())
        if record is None:
            continue
        found.append(record)
        if record.suffix == "n" or (record.suffix == "y" and name != domain):
            break
    organisation = _organisation(domain, found)
    record = _applied((domain, organisation), found)
    return Discovery(record, organisation, "" if found else silent)


def aligned(domain: str, other: str, texts: Texts, tag: str) -> bool:
    """Whether what is authenticated as `other` speaks for mail from `domain`; `tag` is `aspf` or `adkim`."""
    own = discover(domain, texts)
    if own.record is not None and own.record.strict(tag):
        return domain == other
    return domain == other or own.organisation == discover(other, texts).organisation


def record_of(domain: str, texts: Sequence[str]) -> Record | None:
    """The DMARC record among TXT records. Several count as none."""
    records = [tags for tags in map(tags_of, texts) if next(iter(tags.items()), None) == ("v", "DMARC1")]
    return Record(domain, records[0]) if len(records) == 1 else None


def tags_of(text: str) -> dict[str, str]:
    """A list of tags (RFC 6376 section 3.2): names in lower case, blanks within values removed."""
    pairs = (part.partition("=") for part in text.split(";"))
    return {name.strip().lower(): "".join(value.split()) for name, mark, value in pairs if mark}


def _organisation(domain: str, found: Sequence[Record]) -> str:
    for record in found:
        if record.suffix == "n":
            return record.domain
        if record.suffix == "y" and record.domain != domain:
            return ".".join(domain.split(".")[-len(record.domain.split(".")) - 1 :])
    return found[-1].domain if found else domain


def _applied(preferred: tuple[str, ...], found: Sequence[Record]) -> Record | None:
    """The domain's own, else its organisation's, else that of the suffix above."""
    by_domain = {record.domain: record for record in found}
    suffix = next((record for record in found if record.suffix == "y"), None)
    return next((by_domain[name] for name in preferred if name in by_domain), suffix)
