"""Bounces in the forms mail systems give them, written by hand after RFC 3464 and the systems' habits. `CORPUS` has
them all, with what is no bounce (`no_bounce_corpus.py`).
"""

from dataclasses import dataclass

from mta.bounces import ReportKind
from tests.unit.mta.no_bounce_corpus import (
    ARF_ABUSE,
    ARF_NOT_SPAM,
    DELIVERED_RECEIPT,
    PERSON,
    READ_RECEIPT,
    VACATION,
)


@dataclass(frozen=True)
class Sample:
    """A mail, and what it says. `code` and `enhanced` are those of the first recipient's response."""

    raw: str
    kind: ReportKind | None
    code: int = 0
    enhanced: str = ""
    recipient: str = ""
    text: str = ""
    """Part of the response text."""
    remote: str = ""
    reporting: str = ""

    @property
    def data(self) -> bytes:
        return self.raw.lstrip("\n").replace("\n", "\r\n").encode()


POSTFIX_UNKNOWN_USER = """
Return-Path: <>
Date: Mon, 2 Nov 2026 09:14:07 +0000 (UTC)
From: MAILER-DAEMON@mx1.firma.example (Mail Delivery System)
Subject: Undelivered Mail Returned to Sender
To: b+token@bounce.shop.example
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status;
	boundary="4B1F2C0091.1793610847/mx1.firma.example"
Message-Id: <20261102091407.6D51C0099@mx1.firma.example>

This is a MIME-encapsulated message.

--4B1F2C0091.1793610847/mx1.firma.example
Content-Description: Notification
Content-Type: text/plain; charset=us-ascii

The mail system at mx1.firma.example could not hand over your message.

<jana@firma.example>: host store.firma.example[198.51.100.7] said: 550 5.1.1
    <jana@firma.example>: Recipient address rejected: User unknown (in reply
    to RCPT TO command)

--4B1F2C0091.1793610847/mx1.firma.example
Content-Description: Delivery report
Content-Type: message/delivery-status

Reporting-MTA: dns; mx1.firma.example
X-Postfix-Queue-ID: 4B1F2C0091
X-Postfix-Sender: rfc822; b+token@bounce.shop.example
Arrival-Date: Mon,  2 Nov 2026 09:14:05 +0000 (UTC)

Final-Recipient: rfc822; jana@firma.example
Original-Recipient: rfc822;jana@firma.example
Action: failed
Status: 5.1.1
Remote-MTA: dns; store.firma.example
Diagnostic-Code: smtp; 550 5.1.1 <jana@firma.example>: Recipient address
    rejected: User unknown

--4B1F2C0091.1793610847/mx1.firma.example
Content-Description: Undelivered Message Headers
Content-Type: text/rfc822-headers

From: Shop <orders@shop.example>
To: jana@firma.example
Subject: Your order

--4B1F2C0091.1793610847/mx1.firma.example--
"""

POSTFIX_DELAYED = """
From: MAILER-DAEMON@mx1.firma.example (Mail Delivery System)
Subject: Delayed Mail (still being retried)
To: b+token@bounce.shop.example
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="D3L/mx1.firma.example"

--D3L/mx1.firma.example
Content-Type: text/plain

No need to send it again.

--D3L/mx1.firma.example
Content-Type: message/delivery-status

Reporting-MTA: dns; mx1.firma.example

Final-Recipient: rfc822; jana@firma.example
Action: delayed
Status: 4.4.1
Diagnostic-Code: X-Postfix; connect to store.firma.example[198.51.100.7]:25: Connection timed out
Will-Retry-Until: Sat,  7 Nov 2026 09:14:05 +0000 (UTC)

--D3L/mx1.firma.example--
"""

