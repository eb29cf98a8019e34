"""A sender domain as somebody wishes it, and whether it can be: for doors that raise Refused. Pure."""

from dataclasses import replace

from accounts.domain import DomainTracking
from accounts.names import return_path_name, sender_domain_name, tracking_name
from core.addresses import AddressError
from core.refusal import Refused, invalid


def named(text: str) -> str:
    """The domain's name as it is stored."""
    try:
        return sender_domain_name(text)
    except AddressError as error:
        raise invalid("name", error.reason.rstrip(".")) from None


def returning(name: str, label: str) -> str:
    """Where its bounces go."""
    try:
        return return_path_name(name, label)
    except AddressError as error:
        raise invalid("return_path", error.reason.rstrip(".")) from None


def tracked(wanted: DomainTracking, name: str, return_path: str, public_url: str) -> DomainTracking:
    """What is tracked, the label of the tracking host folded."""
    if (wanted.opens or wanted.clicks or wanted.subdomain) and not public_url:
        raise Refused(
            "invalid",
            "tracked links lead to the public pages of this server first, and it has none",
            hint="Set POSTLANE_PUBLIC_URL, and run `postlane public`.",
            code="no_public_url",
        )
    if not wanted.subdomain:
        return replace(wanted, subdomain=None)
    try:
        host = tracking_name(name, wanted.subdomain, return_path)
    except AddressError as error:
        raise invalid("tracking_subdomain", error.reason.rstrip(".")) from None
    return replace(wanted, subdomain=host.removesuffix(f".{name}"))
