"""What comes to the addresses of bounces and is none: receipts, replies of people and robots, complaints (RFC 5965)."""

DELIVERED_RECEIPT = """
From: MAILER-DAEMON@ok.example
Subject: Successful Mail Delivery Report
Content-Type: multipart/report; report-type=delivery-status; boundary=k

--k
Content-Type: message/delivery-status

Reporting-MTA: dns; ok.example

Final-Recipient: rfc822; a@ok.example
Action: delivered
Status: 2.0.0
Diagnostic-Code: smtp; 250 2.0.0 Ok

--k--
"""

VACATION = """
From: Jana <jana@firma.example>
To: b+token@bounce.shop.example
Subject: Out of office: Your order
Auto-Submitted: auto-replied (vacation)

I am away. Dial 550 5.1.1 if it is urgent, and expect failure notices.
"""

PERSON = """
From: Jana <jana@firma.example>
Subject: Re: your failed delivery was returned

Where is my parcel? 550 5.1.1
"""

READ_RECEIPT = """
From: Jana <postmaster@firma.example>
Subject: Returned: read
Content-Type: multipart/report; report-type=disposition-notification; boundary=m

--m
Content-Type: text/plain

550 5.1.1 not really
--m
Content-Type: message/disposition-notification

Final-Recipient: rfc822; jana@firma.example
Disposition: automatic-action/MDN-sent-automatically; deleted
--m--
"""

ARF_ABUSE = """
From: <fbl@isp.example>
To: fbl@mail.shop.example
Subject: FW: Sale
MIME-Version: 1.0
Content-Type: multipart/report; report-type=feedback-report; boundary="part1"

--part1
Content-Type: text/plain; charset="US-ASCII"

This is an abuse report about a mail from 192.0.2.1.

--part1
Content-Type: message/feedback-report

Feedback-Type: abuse
User-Agent: IspFeedback/2.1
Version: 1
Original-Mail-From: <b+token@bounce.shop.example>
Arrival-Date: Thu, 5 Nov 2026 11:00:00 GMT
Reporting-MTA: dns; mail.isp.example
Source-IP: 192.0.2.1

--part1
Content-Type: message/rfc822

From: <news@shop.example>
Subject: Sale

--part1--
"""

ARF_NOT_SPAM = ARF_ABUSE.replace("Feedback-Type: abuse", "Feedback-Type: not-spam")
