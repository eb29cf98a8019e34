"""What the columns of other systems' exports mean. Pure: names and words as data, and the questions to them.

Known by their headers: Amazon SES, SendGrid, Postmark, Mailgun, Mailchimp, listmonk, BillionMail, Resend, and whatever
calls its columns alike. Several of them export everybody, with a state: who still gets mail there must not be
suppressed here.

| export | columns |
|---|---|
| SES | `EmailAddress Reason LastUpdateTime` (JSON), `address,BOUNCE` without a header |
| SendGrid | bounces `status reason email created`, spam `ip email created`, invalid `reason email created` |
| Postmark | `EmailAddress SuppressionReason Origin CreatedAt` |
| Mailgun | bounces `address code error created_at`, unsubscribes `address tags created_at`, complaints without `tags` |
| Mailchimp | `Email Address …`, with `UNSUB_TIME …` who left, with `CLEAN_TIME …` who bounced, else who is subscribed |
| listmonk | `uuid email name attributes status created_at updated_at` |
| BillionMail | `email attributes active create_time`, or `Email Status` |
"""

import re
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

from core.clock import YEARS
from suppression.reasons import Reason

ADDRESS: Final = frozenset(
    {
        "email", "mail", "emailaddress", "mailaddress", "address", "recipient", "recipientemail", "emailid",
        "subscriber", "subscriberemail", "contactemail", "emailadresse", "mailadresse", "adresseemail", "adressemail",
        "courriel", "correo", "correoelectrónico", "correoelectronico",
    }
)  # fmt: skip
"""Names of a column with addresses, without blanks, signs and case."""
_REASON: Final = ("suppressionreason", "reason", "origin")
_STATE: Final = ("status", "subscriptionstatus", "active", "state")
_DETAIL: Final = ("detail", "error", "unsubreasonother", "unsubreason", "diagnosticcode")
_SINCE: Final = (
    "createdat", "created", "unsubtime", "cleantime", "lastupdatetime", "suppressedat", "createtime", "timestamp",
)  # fmt: skip

_REASONS: Final[Mapping[str, Reason]] = {
    **{reason.value.replace("_", ""): reason for reason in Reason},
    "bounce": Reason.HARD_BOUNCE,
    "bounced": Reason.HARD_BOUNCE,
    "permanent": Reason.HARD_BOUNCE,
    "cleaned": Reason.HARD_BOUNCE,
    "invalid": Reason.HARD_BOUNCE,
    "softbounce": Reason.SOFT_BOUNCES,
    "spamcomplaint": Reason.COMPLAINT,
    "spamreport": Reason.COMPLAINT,
    "spam": Reason.COMPLAINT,
    "complained": Reason.COMPLAINT,
    "unsubscribed": Reason.UNSUBSCRIBE,
    "optedout": Reason.UNSUBSCRIBE,
    "optout": Reason.UNSUBSCRIBE,
    "manualsuppression": Reason.MANUAL,
    "blocklisted": Reason.MANUAL,
    "blacklisted": Reason.MANUAL,
    "disabled": Reason.MANUAL,
    "suppressed": Reason.IMPORT,
}
"""Words for the reason, without blanks, signs and case."""

_GETS_MAIL: Final = frozenset(
    {
        "enabled",
        "subscribed",
        "subscribe",
        "active",
        "confirmed",
        "unconfirmed",
        "pending",
        "optedin",
        "1",
        "true",
        "yes",
    }
)
"""States of people whom the other system writes to."""
_GONE: Final[Mapping[str, Reason]] = {"0": Reason.UNSUBSCRIBE, "false": Reason.UNSUBSCRIBE, "no": Reason.UNSUBSCRIBE}
"""States that are words for nothing else."""

_PERMANENT: Final = re.compile(r"\W*5(?:\d\d\b|\.\d+\.\d+)")
_NOT_THE_MAILBOX: Final = re.compile(r"\b5\.7\.\d")


@dataclass(frozen=True, slots=True)
class Columns:
    """Where the fields stand in a row; None for a field the file does not have."""

    address: int
    reason: int | None = None
    state: int | None = None
    scope: int | None = None
    detail: int | None = None
    note: int | None = None
    since: int | None = None
    expires_at: int | None = None
    only_for: int | None = None
    topic: int | None = None
    usual: Reason | None = None
    """The reason of every line, where the file as a whole says it."""
    members: bool = False
    """The file holds people who get mail: none of it is taken."""


def plain(text: str) -> str:
    """A name or word without blanks, signs and case."""
    return "".join(filter(str.isalnum, text.lower()))


def columns_of(header: Sequence[str]) -> Columns | None:
    """From a header; None when no name in it stands for an address: the line is no header."""
    names = [plain(name) for name in header]
    address = next((index for index, name in enumerate(names) if name in ADDRESS), None)
    if address is None:
        return None
    found = {name: index for index, name in reversed(list(enumerate(names)))}

    def first(*wanted: str) -> int | None:
        return next((found[name] for name in wanted if name in found), None)

    return Columns(
        address, first(*_REASON), first(*_STATE), found.get("scope"), first(*_DETAIL), found.get("note"),
        first(*_SINCE), found.get("expiresat"), found.get("onlyfor"), found.get("topicid"), _usual(found.keys()),
        _members(found.keys()),
    )  # fmt: skip


def columns_seen(row: Sequence[str], address: int) -> Columns:
    """Of a file without a header, from a row with an address at this place."""
    reason = next((index for index, cell in enumerate(row) if index != address and plain(cell) in _REASONS), None)
    return Columns(address, reason)


def reason_of(word: str) -> Reason | None:
    """The reason that a word, or a reply of a mail server, stands for; None: for none we know."""
    known = _REASONS.get(plain(word))
    if known is None and _PERMANENT.match(word) and not _NOT_THE_MAILBOX.search(word):
        return Reason.HARD_BOUNCE
    return known


def reason_of_state(state: str) -> Reason | None:
    """The reason in a state such as `unsubscribed`."""
    return _GONE.get(plain(state)) or _REASONS.get(plain(state))


def gets_mail(state: str) -> bool:
    """Whether somebody in this state is written to."""
    return plain(state) in _GETS_MAIL


def moment(text: str) -> datetime | None:
    """ISO 8601, also as Go writes it, seconds since 1970, or the date of a mail; without a zone it is UTC. In UTC, and
    within `YEARS`: PostgreSQL refuses some zones that Python takes."""
    found = _moment(text.strip().removesuffix(" UTC"))
    if found is None or found.year not in YEARS:
        return None
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


def _moment(text: str) -> datetime | None:
    try:
        return datetime.fromtimestamp(int(text), UTC) if text.isdigit() else datetime.fromisoformat(text)
    except (ValueError, OverflowError, OSError):
        return _odd_moment(text)


def _odd_moment(text: str) -> datetime | None:
    day, _, rest = text.partition(" ")
    clock, _, zone = rest.partition(" ")
    try:
        return datetime.fromisoformat(f"{day}T{clock[:15]}{zone}") if zone[:1] in "+-" else parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError):
        return None


def _usual(found: Set[str]) -> Reason | None:
    if found & {"unsubtime", "unsubcampaignid", "unsubreason"} or found == {"address", "tags", "createdat"}:
        return Reason.UNSUBSCRIBE
    if found & {"cleantime", "cleancampaignid"} or found >= {"address", "code", "error"}:
        return Reason.HARD_BOUNCE
    return Reason.COMPLAINT if found == {"ip", "email", "created"} else None


def _members(found: Set[str]) -> bool:
    return bool(found & {"leid", "euid", "memberrating"}) and _usual(found) is None
