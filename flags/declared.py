"""Every flag there is. One more is a constant here and a question where it matters: `declared.TRACKING.on(...)`.

A flag is for what is new and risky: it has a date by which it should be gone, with the code that asks it. A test fails
when that is over, when nobody asks a flag, and when two have one name.
"""

from datetime import date
from typing import Final

from core.refusal import not_found
from flags.asking import By, Flag

TRACKING: Final = Flag(
    name="tracking",
    meaning="Mail gets a pixel and links that pass through our pages, where its sender wants that.",
    off="Mail that is made from then on has the links that were written, and no pixel. Links of mail that has left go"
    " on leading where they should.",
    owner="messages",
    default=True,
    by=By.MAIL,
    introduced=date(2026, 11, 29),
    until=date(2027, 11, 30),
)
ENGAGEMENT: Final = Flag(
    name="engagement",
    meaning="Opens and clicks are written down: events, figures, webhooks, and who is engaged.",
    off="Opens and clicks are thrown away. Links go on leading where they should.",
    owner="outcomes",
    default=True,
    by=By.MAIL,
    introduced=date(2026, 11, 29),
    until=date(2027, 11, 30),
)
AUTOMATIONS: Final = Flag(
    name="automations",
    meaning="Automations send: steps that are due, and campaigns of rules.",
    off="Nothing more is made by automations; mail of theirs that is queued leaves. People go on entering, and all"
    " steps that are due wait until it is on again.",
    owner="campaigns",
    default=True,
    by=By.APPLICATION,
    introduced=date(2026, 11, 29),
    until=date(2027, 11, 30),
)
BOUNCE_SUPPRESSIONS: Final = Flag(
    name="bounce_suppressions",
    meaning="Addresses whose mail bounces for their own sake are suppressed.",
    off="Mail bounces as ever, and no address is suppressed for it: for when a provider calls everybody unknown by"
    " mistake. Complaints and unsubscribing suppress as ever.",
    owner="suppression",
    default=True,
    by=By.APPLICATION,
    introduced=date(2026, 11, 29),
    until=date(2027, 11, 30),
)
POOL_OVERFLOW: Final = Flag(
    name="pool_overflow",
    meaning="Mail that no IP of its pool can take leaves through the pool's overflow.",
    off="Such mail waits for an IP of its own pool: for when what one pool is throttled for spoils the next.",
    owner="pools",
    default=True,
    by=By.POOL,
    introduced=date(2026, 11, 29),
    until=date(2027, 11, 30),
)
REQUEST_LOG: Final = Flag(
    name="request_log",
    meaning="Requests to the API are kept in the request log.",
    off="Requests are answered as ever and leave no line: for when the database has too much to write.",
    owner="requestlog",
    default=True,
    by=By.APPLICATION,
    introduced=date(2026, 11, 29),
    until=date(2027, 11, 30),
)

CHUNKING: Final = Flag(
    name="chunking",
    meaning="Mail goes by BDAT to servers that offer CHUNKING: one round trip a mail, several under way at a time.",
    off="All mail goes by DATA, one at a time through each connection.",
    owner="mta",
    default=True,
    by=By.MAIL,
    introduced=date(2026, 11, 29),
    until=date(2027, 11, 30),
)

FLAGS: Final = (TRACKING, ENGAGEMENT, AUTOMATIONS, BOUNCE_SUPPRESSIONS, POOL_OVERFLOW, REQUEST_LOG, CHUNKING)
"""In the order they are shown."""


def flag_named(name: str) -> Flag:
    """The flag of this name. Raises Refused."""
    for flag in FLAGS:
        if flag.name == name:
            return flag
    raise not_found(f"there is no flag {name!r}", f"There are {', '.join(flag.name for flag in FLAGS)}.")
