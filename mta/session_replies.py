"""What a reply says about the session it came through, and not about the mail. Pure.

`mta/replies` judges what a reply means for message, IP and host. Before that `mta/deliver` asks here whether another
connection to the same server would have been told something else: then that connection decides, and nobody is blamed.
"""

import re

from mta.model import Phase, Response, Trouble

_BEFORE_BODY = frozenset({Phase.MAIL, Phase.RCPT, Phase.DATA})
"""A trouble or a refusal here means that the mail was not taken (see `SmtpClient.send`)."""

_WHAT = r"(?:messages?|mails?|e-?mails?|recipients?|rcpts?|transactions?|deliver(?:y|ies))"
_PER_SESSION = re.compile(
    rf"\b{_WHAT}\b.{{0,25}}\b(?:per|for|in|on|over|during|through|by)\b.{{0,12}}\b(?:connection|session)"
    rf"|\b(?:connection|session)\b.{{0,25}}\b{_WHAT}\b.{{0,12}}\b(?:limit|exceeded|reached)"
)
_WANTS_TLS = re.compile(
    r"\bstarttls\b"
    r"|\b(?:tls|ssl|encrypt(?:ion|ed)?)\b.{0,40}\b(?:requir|need|must|mandatory|only)"
    r"|\b(?:requir|must|need|only accept).{0,40}\b(?:tls|ssl|encrypt)"
)


def ended_the_session(response: Response) -> bool:
    """On a session that has carried mail before: this one ended, or takes no more, whatever mail it would have been.

    421, and a connection closed without a word, end any session; 452 4.5.3 and what speaks of mails or recipients "per
    connection" refuse more of them. A new session that is told the same means it.
    """
    if response.phase not in _BEFORE_BODY:
        return False
    if response.trouble is not None:
        return response.trouble is Trouble.CLOSED or (
            response.phase is Phase.MAIL and response.trouble is Trouble.TIMEOUT
        )
    if response.code == 421 or (response.code == 452 and response.enhanced == "4.5.3"):
        return True
    return response.code >= 400 and _PER_SESSION.search(response.text.lower()) is not None


def ended_by_count(response: Response) -> bool:
    """Of replies that ended a session: whether the number of its mails may be why. Not for one that was idle too long
    (4.4.2), for a server that shuts down (4.3.2), or for a close without a word, which is usually one of the two."""
    return response.trouble is None and response.enhanced not in ("4.4.2", "4.3.2")


def wants_tls(response: Response) -> bool:
    """`530 5.7.0 Must issue a STARTTLS command first` in any of its wordings (RFC 3207 section 4)."""
    if response.phase not in _BEFORE_BODY or response.code < 400:
        return False
    return _WANTS_TLS.search(response.text.lower()) is not None
