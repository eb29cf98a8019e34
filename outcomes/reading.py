"""One received mail as far as it can be understood without asking anybody: what it says, and which mail of ours it is
about.

Pure work for a thread. A report is placed by the return path it was sent to, else by the token that it quotes; a
Message-ID is kept for those that prove who sends them.
"""

import hashlib
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from core.addresses import AddressError, fold_address
from core.secrets import InstanceSecret
from messages.model import MessageRef
from mta import return_path
from mta.bounces import BounceReport, ReportKind, from_system, understand
from mta.placing import email_in, token_in
from mta.report_parts import Part, decoded_words, read_parts
from outcomes.inbound import InboundMail

_SHOWN: Final = 200
"""Characters of author and subject that are kept beside the mail."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What a mail says."""

    mail: InboundMail
    whole: Part
    report: BounceReport | None
    system: bool
    """A mail system wrote it, understood or not."""
    ref: MessageRef | None
    placed_by: str
    """`return_path` or `token`; "" when neither names a mail of ours."""
    quoted_email: UUID | None
    """The email whose Message-ID it quotes, for one that is placed by nothing else."""

    @property
    def kind(self) -> ReportKind | None:
        return self.report.kind if self.report else None

    @property
    def digest(self) -> bytes:
        """The same for what is the same report, brought twice: by its Message-ID and what it says, else by its bytes.
        Some systems give all reports about one mail one Message-ID."""
        named = self.whole.first("message-id").encode("utf-8", "replace")
        said = b"%b %b" % ((self.kind or "").encode(), named) if named else self.mail.raw
        return hashlib.blake2b(said, digest_size=16).digest()

    @property
    def recipients(self) -> tuple[str, ...]:
        """Folded addresses that a feedback report names."""
        return tuple(map(folded, self.report.named)) if self.report else ()

    @property
    def author(self) -> str:
        return _shown(self.whole.first("from"))

    @property
    def subject(self) -> str:
        return _shown(self.whole.first("subject"))


def read(mail: InboundMail, secret: InstanceSecret) -> Reading:
    """Take the mail apart. Never raises, whatever the bytes."""
    whole, leaves = read_parts(mail.raw)
    report = understand(whole, leaves)
    named, placed_by = return_path.parse(secret, mail.envelope_to), "return_path"
    if named is None:
        named, placed_by = token_in(secret, whole, leaves), "token"
    if named is None:
        return Reading(mail, whole, report, from_system(whole), None, "", email_in(leaves))
    return Reading(mail, whole, report, from_system(whole), MessageRef(*named), placed_by, None)


def folded(address: str) -> str:
    """As addresses are compared, whatever stands there."""
    try:
        return fold_address(address)
    except AddressError:
        return address.lower()


def _shown(value: str) -> str:
    words = " ".join(decoded_words(value)[: 4 * _SHOWN].split())[:_SHOWN]
    return "".join(char if char.isprintable() else "?" for char in words)
