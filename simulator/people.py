"""What the people behind some addresses do with a mail they got: bounce it late, complain, unsubscribe, read. Pure.

`errand_for` says what is to be done and how long after; `simulator/errands.py` does it over real SMTP and HTTP, and on
loopback only. Everything is found in the mail itself, as a mail program finds it: the return path, `List-Unsubscribe`,
pictures and links.
"""

import re
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage, MIMEPart
from html.parser import HTMLParser
from urllib.parse import parse_qs, unquote, urlsplit

from simulator.behaviour import seconds
from simulator.model import Behaviour, Door, Recipient, StoredMail
from simulator.replies import STYLES, fill
from simulator.reports import ComplaintForm, Reporter, complaint, late_bounce

AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
"""A person's browser: what calls itself a program would be taken for one."""
DESK = "fbl"
"""Where feedback loops are told to report, at the return path's domain."""
_PICTURES = 5
_IN_BRACKETS = re.compile(r"<\s*([^<>\s]+)\s*>")
_ONE_CLICK = b"List-Unsubscribe=One-Click"
_FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True)
class Letter:
    """A mail to send. `sender` is the envelope's, "" for reports (RFC 5321 4.5.5)."""

    sender: str
    recipient: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Call:
    """A request to make; what it answers does not matter."""

    method: str
    url: str
    body: bytes = b""
    content_type: str = ""


@dataclass(frozen=True, slots=True)
class Errand:
    """What one recipient does about one mail, in this order."""

    what: str
    """As it is counted: "reported", "complained", "unsubscribed" or "clicked"."""
    mail: StoredMail
    door: Door
    """The mail host that reports come from."""
    after: float
    """Seconds since the mail came."""
    acts: tuple[Letter | Call, ...]


def errand_for(mail: StoredMail, recipient: Recipient, door: Door, patience: float) -> Errand | None:
    """What follows from this mail; None when nothing does, or nothing can: mail without a return path cannot bounce.

    `patience` is how many seconds people take, unless their address says otherwise.
    """
    plan = recipient.plan
    after = seconds(plan.argument, patience) if plan.behaviour is Behaviour.LATE else patience
    reporter = Reporter(door.name, mail.received_at + after, f"{mail.number:08x}.{mail.received_at:.0f}")
    if plan.behaviour is Behaviour.LATE:
        return _errand("reported", mail, door, after, _bounce(mail, recipient, reporter))
    if plan.behaviour is Behaviour.COMPLAIN:
        return _errand("complained", mail, door, after, _complaint(mail, recipient, reporter))
    if plan.behaviour is Behaviour.UNSUBSCRIBE:
        return _errand("unsubscribed", mail, door, after, _unsubscribing(mail, by_mail=plan.argument == "mail"))
    if plan.behaviour is Behaviour.CLICK:
        return _errand("clicked", mail, door, after, _reading(mail))
    return None


def _errand(what: str, mail: StoredMail, door: Door, after: float, acts: tuple[Letter | Call, ...]) -> Errand | None:
    return Errand(what, mail, door, after, acts) if acts else None


def _bounce(mail: StoredMail, recipient: Recipient, reporter: Reporter) -> tuple[Letter, ...]:
    if not mail.mail_from:
        return ()
    domain = mail.recipient.rpartition("@")[2]
    reply = fill(
        STYLES[recipient.style].unknown, id=f"{mail.number:08x}", host=reporter.host, ip=mail.ip, rcpt=mail.recipient,
        domain=domain,
    )  # fmt: skip
    return (Letter("", mail.mail_from, late_bounce(mail, reporter, reply)),)


def _complaint(mail: StoredMail, recipient: Recipient, reporter: Reporter) -> tuple[Letter, ...]:
    """To the loop's desk; the old form goes to the return path, from before there were desks."""
    if not mail.mail_from:
        return ()
    form = _form(recipient)
    desk = f"{DESK}@{mail.mail_from.rpartition('@')[2]}"
    to = mail.mail_from if form is ComplaintForm.OLD else desk
    return (Letter("", to, complaint(mail, reporter, to, form)),)


def _form(recipient: Recipient) -> ComplaintForm:
    try:
        return ComplaintForm(recipient.plan.argument)
    except ValueError:
        return ComplaintForm.HEADERS if recipient.style == "microsoft" else ComplaintForm.ARF


def _unsubscribing(mail: StoredMail, *, by_mail: bool) -> tuple[Letter | Call, ...]:
    """By the button that a mail program shows (RFC 8058), or by the mail that it writes (RFC 2369)."""
    read = _read(mail)
    named = _IN_BRACKETS.findall(str(read.get("List-Unsubscribe", "")))
    if by_mail:
        return tuple(_letter_to(url, mail) for url in named if url.lower().startswith("mailto:"))[:1]
    if not read.get("List-Unsubscribe-Post"):
        return ()
    return tuple(Call("POST", url, _ONE_CLICK, _FORM) for url in named if _on_the_web(url))[:1]


def _letter_to(url: str, mail: StoredMail) -> Letter:
    parts = urlsplit(url)
    to = unquote(parts.path)
    written = EmailMessage(policy.SMTP)
    written["From"], written["To"] = mail.recipient, to
    written["Subject"] = parse_qs(parts.query).get("subject", ["unsubscribe"])[0]
    written["Message-ID"] = f"<unsubscribe.{mail.number}@{mail.recipient.rpartition('@')[2]}>"
    written.set_content("")
    return Letter(mail.recipient, to, bytes(written))


def _reading(mail: StoredMail) -> tuple[Call, ...]:
    """Every picture, as mail programs show them all, and the first link that can be seen."""
    body = _read(mail).get_body(("html",))
    if body is None:
        return ()
    page = _Page()
    page.feed(_text(body))
    return tuple(Call("GET", url) for url in (*page.pictures[:_PICTURES], *page.links[:1]))


class _Page(HTMLParser):
    """Pictures and links of a page, as far as a person sees them."""

    def __init__(self) -> None:
        super().__init__()
        self.pictures: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        url = values.get({"img": "src", "a": "href"}.get(tag, "")) or ""
        hidden = "display:none" in (values.get("style") or "").replace(" ", "")
        if _on_the_web(url) and not hidden:
            (self.pictures if tag == "img" else self.links).append(url)


def _read(mail: StoredMail) -> EmailMessage:
    return message_from_bytes(mail.data, _class=EmailMessage, policy=policy.default)


def _text(body: MIMEPart) -> str:
    try:
        return str(body.get_content())
    except LookupError:  # a charset that nobody knows
        return ""


def _on_the_web(url: str) -> bool:
    return url.lower().startswith(("http://", "https://"))
