"""What a person types into the search of the suppression list, as a `Search`. Pure; used by the API and the CLI."""

from collections.abc import Sequence
from typing import Final

from core.addresses import AddressError, fold_address, fold_domain, folded_local
from core.refusal import invalid
from suppression.query import Search
from suppression.reasons import Reason, SuppressionScope

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


def _folded(text: str) -> str:
    """A whole address as it is stored (the domain in punycode), else the part typed so far in lower case and NFC."""
    try:
        return fold_address(text)
    except AddressError:
        return folded_local(text)
