"""Redis is away: mail is accepted, and leaves once it is back.

Path: Valkey is killed and stays away; POST /emails; Valkey comes back.
Expectation: the API answers 2xx because the mail is committed; nothing can be hinted, so nothing leaves; afterwards the
scheduler's due scan finds the mail without anybody's help. The background worker goes on all the while.
"""

import time

import pytest
import redis

from tests.stack import RunningStack


@pytest.mark.scenario
def test_mail_accepted_without_redis_leaves_when_it_is_back(stack: RunningStack) -> None:
    stack.kill("valkey")  # nobody starts it again before the next `until`
    ids = [stack.send(f"patient{n}@small-021.sim") for n in range(20)]
    with redis.Redis.from_url(stack.redis_url) as client, pytest.raises(redis.ConnectionError):
        client.ping()
    assert {stack.last_event(email_id) for email_id in ids} == {"queued"}
    _works_on(stack)
    stack.until(lambda: {stack.last_event(email_id) for email_id in ids} == {"delivered"}, 60, "the mail to leave")
    assert stack.states()["valkey"].restarts > 0


def _works_on(stack: RunningStack) -> None:
    """The background worker: what it does by the clock asks PostgreSQL alone."""
    before = stack.figures().get("cancelled", 0)
    later = stack.send("later@small-021.sim", scheduled_at="in 1 hour")
    stack.request("POST", f"/emails/{later}/cancel")
    deadline = time.monotonic() + 20
    while stack.one("SELECT count(*) FROM count_deltas") or stack.figures()["cancelled"] <= before:
        assert time.monotonic() < deadline, "figures are added up without Valkey"
        time.sleep(0.1)  # no `until`: it would start Valkey again