EXCHANGE_NOT_FOUND = """
From: <postmaster@kontor.example>
To: <b+token@bounce.shop.example>
Subject: Unzustellbar: Ihre Rechnung
Date: Tue, 3 Nov 2026 07:00:12 +0000
Content-Type: multipart/report; report-type=delivery-status;
 boundary="_7c1e-4f0b_"
X-Auto-Response-Suppress: All
MIME-Version: 1.0

--_7c1e-4f0b_
Content-Type: multipart/alternative; differences=Content-Type;
 boundary="_7c1e-4f0b_alt_"

--_7c1e-4f0b_alt_
Content-Type: text/plain; charset="utf-8"
Content-Transfer-Encoding: base64

SWhyZSBOYWNocmljaHQga29ubnRlIG5pY2h0IHp1Z2VzdGVsbHQgd2VyZGVuLg==

--_7c1e-4f0b_alt_
Content-Type: text/html; charset="utf-8"

<p>Ihre Nachricht konnte nicht zugestellt werden.</p>

--_7c1e-4f0b_alt_--

--_7c1e-4f0b_
Content-Type: message/delivery-status

Reporting-MTA: dns;EX01.kontor.example
Received-From-MTA: dns;out3.shop.example
Arrival-Date: Tue, 3 Nov 2026 07:00:11 +0000

Original-Recipient: rfc822;weg@kontor.example
Final-Recipient: rfc822;weg@kontor.example
Action: failed
Status: 5.1.10
Diagnostic-Code: smtp;550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by address lookup
X-Display-Name: weg@kontor.example

--_7c1e-4f0b_
Content-Type: message/rfc822

From: orders@shop.example
Subject: Ihre Rechnung

Hallo

--_7c1e-4f0b_--
"""

GMAIL_LIKE = """
From: Mail Delivery Subsystem <mailer-daemon@googlemail.test>
To: b+token@bounce.shop.example
Auto-Submitted: auto-replied
Subject: Delivery Status Notification (Failure)
Content-Type: multipart/report; boundary="00000000000a1b2c"; report-type=delivery-status

--00000000000a1b2c
Content-Type: multipart/related; boundary="00000000000a1b2d"

--00000000000a1b2d
Content-Type: multipart/alternative; boundary="00000000000a1b2e"

--00000000000a1b2e
Content-Type: text/plain; charset="UTF-8"

** Address not found **

--00000000000a1b2e--
--00000000000a1b2d--
--00000000000a1b2c
Content-Type: message/delivery-status

Reporting-MTA: dns; googlemail.test
Arrival-Date: Wed, 04 Nov 2026 01:02:03 -0800 (PST)
X-Original-Message-ID: <1@shop.example>

Final-Recipient: rfc822; nobody.here@gmail.test
Action: failed
Status: 5.1.1
Remote-MTA: dns; in.gmail.test. (203.0.113.26, the server for the domain gmail.test.)
Diagnostic-Code: smtp; 550-5.1.1 There is no account for this address. Please look for
 550-5.1.1 typing errors or unnecessary blanks. 550 5.1.1 More at https://help.gmail.test/?p=NoSuchUser - gsmtp
Last-Attempt-Date: Wed, 04 Nov 2026 01:02:04 -0800 (PST)

--00000000000a1b2c
Content-Type: message/rfc822

Subject: x

--00000000000a1b2c--
"""

EXIM_MODERN = """
X-Failed-Recipients: alt@verein.example
Auto-Submitted: auto-replied
From: Mail Delivery System <Mailer-Daemon@mail.verein.example>
To: b+token@bounce.shop.example
Content-Type: multipart/report; report-type=delivery-status; boundary=1793700000-eximdsn-11
MIME-Version: 1.0
Subject: Mail delivery failed: returning message to sender

--1793700000-eximdsn-11
Content-type: text/plain; charset=us-ascii

A message that you sent could not be delivered to one or more of its recipients.

--1793700000-eximdsn-11
Content-type: message/delivery-status

Reporting-MTA: dns; mail.verein.example

Action: failed
Final-Recipient: rfc822;alt@verein.example
Status: 5.0.0
Remote-MTA: dns; relay.verein.example
Diagnostic-Code: smtp; 552 5.2.2 Mailbox of alt is over its quota

--1793700000-eximdsn-11--
"""

EXIM_OLD = """
X-Failed-Recipients: alt@verein.example, neu@verein.example
From: Mail Delivery System <Mailer-Daemon@mail.verein.example>
To: b+token@bounce.shop.example
Subject: Mail delivery failed: returning message to sender

This message was created automatically by mail delivery software.

  alt@verein.example
    SMTP error from remote mail server after RCPT TO:<alt@verein.example>:
    host relay.verein.example [192.0.2.55]: 550 No such user here

------ This is a copy of the message, including all the headers. ------

From: orders@shop.example
"""

