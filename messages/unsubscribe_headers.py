"""What marketing mail says about unsubscribing, for each recipient: header fields, and the link in its text. Pure.

    List-Unsubscribe: <https://mail.example.com/u/LINK>,
     <mailto:unsubscribe+TOKEN@bounce.shop.example?subject=LINK>
    List-Unsubscribe-Post: List-Unsubscribe=One-Click

The link is sealed (`audience/links`) and never ends; the token is the recipient's own of `mta/return_path`, short
enough for a local part, and by it a report that quotes only this header is placed. A mail program that drops the
subject still unsubscribes as long as the mail is stored. Mail that has a List-Unsubscribe of its application's keeps
that one alone.
"""

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from audience.links import LinkSeal, MailLink
from core.secrets import InstanceSecret
from messages.capture import person_of
from messages.model import Claimed, StoredContent, StoredEmail
from mta import return_path

PLACEHOLDERS: Final = ("{{{RESEND_UNSUBSCRIBE_URL}}}", "{{{UNSUBSCRIBE_URL}}}")
"""Stand in an application's HTML or text for the recipient's own link; Resend's name, and ours."""

_BRACE: Final = "{"
"""A single character is found in a tenth of the time, and most bodies have none."""
_LIST: Final = "list-unsubscribe"
_OWN: Final = re.compile(rb"^list-unsubscribe[ \t]*:", re.I | re.M)
_RAW: Final = tuple(text.encode() for text in PLACEHOLDERS)


def has_own(head: bytes) -> bool:
    """Whether the header of a message that an application wrote says how to unsubscribe."""
    return _OWN.search(head) is not None


def names_own(headers: Iterable[tuple[str, str]]) -> bool:
    """The same of single headers."""
    return any(name.lower() == _LIST for name, _ in headers)


def is_personal(content: StoredContent) -> bool:
    """Whether its bodies hold a placeholder: then no two recipients' mails are the same."""
    html, text = content.html or "", content.text or ""
    if (_BRACE in html or _BRACE in text) and any(place in html or place in text for place in PLACEHOLDERS):
        return True
    return content.raw is not None and any(place in content.raw for place in _RAW)


class Unsubscribing:
    """Writes the headers and links of one process. Safe to share between threads."""

    __slots__ = ("_public_url", "_seal")

    def __init__(self, secret: InstanceSecret, public_url: str) -> None:
        """`public_url` is "" where there are no public pages: then a mail is the only way."""
        self._seal = LinkSeal(secret)
        self._public_url = public_url

    def headers(self, claimed: Claimed, email: StoredEmail, token: str, domain: str) -> str:
        """The fields, each line with its CRLF."""
        link = self._link(claimed, email)
        mailto = f"<mailto:{return_path.unsubscribe_address(token, domain)}?subject={link}>"
        if not self._public_url:
            return f"List-Unsubscribe: {mailto}\r\n"
        return (
            f"List-Unsubscribe: <{self._public_url}/u/{link}>,\r\n {mailto}\r\n"
            "List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"
        )

    def filled(
        self, content: StoredContent, claimed: Claimed, email: StoredEmail, token: str, domain: str
    ) -> StoredContent:
        """The content with the recipient's own link in place of each placeholder.

        The link has no character that HTML or quoted-printable would write otherwise.
        """
        if self._public_url:
            url = f"{self._public_url}/u/{self._link(claimed, email)}"
        else:
            url = f"mailto:{return_path.unsubscribe_address(token, domain)}"
        raw = content.raw
        for place in _RAW if raw is not None else ():
            raw = raw.replace(place, url.encode("ascii")) if raw is not None else None
        return StoredContent(
            _replaced(content.html, url), _replaced(content.text, url), content.headers, raw, content.attachments
        )

    def _link(self, claimed: Claimed, email: StoredEmail) -> str:
        ref, person = claimed.ref, person_of(claimed.address, claimed.capture)
        return self._seal.seal(MailLink(email.application_id, email.topic_id, ref.email_id, ref.position, person))


@lru_cache(8)
def unsubscribing_of(secret: InstanceSecret, public_url: str) -> Unsubscribing:
    """That of a process, which has one secret and one public name."""
    return Unsubscribing(secret, public_url)


def _replaced(text: str | None, url: str) -> str | None:
    for place in PLACEHOLDERS if text else ():
        text = url.join(text.rsplit(place)) if text else text  # backwards it is found in a quarter of the time
    return text
