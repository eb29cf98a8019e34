"""Whether and where the mail of one recipient is tracked: what the email says, else what its sender's domain says.

`messages/links` finds the links, `messages/link_tokens` signs them. Nothing is tracked while the flag `tracking` is
off, nor without public pages: a link would lead nowhere. Nor is a large mail with several recipients: each would need a
copy of it of their own, where all share one otherwise.
"""

import re
from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache
from typing import Final
from urllib.parse import urlsplit

from accounts.senders import Sender
from core.secrets import InstanceSecret
from flags import declared
from messages.link_tokens import LinkTokens, payload_of
from messages.links import Tracking, tracked
from messages.model import Claimed, StoredContent, StoredEmail
from messages.personal import Personal
from mta.html_parts import change_html
from mta.mime_headers import ComposeError
from mta.raw_headers import text_of
from mta.raw_mail import read_mail

SHARED_BYTES: Final = 256 * 1024
"""Larger mail is one in memory for all its recipients."""

_LIST: Final = b"list-unsubscribe"
_ADDRESSES: Final = re.compile(r"<\s*(https?://[^\s<>]+)\s*>", re.IGNORECASE)


class Tracker:
    """Puts the links of one recipient into a mail. Safe to share between threads."""

    def __init__(self, secret: InstanceSecret, public_url: str) -> None:
        self._tokens = LinkTokens(secret)
        self._public_url = public_url
        self._places: dict[tuple[str, bool, bool], Tracking] = {}

    def tracked(self, content: StoredContent, claimed: Claimed, email: StoredEmail, sender: Sender) -> StoredContent:
        """The content as this recipient gets it; the very same object when nothing of it is tracked."""
        tracking = None if _is_shared(claimed, email) else self._tracking(email, sender)
        if tracking is None:
            return content
        if content.raw is not None:
            return self._raw(content, content.raw, tracking, claimed)
        if not content.html:
            return content
        if content.headers and (spared := _own_addresses(content.headers)):
            tracking = replace(tracking, spared=spared)
        html = tracked(content.html, tracking, self._tokens, *claimed.ref)
        if html is content.html:
            return content
        return StoredContent(html, content.text, content.headers, content.raw, content.attachments)

    def rendered(self, content: Personal, claimed: Claimed, email: StoredEmail, sender: Sender) -> StoredContent:
        """The content of a campaign as this person gets it. Raises RenderError."""
        written, links = content.rendered(self._tracking(email, sender))
        if links is None or written.html is None:
            return written
        payload = payload_of(*claimed.ref, links.tracking.place)
        return written._replace(html=links.filled(written.html, self._tokens, payload))

    def _tracking(self, email: StoredEmail, sender: Sender) -> Tracking | None:
        """None: nothing of it is tracked."""
        opens = sender.opens if email.open_tracking is None else email.open_tracking
        clicks = sender.clicks if email.click_tracking is None else email.click_tracking
        if not (opens or clicks) or not self._public_url or not declared.TRACKING.on(email.application_id, email.id):
            return None
        return self._place(sender.tracking_host, opens, clicks)

    def _raw(self, content: StoredContent, raw: bytes, tracking: Tracking, claimed: Claimed) -> StoredContent:
        """Mail that came by SMTP. One that cannot be taken apart leaves as it is, or is refused by the composer."""
        try:
            listed = [("list-unsubscribe", text_of(field)) for name, field in read_mail(raw)[0] if name == _LIST]
            if spared := _own_addresses(listed):
                tracking = replace(tracking, spared=spared)
            changed = change_html(raw, lambda html: tracked(html, tracking, self._tokens, *claimed.ref))
        except ComposeError:
            return content
        return content if changed is raw else content._replace(raw=changed)

    def _place(self, host: str, opens: bool, clicks: bool) -> Tracking:
        known = self._places.get((host, opens, clicks))
        if known is None:
            ours = urlsplit(self._public_url)
            name = host or ours.hostname or ""
            port = f":{ours.port}" if ours.port else ""
            base_url = f"{ours.scheme}://{name}{port}" if host else self._public_url
            known = Tracking(
                base_url,
                self._tokens.place_of(name),
                opens,
                clicks,
                own=f"{self._public_url}/",
                mark=self._tokens.mark(),
            )
            self._places[host, opens, clicks] = known
        return known


@lru_cache(8)
def tracker_of(secret: InstanceSecret, public_url: str) -> Tracker:
    """The tracker of a process, which has one secret and one public name."""
    return Tracker(secret, public_url)


def _is_shared(claimed: Claimed, email: StoredEmail) -> bool:
    return email.size > SHARED_BYTES and (claimed.ref.position > 0 or len(email.to) + len(email.cc) > 1)


def _own_addresses(headers: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    """Where the mail itself says one unsubscribes."""
    return tuple(
        address
        for name, value in headers
        if name.lower() == "list-unsubscribe"
        for address in _ADDRESSES.findall(value)
    )
