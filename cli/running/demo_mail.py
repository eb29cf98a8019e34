"""The mail that the demo sends: a welcome, and a burst to what a list of consumers looks like. Pure.

Most people of the burst just get their mail. Some addresses cannot be reached, and a few people react to it; what the
local parts mean is in `simulator/behaviour.py`. The same number is always the same recipient.
"""

import random

DOMAIN = "acme.sim"
SENDER = f"Acme <hello@{DOMAIN}>"
BURST = 2000
BATCH = 500

_SHARES = (
    ("gmail.sim", 42), ("outlook.sim", 10), ("hotmail.sim", 8), ("yahoo.sim", 12), ("icloud.sim", 7), ("gmx.sim", 5),
    ("acme-corp.sim", 4), ("contour-bank.sim", 3),
)  # fmt: skip
_SMALL_DOMAINS = 200
RECIPIENT_DOMAINS = (
    *(domain for domain, _ in _SHARES), *(f"small-{number:03d}.sim" for number in range(1, _SMALL_DOMAINS + 1))
)  # fmt: skip

_ODD_ONES = {23: "unknown", 57: "full", 83: "greylist", 71: "click"}
"""Per hundred recipients, these do not exist, are full, are greylisted, or have a look at what is offered."""
_PEOPLE = {
    311: "late311@gmail.sim",
    737: "complain737@gmail.sim",
    1161: "unsubscribe1161@yahoo.sim",
    1462: "unsubscribe1462+mail@gmx.sim",
}
"""One of each: a mailbox whose server finds out later that it is closed, and people who have enough."""


def welcome() -> dict[str, object]:
    """What every start sends."""
    return {
        "from": SENDER,
        "to": ["you@gmail.sim"],
        "subject": "Welcome to Postlane",
        "html": "<p>This mail went through PostgreSQL, Celery, DKIM and SMTP.</p>",
        "text": "This mail went through PostgreSQL, Celery, DKIM and SMTP.",
    }


def offer(number: int) -> dict[str, object]:
    """One mail of the burst."""
    shop = f'<p><a href="https://{DOMAIN}/shop?customer={number}">Have a look</a></p>'
    return {
        "from": SENDER,
        "to": [_address(number)],
        "subject": f"Offer {number}: three for two this week",
        "html": f"<h1>Dear customer {number}</h1>{shop}" + "<p>Three for two on everything in the shop.</p>" * 20,
        "text": f"Dear customer {number}\n\n" + "Three for two on everything in the shop this week.\n" * 20,
        "stream": "marketing",
        "open_tracking": True,
        "click_tracking": True,
        "tags": [{"name": "campaign", "value": "demo"}],
    }


def _address(number: int) -> str:
    asked = _PEOPLE.get(number)
    if asked:
        return asked
    return f"{_ODD_ONES.get(number % 100, 'customer')}{number}@{domain_of(random.Random(number))}"


def domain_of(chance: random.Random) -> str:
    """Where somebody has their mailbox, in the shares of a list of consumers."""
    place = chance.randrange(100)
    for domain, share in _SHARES:
        place -= share
        if place < 0:
            return domain
    return f"small-{chance.randint(1, _SMALL_DOMAINS):03d}.sim"