QMAIL = """
Date: 5 Nov 2026 10:00:00 -0000
From: MAILER-DAEMON@qm.example
To: b+token@bounce.shop.example
Subject: failure notice

Hi. This is the qmail-send program at qm.example.
I'm afraid I wasn't able to deliver your message to the following addresses.

<bob@qm.example>:
Sorry, no mailbox here by that name. (#5.1.1)

--- Below this line is a copy of the message.

Return-Path: <b+token@bounce.shop.example>
"""

OPENSMTPD = """
From: Mailer Daemon <MAILER-DAEMON@puffy.example>
To: b+token@bounce.shop.example
Subject: Delivery status notification: error
Content-Type: multipart/report; report-type="delivery-status"; boundary="15372118/puffy.example"

--15372118/puffy.example
Content-Type: text/plain

    Hi!

--15372118/puffy.example
Content-Type: message/delivery-status

Reporting-MTA: dns; puffy.example

Final-Recipient: ted@puffy.example
Action: error
Status: 5.0.0

--15372118/puffy.example--
"""

NO_BLANK_LINE = """
From: Administrator <postmaster@appliance.example>
Subject: Returned mail
Content-Type: multipart/report; report-type=delivery-status; boundary=b1

--b1
Content-Type: message/delivery-status

Reporting-MTA: dns; appliance.example
Final-Recipient: <lost@appliance.example>
Action: Failed (permanent)
Status: 5.7.1 (delivery not authorized)
Diagnostic-Code: smtp; 554 Message refused by content policy
--b1--
"""

SEVERAL_RECIPIENTS = """
From: MAILER-DAEMON@list.example
Subject: Undelivered Mail Returned to Sender
Content-Type: multipart/report; report-type=delivery-status; boundary=s

--s
Content-Type: message/delivery-status

Reporting-MTA: dns; list.example

Final-Recipient: rfc822; one@list.example
Action: relayed
Status: 2.1.9

Final-Recipient: rfc822; two@list.example
Action: delayed
Status: 4.2.2
Diagnostic-Code: smtp; 452 4.2.2 Mailbox full

Final-Recipient: rfc822; three@list.example
Action: failed
Status: 5.2.1
Diagnostic-Code: smtp; 550 5.2.1 Mailbox disabled

--s--
"""

UTF8_REPORT = """
From: MAILER-DAEMON@post.example
Subject: =?utf-8?q?Nicht_zugestellt?=
Content-Type: multipart/report; report-type=delivery-status; boundary=u

--u
Content-Type: message/global-delivery-status

Reporting-MTA: dns; post.example

Final-Recipient: utf-8; j\\x{FC}rgen@post.example
Action: failed
Status: 5.1.1

--u--
"""

BASE64_STATUS = """
From: postmaster@odd.example
Subject: Undeliverable
Content-Type: multipart/report; report-type=delivery-status; boundary=b64

--b64
Content-Type: message/delivery-status
Content-Transfer-Encoding: base64

UmVwb3J0aW5nLU1UQTogZG5zOyBvZGQuZXhhbXBsZQ0KDQpGaW5hbC1SZWNpcGllbnQ6IHJmYzgy
MjsgeEBvZGQuZXhhbXBsZQ0KQWN0aW9uOiBmYWlsZWQNClN0YXR1czogNS4xLjENCg==

--b64--
"""

EXPIRED_IN_THEIR_QUEUE = """
From: MAILER-DAEMON@relay.example
Subject: Undeliverable: news
Content-Type: multipart/report; report-type=delivery-status; boundary=e

--e
Content-Type: message/delivery-status

Reporting-MTA: dns; relay.example

Final-Recipient: rfc822; slow@far.example
Action: failed
Status: 4.4.7
Diagnostic-Code: smtp; 421 4.4.2 Connection dropped

--e--
"""

