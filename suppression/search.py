"""What somebody searches the suppression list for, as a `Search`. Pure; the same for every door."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from core.addresses import AddressError, fold_address, fold_domain, folded_local
from core.refusal import invalid
from suppression.asking import Asker
from suppression.query import Search
from suppression.reasons import ORIGINS, Origin, Reason, SuppressionScope
from suppression.wishes import EVERYBODY, whose

_LONGEST: Final = 320
"""Characters; no address is longer."""


def search_for(text: str, reasons: Sequence[Reason] = (), scopes: Sequence[SuppressionScope] = ()) -> Search:
    """`@example.com` searches a domain, anything else the beginning of the address, folded as addresses are.

    "" searches everything. Raises Refused.
    """
    text = text.strip()
    if not text.isprintable() or len(text) > _LONGEST:
        raise invalid("search", f"it must be at most {_LONGEST} printable characters", "invalid_search")
    if text.startswith("@"):
        try:
            return Search(domain=fold_domain(text[1:]), reasons=tuple(reasons), scopes=tuple(scopes))
        except AddressError as error:
            raise invalid("search", f"not a domain: {error.reason.rstrip('.')}", "invalid_search") from None
    return Search(prefix=_folded(text), reasons=tuple(reasons), scopes=tuple(scopes))


def reasons_of(reason: Reason | None, origin: Origin | None) -> tuple[Reason, ...] | None:
    """Reasons to search for, by ours and by Resend's word; () for all, None where no reason is both."""
    if origin is None:
        return (reason,) if reason else ()
    if reason is None:
        return ORIGINS[origin]
    return (reason,) if reason in ORIGINS[origin] else None


def owned(search: Search, who: Asker, only_for: str = "") -> Search:
    """The search as somebody may make it, with the application whose mail alone is meant. Raises Refused."""
    if only_for == EVERYBODY:
        raise invalid("only_for", "it names an application")
    return replace(search, only_for=whose(only_for, who) if only_for else None, own_of=who.application)


def _folded(text: str) -> str:
    """A whole address as it is stored (the domain in punycode), else the part typed so far in lower case and NFC."""
    try:
        return fold_address(text)
    except AddressError:
        return folded_local(text)
