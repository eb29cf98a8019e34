"""A provider of the practice internet that throttles an IP, and the IP's way back without its half minute of rest."""

import time
from typing import Final

from pools.throttle_repository import CHANNEL, Key
from tests.stack import SENDER, RunningStack

TEXT: Final = (
    "421 4.7.28 Gmail has detected an unusual rate of mail originating from your IP address."
    " Try again in 30 seconds - gsmtp"
)


def mails(count: int, host: str, name: str) -> list[dict[str, object]]:
    return [
        {"from": SENDER, "to": f"{name}{n}@{host}", "subject": "x", "text": "x", "stream": "marketing"}
        for n in range(count)
    ]


def rest_passes(stack: RunningStack) -> None:
    """The half minute that every IP rests at least: what is stored moves into the past, and the workers hear of it."""
    moved = stack.sql(
        "UPDATE throttles SET since = since - interval '30 seconds', rest_until = rest_until - interval '30 seconds',"
        " stepped_at = stepped_at - interval '30 seconds' WHERE site = 'gmail' RETURNING kind, subject, site"
    )
    assert moved
    for kind, subject, site in moved:
        stack.sql("SELECT pg_notify(%s, %s)", [CHANNEL, Key(kind, subject, site).text])
    stack.sql("UPDATE delivery_queue SET due_at = due_at - interval '30 seconds' WHERE claimed_by IS NULL")


def comes_back(stack: RunningStack, ip: str) -> None:
    """The probes and the steps of its rate, with a little mail all the time."""
    deadline = time.monotonic() + 120
    number = 0
    while stack.one("SELECT count(*) FROM throttles WHERE subject = %s", [ip]):
        assert time.monotonic() < deadline, stack.sql("SELECT * FROM throttles")
        number += 1
        ids = stack.enqueue(mails(30, "gmail.sim", f"back{number}."))
        stack.until_ended(ids, 30)
