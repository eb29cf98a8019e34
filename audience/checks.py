"""Is this an address that mail to people should go to? Asked at sign-up, by imports and by `POST /addresses/check`.

Seen in the text alone (`seen`, pure): what is no address; an office's address (`role`); a mailbox for ten minutes
(`disposable`, by the list of `disposable-email-domains`); a domain that is likely mistyped, with what was meant. Asked
of DNS: a domain that is not there, one that says that it takes no mail (null MX, RFC 7505), and one without MX. That
one could take mail at its own address (RFC 5321 section 5.1); of domains in lists of people nearly all of that kind are
parked. When DNS does not answer nothing is said against anybody. Whether an address is suppressed is for the caller.
"""

import asyncio
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cache, lru_cache
from pathlib import Path
from typing import Final, Protocol

from disposable_email_domains import blocklist

from core.addresses import AddressError, parse_mailbox
from mta.resolve import DnsUnavailableError

_KNOWN: Final = Path(__file__).parent / "known_domains.toml"
LONG_ENOUGH: Final = 9
"""Characters of a domain that may be meant by a mistyped one: of shorter names most are somebody's."""
AT_ONCE: Final = 50
"""Questions to DNS under way."""


class Problem(StrEnum):
    """What speaks against an address. The values are stored and sent."""

    SYNTAX = "syntax"
    NO_DOMAIN = "no_domain"
    NULL_MX = "null_mx"
    NO_MX = "no_mx"
    TYPO = "typo"
    DISPOSABLE = "disposable"
    ROLE = "role"
    SUPPRESSED = "suppressed"


MEANINGS: Final[Mapping[Problem, str]] = {
    Problem.SYNTAX: "This is not a mail address.",
    Problem.NO_DOMAIN: "The domain does not exist.",
    Problem.NULL_MX: "The domain says that it takes no mail.",
    Problem.NO_MX: "The domain names no mail server.",
    Problem.TYPO: "The domain is likely mistyped.",
    Problem.DISPOSABLE: "The mailbox is one for a few minutes.",
    Problem.ROLE: "The address is an office's, not a person's.",
    Problem.SUPPRESSED: "Mail to this address is suppressed.",
}

DEAD: Final = frozenset({Problem.SYNTAX, Problem.NO_DOMAIN, Problem.NULL_MX, Problem.NO_MX})
"""No mail arrives there; the others could be wanted all the same."""


@dataclass(frozen=True, slots=True)
class Checked:
    """What was found about one text."""

    given: str
    email: str = ""
    """The address in it, "" when there is none."""
    address: str = ""
    """Folded."""
    problems: tuple[Problem, ...] = ()
    """In the order of `Problem`."""
    suggestion: str = ""
    """The address that was likely meant, "" for none."""
    reason: str = ""
    """Why it is no address, in words."""
    asked: bool = False
    """DNS has answered."""

    @property
    def ok(self) -> bool:
        """Nothing speaks against it."""
        return not self.problems

    @property
    def domain(self) -> str:
        """Of the address."""
        return self.address.rpartition("@")[2]

    def and_also(self, *problems: Problem) -> "Checked":
        """The same with more that speaks against it."""
        every = {*self.problems, *problems}
        return replace(self, problems=tuple(one for one in Problem if one in every))


class MailRecords(Protocol):
    """What is asked of DNS: `mta/resolve.Resolver`."""

    async def mx(self, name: str) -> list[tuple[int, str]]:
        """MX records as (preference, host name)."""
        ...

    async def addresses(self, name: str) -> list[str]:
        """A and AAAA records."""
        ...


@dataclass(frozen=True, slots=True)
class _Words:
    mailboxes: frozenset[str]
    guesses: tuple[str, ...]
    """Those that a mistyped domain may mean."""
    endings: Mapping[str, str]
    roles: frozenset[str]


@cache
def _words() -> _Words:
    read = tomllib.loads(_KNOWN.read_text(encoding="utf-8"))
    mailboxes = tuple(read["mailboxes"])
    guesses = tuple(name for name in mailboxes if len(name) >= LONG_ENOUGH)
    return _Words(frozenset(mailboxes), guesses, read["endings"], frozenset(read["roles"]["names"]))


