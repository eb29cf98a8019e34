"""What each simulated provider says. Own wording around the codes and marks that the real ones are known by.

Pure data and formatting; never decides.
Codes and marks after: support.google.com/a/answer/3726730 (4.7.28, 5.7.1, 4.2.2), smtp.codes/icloud ([CS01], 4.7.1),
postmaster.gmx.com/en/error-messages (several lines, a page for each case, no enhanced codes), and the shaping rules in
KumoMTA's `shaping.toml` (TSS04, S775, S3150, HCM1, policy restrictions).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from simulator.model import Stage


@dataclass(frozen=True, slots=True)
class Style:
    """The manner of one provider. Each text starts with its code; `|` separates the lines of a long reply."""

    banner: str
    accepted: str
    unknown: str
    full: str
    full_permanent: str
    greylist: str
    throttle: str
    spam: str
    block: str
    throttle_stage: Stage = Stage.RCPT
    enhanced: bool = True
    """Whether replies carry RFC 3463 codes and EHLO says so (RFC 2034)."""


_GMAIL = Style(
    banner="220 {host} ESMTP practice-{id} - gsmtp",
    accepted="250 2.0.0 OK {id} - gsmtp",
    unknown="550-5.1.1 There is no account with the address that you tried to reach.|"
    "550-5.1.1 Look for typing errors or blanks in it. See|"
    "550 5.1.1 https://support.google.sim/mail/?p=NoSuchUser {id} - gsmtp",
    full="452-4.2.2 The recipient's inbox is out of storage space and over quota.|"
    "452 4.2.2 https://support.google.sim/mail/?p=OverQuotaTemp {id} - gsmtp",
    full_permanent="552-5.2.2 The recipient's inbox is out of storage space and over quota.|"
    "552 5.2.2 https://support.google.sim/mail/?p=OverQuotaPerm {id} - gsmtp",
    greylist="451-4.7.1 [{ip}] Greylisted: first mail of this sender to this recipient.|"
    "451 4.7.1 Please come back in {seconds} seconds {id} - gsmtp",
    throttle="421-4.7.28 Gmail has detected an unusual rate of mail originating from|"
    "421-4.7.28 your IP address [{ip}]. Mail from it is temporarily rate limited. See|"
    "421 4.7.28 https://support.google.sim/mail/?p=UnsolicitedRateLimitError {id} - gsmtp",
    spam="550-5.7.1 [{ip}] This message looks unsolicited. To protect our users it|"
    "550-5.7.1 has been blocked. See|"
    "550 5.7.1 https://support.google.sim/mail/?p=UnsolicitedMessageError {id} - gsmtp",
    block="554-5.7.1 [{ip}] The IP address has a very low reputation and is on our blocklist.|"
    "554 5.7.1 https://support.google.sim/mail/?p=BlockedIp {id} - gsmtp",
    throttle_stage=Stage.DOT,
)

_MICROSOFT = Style(
    banner="220 {host} Microsoft-like ESMTP MAIL Service ready [{id}]",
    accepted="250 2.6.0 <{id}@{host}> [InternalId={id}] Queued mail for delivery",
    unknown="550 5.5.0 Requested action not taken: mailbox unavailable (S2017062302). [{id}.{host}]",
    full="452 4.2.2 Mailbox full; the quota of <{rcpt}> is used up; STOREDRV.Deliver.Exception:QuotaExceededException",
    full_permanent="552 5.2.2 Mailbox full; the quota of <{rcpt}> is used up; "
    "STOREDRV.Deliver.Exception:QuotaExceededException",
    greylist="451 4.7.1 Greylisted: server busy for this sender, try again in {seconds} seconds [{id}.{host}]",
    throttle="451 4.7.650 The mail server [{ip}] has been temporarily rate limited due to IP reputation. "
    "For delivery information see https://postmaster.outlook-mx.sim (S775) [{id}.{host}]",
    spam="550 5.7.1 The content of this message was refused as spam (SCL 9). [{id}.{host}]",
    block="554 5.7.1 Unfortunately, messages from [{ip}] were refused, since part of their network is on our "
    "block list (S3150). See https://postmaster.outlook-mx.sim [{id}.{host}]",
    throttle_stage=Stage.MAIL,
)

_YAHOO = Style(
    banner="220 {host} ESMTP ready",
    accepted="250 2.0.0 OK dirdel {id}",
    unknown="550 5.1.1 <{rcpt}>: this user has no account at {domain} [-5]",
    full="452 4.2.2 <{rcpt}>: mailbox is over quota [MBX]",
    full_permanent="552 5.2.2 <{rcpt}>: mailbox is over quota [MBX]",
    greylist="451 4.7.1 [GL01] Greylisted, resources restricted for this sender; try again in {seconds} seconds",
    throttle="421 4.7.0 [TSS04] Messages from {ip} temporarily deferred due to unexpected volume or user complaints; "
    "see https://postmaster.yahoodns.sim/error-codes",
    spam="550 5.7.1 [PH01] Message not accepted for policy reasons; its content was taken for spam; "
    "see https://postmaster.yahoodns.sim/error-codes",
    block="554 5.7.1 [BL21] Connections from {ip} not accepted: address on a Spamhaus-like blocklist; "
    "see https://postmaster.yahoodns.sim/error-codes",
    throttle_stage=Stage.MAIL,
)

_APPLE = Style(
    banner="220 {host} ESMTP Postfix-like practice service",
    accepted="250 2.0.0 Ok: queued as {id}",
    unknown="550 5.1.1 <{rcpt}>: user does not exist",
    full="452 4.2.2 <{rcpt}>: user is over quota",
    full_permanent="552 5.2.2 <{rcpt}>: user is over quota",
    greylist="451 4.7.1 <{rcpt}>: Greylisted, try again in {seconds} seconds",
    throttle="421 4.7.1 [HCM1] Your mail from {ip} was deferred due to excessive volume. Try again later - "
    "https://support.apple-mx.sim/mail",
    spam="550 5.7.1 [CS01] Message rejected due to local policy on its content. See https://support.apple-mx.sim/mail",
    block="554 5.7.1 Mail from IP {ip} was rejected due to listing in a practice blocklist. "
    "See https://support.apple-mx.sim/mail",
)

_GMX = Style(
    banner="220 {host} practice Nemesis-like ESMTP Service ready",
    accepted="250 Requested mail action okay, completed: id={id}",
    unknown="550-Requested action not taken: mailbox unavailable|550-<{rcpt}> is not known here|"
    "550 For explanation visit https://postmaster.gmx-mx.sim/case?c=r0103&id={id}",
    full="452-Requested action not taken: mailbox full|"
    "452 <{rcpt}> has used up its quota, https://postmaster.gmx-mx.sim/case?c=r0203&id={id}",
    full_permanent="552-Requested mail action aborted: mailbox full|"
    "552 <{rcpt}> has used up its quota, https://postmaster.gmx-mx.sim/case?c=r0203&id={id}",
    greylist="451-Requested action aborted: local error in processing|"
    "451 Greylisted, please try again in {seconds} seconds",
    throttle="421-{host} practice Nemesis-like ESMTP Service not available|421-Service closing transmission channel|"
    "421 Rate limit reached for {ip}. Please try again later, https://postmaster.gmx-mx.sim/case?c=r0401&id={id}",
    spam="550-Transaction failed|550-Reject due to policy restrictions: content classified as spam|"
    "550 For explanation visit https://postmaster.gmx-mx.sim/case?c=hi&id={id}",
    block="554-{host} practice Nemesis-like ESMTP Service not available|554-No SMTP service|"
    "554-IP address {ip} is block listed.|"
    "554 For explanation visit https://postmaster.gmx-mx.sim/case?c=r0201&id={id}",
    throttle_stage=Stage.BANNER,
    enhanced=False,
)

_SMALL = Style(
    banner="220 {host} ESMTP",
    accepted="250 2.0.0 Ok: queued as {id}",
    unknown="550 5.1.1 <{rcpt}>: Recipient address rejected: User unknown in local table",
    full="452 4.2.2 <{rcpt}>: Mailbox is full, over quota",
    full_permanent="552 5.2.2 <{rcpt}>: Mailbox is full, over quota",
    greylist="451 4.7.1 <{rcpt}>: Recipient address rejected: Greylisted, try again in {seconds} seconds",
    throttle="421 4.7.28 {host} Error: too much mail from {ip}, rate limit exceeded, try again later",
    spam="550 5.7.1 Message content rejected as spam, id={id}",
    block="554 5.7.1 Service unavailable; Client host [{ip}] blocked using zen.blocklist.sim",
)

STYLES: Mapping[str, Style] = {
    "gmail": _GMAIL,
    "microsoft": _MICROSOFT,
    "yahoo": _YAHOO,
    "apple": _APPLE,
    "gmx": _GMX,
    "small": _SMALL,
}


_LINE_BEFORE = re.compile(r"[2-5][0-9]{2}-.*")
_LAST_LINE = re.compile(r"[45][0-9]{2} .+")


def lines_of(text: str) -> str:
    """An own reply text (`is_reply`) as it is sent, without the closing line end."""
    return text.replace("|", "\r\n")


def fill(template: str, **values: str | int) -> str:
    """A template of this file with its blanks filled; lines are joined by CRLF, values cannot start a line."""
    return template.replace("|", "\r\n").format(**values)


def wire(text: str) -> bytes:
    """A complete reply text as bytes for the socket, closed by CRLF."""
    return text.encode("utf-8", "replace") + b"\r\n"


def is_reply(text: str) -> bool:
    """Whether an own reply text can be sent: printable, its last line a 4yz or 5yz code, a blank and words.

    Lines before it, divided by `|`, have a code and a hyphen; it may be another code, as some servers greet
    (`220-mx|521 5.7.1 no`).
    """
    *before, last = text.split("|")
    lines_fit = all(_LINE_BEFORE.fullmatch(line) for line in before) and _LAST_LINE.fullmatch(last)
    return bool(lines_fit) and text.isprintable() and len(text) <= 500
