"""What one email may ask for, the same at every door: HTTP and SMTP submission refuse by these numbers.

A mail that one door takes and the other refuses would make it a matter of luck which one a program is moved to.
"""

from typing import Final

MAX_RECIPIENTS: Final = 100
"""Receivers of one email, each counted once. RFC 5321 section 4.5.3.1.8 forbids an SMTP server to take fewer; a mail
server that has more sends the rest as another mail."""
MAX_EXPIRES: Final = 259_200
"""Seconds until an email may become worthless; 72 hours is also where the retry clock ends."""
MAX_SUBJECT: Final = 2_000
"""Characters. No client shows a tenth of it."""
MAX_KEY: Final = 256
"""Characters of an idempotency key."""
