"""Redis is away: mail is accepted, and leaves once it is back.

Path: Valkey is killed and stays away; POST /emails; Valkey comes back.
Expectation: the API answers 2xx because the mail is committed; nothing can be hinted, so nothing leaves; afterwards the
scheduler's due scan finds the mail without anybody's help.
"""

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
    stack.until(lambda: {stack.last_event(email_id) for email_id in ids} == {"delivered"}, 60, "the mail to leave")
    assert stack.states()["valkey"].restarts > 0