def seen(text: str) -> Checked:
    """What the text alone says. Pure."""
    try:
        box = parse_mailbox(text)
    except AddressError as error:
        return Checked(text, problems=(Problem.SYNTAX,), reason=error.reason)
    meant = likely_meant(box.domain)
    found = Checked(text, box.wire, box.key, suggestion=f"{box.local}@{meant}" if meant else "")
    named = {
        Problem.TYPO: bool(meant),
        Problem.DISPOSABLE: is_disposable(box.domain),
        Problem.ROLE: is_role(box.key),
    }
    return found.and_also(*(problem for problem, holds in named.items() if holds))


def is_role(address: str) -> bool:
    """Whether a folded address is an office's, and not a person's. Remembered it would cost more: of a list each is
    asked about once."""
    return address.partition("@")[0].partition("+")[0] in _words().roles


def is_disposable(domain: str) -> bool:
    """Whether mailboxes of the domain, or of one it stands below, are given away for minutes."""
    labels = domain.split(".")
    return any(".".join(labels[at:]) in blocklist for at in range(len(labels) - 1))


@lru_cache(maxsize=10_000)
def likely_meant(domain: str) -> str:
    """The domain that was meant by one that is likely mistyped; "" for one that may be right."""
    words = _words()
    if domain in words.mailboxes:
        return ""
    head, _, ending = domain.rpartition(".")
    mended = f"{head}.{words.endings[ending]}" if ending in words.endings else ""
    if mended in words.mailboxes:
        return mended
    return next((name for name in words.guesses if _slipped(domain, name) or _slipped(mended, name)), "")


def _slipped(domain: str, name: str) -> bool:
    """Whether the one is the other with a slip in it, and not the same house in another country: `hotmail.be`."""
    (head, _, ending), (other, _, country) = domain.rpartition("."), name.rpartition(".")
    return one_slip(domain, name) and not (head == other and len(ending) == len(country) == 2)


def one_slip(one: str, other: str) -> bool:
    """Whether a letter too many, too few, wrong, or two that changed places make the one out of the other."""
    if one == other or abs(len(one) - len(other)) > 1:
        return False
    short, long = sorted((one, other), key=len)
    start = next((at for at, letter in enumerate(short) if letter != long[at]), len(short))
    if len(short) < len(long):
        return short[start:] == long[start + 1 :]
    swapped = short[start : start + 2] == long[start : start + 2][::-1] and short[start + 2 :] == long[start + 2 :]
    return short[start + 1 :] == long[start + 1 :] or swapped


async def trouble_of(records: MailRecords, domain: str) -> Problem | None:
    """What DNS says against mail to a domain; None for nothing. Raises DnsUnavailableError."""
    servers = await records.mx(domain)
    if servers:
        return Problem.NULL_MX if all(host == "" for _, host in servers) else None
    return Problem.NO_MX if await records.addresses(domain) else Problem.NO_DOMAIN


async def check(records: MailRecords, texts: Sequence[str]) -> list[Checked]:
    """Each text, seen and asked about; a domain once, however many are of it."""
    found = [seen(text) for text in texts]
    domains = sorted({one.domain for one in found if one.address})
    room = asyncio.Semaphore(AT_ONCE)
    said = dict(zip(domains, await asyncio.gather(*[_asked(records, one, room) for one in domains]), strict=True))
    return [_with(one, said[one.domain]) if one.address else one for one in found]


async def _asked(records: MailRecords, domain: str, room: asyncio.Semaphore) -> tuple[bool, Problem | None]:
    """Whether DNS answered, and what it says against the domain."""
    async with room:
        try:
            return True, await trouble_of(records, domain)
        except DnsUnavailableError:
            return False, None


def _with(one: Checked, said: tuple[bool, Problem | None]) -> Checked:
    asked, trouble = said
    return replace(one if trouble is None else one.and_also(trouble), asked=asked)
