"""The names a sender domain may have. Pure; used by the API and the CLI, so that both refuse the same."""

from typing import Final

from core.addresses import AddressError, fold_domain

LONGEST_NAME: Final = 230
"""Octets: with `<selector>._domainkey.` in front a name must fit into the 253 of DNS (RFC 1035 section 2.3.4)."""


def sender_domain_name(text: str) -> str:
    """A sender domain as it is stored: lower case, ASCII (IDNA), no dot at the end.

    Raises `AddressError` for an IP address, a name without a period, and whatever may not stand behind an "@".
    """
    name = fold_domain(text.strip().removesuffix("."))
    if len(name) > LONGEST_NAME:
        raise AddressError(f"The domain is longer than {LONGEST_NAME} characters.")
    return name


def tracking_name(name: str, label: str, return_path_domain: str) -> str:
    """`<label>.<name>`, where the links of tracked mail lead first. Raises `AddressError` for an unusable label.

    It becomes an alias, and beside an alias there is no other record (RFC 1034 section 3.6.2), such as those of the
    return path.
    """
    found = fold_domain(f"{label.strip()}.{name}")
    if found == return_path_domain:
        raise AddressError(f"{found} is the return path, which has other records.")
    return found


def return_path_name(name: str, label: str) -> str:
    """`<label>.<name>`, where bounces of the sender domain `name` go. Raises `AddressError` for an unusable label.

    Always below the domain, never the domain itself: its owner's own mail goes there.
    """
    return fold_domain(f"{label.strip()}.{name}")
