"""Whom an entry is about: one address, every address of a domain, or an address of which only the hash is known.

The list keeps each as one text in the column of addresses: `ann@example.com`, `@example.com`, `sha256:` with 64
hexadecimal digits. None looks like another, for an address has something before its "@" and a hash has no "@". A
message is forbidden by any of the three forms of its recipient (`suppression/predicate`).

A hash is SHA-256 over `SEPARATOR` and the folded address, in UTF-8. The separator makes it useless for anything else: a
list from here cannot be joined with the plain hashes that are traded elsewhere. Pure.
"""

import re
from hashlib import sha256
from typing import Final
from uuid import UUID

from core.addresses import AddressError, fold_address, fold_domain
from core.refusal import not_found

SEPARATOR: Final = "postlane-suppression-v1:"
"""Stands before the address that is hashed. Never changes: stored hashes were made with it."""

HASHED: Final = "sha256:"

_HASH: Final = re.compile(rf"{HASHED}[0-9a-f]{{64}}")


def subject(text: str) -> str:
    """What somebody wrote, as the list keeps it. Raises AddressError."""
    text = text.strip()
    if text.startswith("@"):
        return f"@{fold_domain(text[1:])}"
    if text[: len(HASHED)].lower() == HASHED and _HASH.fullmatch(text.lower()):
        return text.lower()
    return fold_address(text)


def named(text: str) -> UUID | str:
    """What somebody names an entry by: its id, or whom it is about. Raises Refused: it is neither."""
    try:
        return UUID(text)
    except ValueError:
        pass
    try:
        return subject(text)
    except AddressError as error:
        raise not_found(f"{text[:200]!r} is neither an id nor an address: {error.reason}", code=error.code) from None


def hashed(address: str) -> str:
    """A folded address as a hashed entry."""
    return HASHED + sha256((SEPARATOR + address).encode()).hexdigest()


def is_domain(kept: str) -> bool:
    """About a stored text: it stands for every address of a domain."""
    return kept.startswith("@")


def forms(kept: str) -> list[str]:
    """Everything a stored text may stand on the list as: an address in its three forms, the others as they are."""
    if is_domain(kept) or kept.startswith(HASHED):
        return [kept]
    return [kept, f"@{kept.rpartition('@')[2]}", hashed(kept)]


def forms_in_sql(address: str) -> str:
    """The same for a column of folded addresses.

    Most lists hold no domain and no hash. Whether this one does is asked once a statement, not once a message: making
    a hash that is on no list, and looking for it, would double what the list costs.
    """
    domain, digest = f"'@' || split_part({address}, '@', 2)", f"sha256(convert_to('{SEPARATOR}' || {address}, 'UTF8'))"
    return (
        f"{address}, CASE WHEN {_any_between('@', 'A')} THEN {domain} END,"
        f" CASE WHEN {_any_between(HASHED, 'sha256;')} THEN '{HASHED}' || encode({digest}, 'hex') END"
    )


def _any_between(first: str, end: str) -> str:
    """SQL: whether the list holds an entry from `first` up to `end`, in the order of bytes.

    The least of them is the first row of the index. EXISTS would do, until the planner sees that a third of the list
    is hashed and reads the table from its beginning to find one: for every claim, past all that is not.
    """
    least = f"SELECT min(f.address) FROM suppressions f WHERE f.address >= '{first}' AND f.address < '{end}'"
    return f"({least}) IS NOT NULL"