CISCO_LIKE = """
From: Mail Delivery System <MAILER-DAEMON@esa.example>
Subject: Delivery Status Notification (Failure)
Content-Type: multipart/report; report-type=delivery-status; boundary=c

--c
Content-Type: message/delivery-status

Reporting-MTA: dns; esa.example

Final-Recipient: rfc822;gone@esa.example
Action: failed
Status: 5.0.0 (permanent failure)
Remote-MTA: dns; [198.51.100.20]
Diagnostic-Code: smtp; 5.1.0 - Unknown address error 550-'5.1.1 gone@esa.example is no longer here'

--c--
"""

PROSE_ONLY = """
From: Mail Delivery Subsystem <MAILER-DAEMON@tiny.example>
Subject: Returned mail: see transcript for details

   ----- The following addresses had permanent fatal errors -----
<kim@tiny.example>
    (reason: 550 5.1.1 <kim@tiny.example>... User unknown)
"""

FAILED, DELAYED = ReportKind.FAILED, ReportKind.DELAYED

CORPUS: dict[str, Sample] = {
    "postfix, unknown user": Sample(
        POSTFIX_UNKNOWN_USER, FAILED, 550, "5.1.1", "jana@firma.example",
        "<jana@firma.example>: Recipient address rejected: User unknown", "store.firma.example", "mx1.firma.example",
    ),
    "postfix, delayed": Sample(
        POSTFIX_DELAYED, DELAYED, 0, "4.4.1", "jana@firma.example", "Connection timed out", "", "mx1.firma.example"
    ),
    "exchange, not found": Sample(
        EXCHANGE_NOT_FOUND, FAILED, 550, "5.1.10", "weg@kontor.example", "RESOLVER.ADR.RecipientNotFound", "",
        "EX01.kontor.example",
    ),
    "gmail-like, codes on each line": Sample(
        GMAIL_LIKE, FAILED, 550, "5.1.1", "nobody.here@gmail.test",
        "Please look for typing errors or unnecessary blanks. More at", "in.gmail.test.", "googlemail.test",
    ),
    "exim, with report": Sample(
        EXIM_MODERN, FAILED, 552, "5.2.2", "alt@verein.example", "over its quota", "relay.verein.example",
        "mail.verein.example",
    ),
    "exim, old": Sample(EXIM_OLD, FAILED, 550, "", "alt@verein.example", "No such user here"),
    "qmail": Sample(QMAIL, FAILED, 0, "5.1.1", "bob@qm.example"),
    "opensmtpd, action error": Sample(OPENSMTPD, FAILED, 0, "5.0.0", "ted@puffy.example", "", "", "puffy.example"),
    "appliance, one block": Sample(
        NO_BLANK_LINE, FAILED, 554, "5.7.1", "lost@appliance.example", "refused by content", "", "appliance.example"
    ),
    "several recipients": Sample(SEVERAL_RECIPIENTS, FAILED, 0, "2.1.9", "one@list.example", "", "", "list.example"),
    "utf-8 report": Sample(UTF8_REPORT, FAILED, 0, "5.1.1", "jürgen@post.example", "", "", "post.example"),
    "base64 status": Sample(BASE64_STATUS, FAILED, 0, "5.1.1", "x@odd.example", "", "", "odd.example"),
    "expired in their queue": Sample(
        EXPIRED_IN_THEIR_QUEUE, FAILED, 421, "4.4.2", "slow@far.example", "Connection dropped", "", "relay.example"
    ),
    "cisco-like": Sample(
        CISCO_LIKE, FAILED, 550, "5.1.1", "gone@esa.example", "is no longer here", "[198.51.100.20]", "esa.example"
    ),
    "prose only": Sample(PROSE_ONLY, FAILED, 550, "5.1.1", "kim@tiny.example", "User unknown"),
    "delivered": Sample(DELIVERED_RECEIPT, ReportKind.DONE, 250, "2.0.0", "a@ok.example", "", "", "ok.example"),
    "vacation": Sample(VACATION, ReportKind.AUTO_REPLY),
    "a person": Sample(PERSON, None),
    "read receipt": Sample(READ_RECEIPT, ReportKind.RECEIPT),
    "complaint": Sample(ARF_ABUSE, ReportKind.COMPLAINT, reporting="mail.isp.example"),
    "not spam": Sample(ARF_NOT_SPAM, ReportKind.NOT_SPAM, reporting="mail.isp.example"),
}  # fmt: skip
