"""Notices for people and odd reports in the forms of many makes, written by hand after their habits."""

from typing import Final

from mta.bounces import ReportKind
from tests.unit.mta.bounce_corpus import Sample

FAILED, DELAYED = ReportKind.FAILED, ReportKind.DELAYED


def _mail(sender: str, subject: str, text: str, head: str = "") -> str:
    return f"Return-Path: <>\nFrom: {sender}\nTo: b+token@bounce.shop.example\nSubject: {subject}\n{head}\n{text}"


EXCHANGE_5 = _mail(
    "System Administrator <postmaster@alt.example>",
    "Undeliverable: Your invoice",
    """Your message

  To:      shop@shop.example
  Subject: Your invoice
  Sent:    Mon, 2 Nov 2026 10:00:00 -0000

did not reach the following recipient(s):

max@alt.example on Mon, 2 Nov 2026 10:00:07 -0000
    The recipient name is not recognized
    MSEXCH:IMS:ALT:HQ:MAIL01 0 (000C05A6) Unknown Recipient
""",
)
DOMINO = _mail(
    "Postmaster@werk.example",
    "DELIVERY FAILURE: User Eva Alt (eva@werk.example) not listed in Domino Directory",
    """Your message

  Subject: News

was not delivered to:

  eva@werk.example

because:

  User Eva Alt (eva@werk.example) not listed in Domino Directory
""",
)
NOTES = _mail(
    "POSTMASTER@gw.werk.example",
    "Undeliverable message",
    """------- Failure Reasons  --------

User  not listed in public Name & Address Book
ole@werk.example

------- Returned Message --------
Received: from out.shop.example by gw.werk.example
From: shop@shop.example
To: ole@werk.example
""",
)
GMX = _mail(
    "MAILER-DAEMON@post.example",
    "Mail delivery failed: returning message to sender",
    """This message was created automatically by mail delivery software.

A message that you sent could not be delivered to one or more of
its recipients. The following address failed:

"ida@voll.example":
SMTP error from remote server after RCPT command:
host: mx.voll.example
5.2.2 <ida@voll.example>... Mailbox Full


--- The header of the original message is following. ---

To: ida@voll.example
""",
)
IMAIL = _mail(
    '"Postmaster" <postmaster@klein.example>',
    "Undeliverable Mail",
    "Unknown user: kai@klein.example\n\n\nOriginal message follows.\n\nFrom: shop@shop.example\n",
)
IMAIL_FULL = IMAIL.replace("Unknown user:", "User mailbox exceeds allowed size:")
INTERSCAN = _mail(
    '"InterScan MSS" <postmaster@filter.example>',
    "=?iso-2022-jp?B?GyRCJWElQyU7ITwlOCRyR1s/LiRHJC0kXiQ7JHMbKEI=?=",
    """...
Sent <<< RCPT TO:<jo@filter.example>
Received >>> 550 5.1.1 <jo@filter.example>... user unknown
...
*****     End of message     *****
""",
)
PHONE = _mail(
    "no-reply@phone.example",
    "Mail error notice: could not be sent",
    """Your mail sent on: Thu, 5 Nov 2026 23:45:22 +0900
     Could not be delivered to: <mia@phone.example>
     As their mailbox is full.
""",
)
OPENSMTPD_OLD = _mail(
    "Mailer Daemon <MAILER-DAEMON@puffy.example>",
    "Delivery status notification: error",
    """    Hi!

    An error has occurred while attempting to deliver a message for
    the following list of recipients:

ted@puffy.example: 550 5.1.1 <ted@puffy.example>... User Unknown
amy@puffy.example: 550 5.2.2 <amy@puffy.example>... Mailbox Full

    Below is a copy of the original message:

Subject: News
""",
)
ZOHO = _mail(
    "mailer-daemon@mail.zoho.example",
    "Undelivered Mail Returned to Sender",
    """This message was created automatically by mail delivery software.
 A message that you sent could not be delivered to one or more of its recipients. This is a permanent error.

leo@firma.example Invalid Address, ERROR_CODE :550, ERROR_CODE :5.1.1 <leo@firma.example>... User Unknown

Received:from mail.zoho.example by mx.zohomail.example
""",
)
YAHOO = _mail(
    "MAILER-DAEMON@yahoo.example",
    "Failure Notice",
    """Sorry, we were unable to deliver your message to the following address.

<una@firma.example>:
550: 5.2.2 <una@firma.example>... Mailbox Full

--- Below this line is a copy of the message.

From: shop@shop.example
""",
)
YAHOO_JAPAN = _mail(
    "MAILER-DAEMON@yahoo.example",
    "Delivery failure",
    """Message from  yahoo.example.
Unable to deliver message to the following address(es).

<ana@yahoo.example>:
This user doesn't have a yahoo.example account (ana@yahoo.example) [-9]

<ben@yahoo.example>:
Sorry your message to ben@yahoo.example cannot be delivered. This account is over quota.

--- Original message follows.
""",
)
VERIZON = _mail(
    "post_master@pager.example",
    "Re:Your code",
    """Error: Invalid user address
Error message below:
550 - Requested action not taken: no such user here
Message details:
  MAIL FROM: shop@shop.example
  RCPT TO: 5550100@pager.example
""",
)
LIST = _mail(
    "cats-admin@list.example",
    "You shop@shop.example are not member (cats ML)",
    "You are not a member of this mailing list <cats@list.example>.\n\nIf you know the general guide of this list\n",
    "X-Keep: 1\n",
).replace("Return-Path: <>", "Return-Path: <cats-admin@list.example>")
DRAGONFLY = _mail(
    "MAILER-DAEMON <>",
    "Mail delivery failed",
    """This is the DragonFly Mail Agent v0.13 at df.example.

There was an error delivering your mail to <sam@weit.example>.

Could not deliver for the last 432000 seconds. Giving up.

Message headers follow.

Received: from root (uid 0)
""",
)
WILL_BE_RETRIED = _mail(
    "Symantec_AntiVirus_for_SMTP_Gateways@wall.example",
    "Delivery failure notification",
    """Your message with Subject: News
could not be delivered to the following recipients:

tom@wall.example

Please do not resend your original message.
Delivery attempts will continue to be made for 5  day(s).
""",
)
RATE_UNDER_A_DEAD_CODE = _mail(
    "MAILER-DAEMON@streng.example",
    "Undelivered Mail Returned to Sender",
    """<lia@streng.example>: host mx.streng.example said: 550 5.1.1 You have sent too many messages this hour
""",
)
ADVICE = _mail(
    "MAILER-DAEMON@rat.example",
    "Mail delivery failed",
    """Your message could not be delivered to:

  eve@rat.example

Delivery was attempted for five days.




What this may mean:

The user may be unknown, there may be no such user, or the mailbox may be full.
Ask the person another way and
check the address.




If none of this helps: 550 is what other systems say when a user is unknown.
""",
).replace("550 is", "a number is")


