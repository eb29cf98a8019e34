"""Which of our mails a report quotes: by the token that each carries, else by a Message-ID that we made.

Pure, and never raises. The token stands in the returned mail's Return-Path and in its `Postlane-Ref`; loops that hide
all addresses leave the second, and some leave headers only, encoded in one way or another: every part is decoded and
searched. Whoever shows a genuine token has had the mail in hand. A Message-ID proves nothing, and names an email but
no recipient.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Final
from uuid import UUID

from core.secrets import InstanceSecret
from mta import return_path
from mta.report_parts import Part

_MESSAGE_ID: Final = re.compile(
    r"^(?:X-Original-)?Message-ID:\s{0,80}<([0-9a-f]{32}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})@", re.I | re.M
)


def token_in(secret: InstanceSecret, whole: Part, leaves: Sequence[Part]) -> tuple[UUID, int] | None:
    """Email id and recipient's position of the first genuine token."""
    found = (return_path.find_token(secret, text) for text in _texts(whole, leaves))
    return next((named for named in found if named is not None), None)


def email_in(leaves: Sequence[Part]) -> UUID | None:
    """The email whose Message-ID is quoted, when it is one that we give (`<id of the email@domain>`)."""
    found = (_MESSAGE_ID.search(leaf.text) for leaf in leaves)
    return next((UUID(match[1]) for match in found if match is not None), None)


def _texts(whole: Part, leaves: Sequence[Part]) -> Iterator[str]:
    """What is quoted first, then the report's own headers: one that was forwarded names us there."""
    for leaf in leaves:
        yield leaf.text
    yield "\n".join(value for values in whole.headers.values() for value in values)