def _report(fields: str, boundary: str = "x", part: str = "x", text: str = "It failed.") -> str:
    return (
        f"From: MAILER-DAEMON@mx.example\nSubject: Undelivered\n"
        f"Content-Type: multipart/report; report-type=delivery-status; boundary={boundary}\n\n"
        f"--{part}\nContent-Type: text/plain\n\n{text}\n\n"
        f"--{part}\nContent-Type: message/delivery-status\n\n{fields}\n--{part}--\n"
    )


BLANK_LINES = _report(
    """Reporting-MTA: dns; mx.example

Final-Recipient: rfc822; pia@weg.example

Action: failed
Status: 5.1.1

Diagnostic-Code: smtp; 550 5.1.1

 <pia@weg.example>: no such user

Final-Recipient: rfc822; pit@weg.example
Action: failed

Status: 5.2.2
"""
)
WRONG_BOUNDARY = _report(
    "Final-Recipient: rfc822; nina@weg.example\nAction: failed\nStatus: 5.1.1\n", "other", "x", "Sorry."
)
SILENT_FIELDS = _report(
    "Reporting-MTA: dns; mx.example\n\nFinal-Recipient: rfc822; uwe@weg.example\nAction: failed\nStatus: 5.0.0\n",
    text="The following failed:\n\nuwe@weg.example: 550 5.1.1 User unknown",
)
WRAPPED = (
    "Return-Path: <>\nFrom: postmaster@gateway.example\nSubject: Delivery Status Notification (Failure)\n"
    "Content-Type: multipart/mixed; boundary=outer\n\n--outer\nContent-Type: message/rfc822\n\n"
    + _report("Final-Recipient: rfc822; ulf@weg.example\nAction: failed\nStatus: 5.1.1\n")
    + "\n--outer\nContent-Type: text/plain\n\nThis e-mail is confidential.\n--outer--\n"
)
CHALLENGE = """From: Ute <ute@filter.example>
Subject: Please confirm your message to ute@filter.example

To deliver your mail, please confirm that you are a human: reply to this message.
Otherwise it will be returned as undeliverable after 5 days.
"""
AWAY = """From: Ute <ute@firma.example>
Return-Path: <>
Subject: Abwesenheitsnotiz: Ihre Rechnung

Ich bin bis 5.12. nicht im Haus. Unzustellbar bin ich nicht.
"""
AWAY_EXCHANGE = """From: Ute <ute@firma.example>
Subject: Automatic reply: Your order
X-Auto-Response-Suppress: All
Auto-Submitted: auto-generated

I am out of office and could not be reached; mail is returned.
"""
REFUSED_BY_RECEIPT = """From: Mail Delivery Subsystem <postmaster@post.example>
Subject: Automatically rejected mail
Content-Type: multipart/report; report-type=disposition-notification; boundary=m

--m
Content-Type: text/plain

Your message to <ron@post.example> was automatically rejected:
Quota exceeded

--m
Content-Type: message/disposition-notification

Final-Recipient: rfc822; ron@post.example
Disposition: automatic-action/MDN-sent-automatically; deleted

--m--
"""
OLD_COMPLAINT = """From: staff@loop.example
To: fbl@mail.shop.example
Subject: complaint about message from 192.0.2.25
Content-Type: multipart/mixed; boundary=c

--c
Content-Type: message/rfc822
Content-Disposition: inline

X-HmXmrOriginalRecipient: redacted
Subject: Sale

--c--
"""
LIKENESS = _mail("Mail Server <mail@laut.example>", "Automated response", "Sorry about that.\n")

NOTICES: Final[dict[str, Sample]] = {
    "exchange 5.5": Sample(EXCHANGE_5, FAILED, 0, "5.0.0", "max@alt.example", "not recognized"),
    "domino": Sample(DOMINO, FAILED, 0, "5.0.0", "eva@werk.example", "not listed"),
    "notes": Sample(NOTES, FAILED, 0, "5.0.0", "ole@werk.example", "not listed in public"),
    "gmx": Sample(GMX, FAILED, 0, "5.2.2", "ida@voll.example", "Mailbox Full"),
    "imail": Sample(IMAIL, FAILED, 0, "5.0.0", "kai@klein.example", "Unknown user"),
    "imail, full": Sample(IMAIL_FULL, FAILED, 0, "5.0.0", "kai@klein.example", "exceeds allowed size"),
    "interscan": Sample(INTERSCAN, FAILED, 550, "5.1.1", "jo@filter.example", "user unknown"),
    "phone": Sample(PHONE, FAILED, 0, "5.0.0", "mia@phone.example", "mailbox is full"),
    "opensmtpd, old": Sample(OPENSMTPD_OLD, FAILED, 550, "5.1.1", "ted@puffy.example", "User Unknown"),
    "zoho": Sample(ZOHO, FAILED, 550, "5.1.1", "leo@firma.example", "User Unknown"),
    "yahoo": Sample(YAHOO, FAILED, 550, "5.2.2", "una@firma.example", "Mailbox Full"),
    "yahoo japan": Sample(YAHOO_JAPAN, FAILED, 0, "5.0.0", "ana@yahoo.example", "doesn't have"),
    "verizon": Sample(VERIZON, FAILED, 550, "", "5550100@pager.example", "no such user"),
    "list manager": Sample(LIST, FAILED, 0, "5.0.0", "cats@list.example", "not a member"),
    "dragonfly": Sample(DRAGONFLY, FAILED, 0, "5.0.0", "sam@weit.example", "Giving up"),
    "will be retried": Sample(WILL_BE_RETRIED, DELAYED, 0, "4.0.0", "tom@wall.example", ""),
    "rate under a dead code": Sample(RATE_UNDER_A_DEAD_CODE, FAILED, 550, "5.1.1", "lia@streng.example", "too many"),
    "advice": Sample(ADVICE, FAILED, 0, "5.0.0", "eve@rat.example", "five days"),
    "blank lines in a group": Sample(
        BLANK_LINES, FAILED, 550, "5.1.1", "pia@weg.example", "no such user", "", "mx.example"
    ),
    "wrong boundary": Sample(WRONG_BOUNDARY, FAILED, 0, "5.1.1", "nina@weg.example"),
    "silent fields": Sample(SILENT_FIELDS, FAILED, 550, "5.1.1", "uwe@weg.example", "User unknown", "", "mx.example"),
    "wrapped": Sample(WRAPPED, FAILED, 0, "5.1.1", "ulf@weg.example"),
    "challenge": Sample(CHALLENGE, ReportKind.CHALLENGE),
    "away": Sample(AWAY, ReportKind.AUTO_REPLY),
    "away, exchange": Sample(AWAY_EXCHANGE, ReportKind.AUTO_REPLY),
    "refused by receipt": Sample(REFUSED_BY_RECEIPT, FAILED, 0, "5.0.0", "ron@post.example", "Quota exceeded"),
    "old complaint": Sample(OLD_COMPLAINT, ReportKind.COMPLAINT, reporting="staff@loop.example"),
    "a system that says nothing": Sample(LIKENESS, None),
}
