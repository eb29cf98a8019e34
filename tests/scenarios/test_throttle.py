"""The throttled IP rests, the mail does not (promise 4).

Path: 1,500 marketing mails to the Gmail-like provider leave through three IPs; at about mail 500 the provider throttles
one of them. Later it lets it in again. In the second story it throttles all three.
Expectation: everything is delivered and nothing waits for that IP (how fast, is the benchmark's matter); it goes
on delivering to the Yahoo-like provider; it comes back step by step to its full share, and `ips why` tells all of it.
When all three are throttled the mail waits, nothing bounces, and all of it is delivered after.
"""

import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence

import pytest

from simulator import client as simulator
from tests.scenarios.throttling import TEXT, comes_back, mails, rest_passes
from tests.stack import RunningStack

COUNT = 1500
"""Each IP sends a hundred a second to this provider."""
IPS = ("127.0.1.11", "127.0.1.12", "127.0.1.13")
THROTTLED = IPS[1]
REST_SECONDS = 30.0
"""No IP rests shorter."""


@pytest.mark.scenario
def test_one_throttled_ip_keeps_no_mail_waiting_and_comes_back(stack: RunningStack) -> None:
    sim = stack.simulator
    assert sim is not None
    before = _taken(stack, "gmail")
    campaign = stack.submit(mails(COUNT, "gmail.sim", "fan"))
    stack.until(lambda: _taken(stack, "gmail") >= before + 500, 60, "500 mails at the Gmail-like provider")
    simulator.set_rule(sim, "throttle", provider="gmail", client=THROTTLED, text=TEXT, stage="dot", name="slow-down")
    ids = campaign.ids(60)
    # The other provider goes on taking mail from the very same IP.
    others = stack.enqueue(mails(60, "yahoo.sim", "friend"))
    stack.until_ended([*ids, *others], 120)

    assert _states(stack, ids) == {"delivered": COUNT}
    kinds = Counter(dict(_events(stack, ids)))
    assert kinds["rerouted"] > 0
    assert set(kinds) <= {"delivered", "rerouted", "deferred"}
    _prove_hardly_any_waited(stack, ids)
    first, slowest = _reroute_seconds(stack, ids)
    assert slowest < REST_SECONDS, f"a re-routed mail took {slowest:.3f} s, as if it had waited for its IP"
    print(f"the first re-routed mail took {first:.3f} s, the slowest {slowest:.3f} s")
    assert THROTTLED in {ip for (ip,) in stack.sql(
        "SELECT ip FROM events WHERE email_id = ANY(%s::uuid[]) AND kind = 'delivered'", [others])}  # fmt: skip
    throttled_at = stack.one("SELECT min(at) FROM events WHERE kind = 'rerouted' AND email_id = ANY(%s::uuid[])", [ids])
    late = stack.one(
        "SELECT count(*) FROM events WHERE kind = 'delivered' AND provider = 'gmail' AND ip = %s"
        " AND at > %s::timestamptz + interval '3 seconds' AND email_id = ANY(%s::uuid[])",
        [THROTTLED, throttled_at, ids],
    )
    assert late == 0, "the resting IP was used"

    simulator.clear_rules(sim, "slow-down")
    rest_passes(stack)
    comes_back(stack, THROTTLED)
    _full_share(stack)
    _story(stack)


def _full_share(stack: RunningStack) -> None:
    time.sleep(1.0)  # the news of its health reaches every worker
    ids = stack.enqueue(mails(600, "gmail.sim", "again"))
    stack.until_ended(ids, 60)
    used = Counter(dict(stack.sql(
        "SELECT ip, count(*) FROM events WHERE email_id = ANY(%s::uuid[]) AND kind = 'delivered' GROUP BY ip",
        [ids])))  # fmt: skip
    assert set(used) == set(IPS)
    assert min(used.values()) >= 600 / 3 * 0.9, used


def _story(stack: RunningStack) -> None:
    """Every step with its reason, in the words of `postlane ips why`."""
    done = subprocess.run(
        [sys.executable, "-m", "cli", "ips", "why", THROTTLED, "gmail", "--json"],
        env=os.environ | {"POSTLANE_DATABASE_URL": stack.database_url, "POSTLANE_REDIS_URL": stack.redis_url},
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    told = json.dumps(json.loads(done.stdout))
    for word in ("throttled", "probing", "recovering", "healthy", "gmail-ip-rate", "unusual rate"):
        assert word in told, told


@pytest.mark.scenario
def test_when_all_are_throttled_the_mail_waits_and_nothing_bounces(stack: RunningStack) -> None:
    sim = stack.simulator
    assert sim is not None
    simulator.set_rule(sim, "throttle", provider="gmail", text=TEXT, stage="dot", name="nobody")
    ids = stack.enqueue(mails(300, "gmail.sim", "patient"))
    stack.until(lambda: _resting(stack) == set(IPS), 30, "all three IPs to rest at the Gmail-like provider")
    stack.until(lambda: _waiting_with_reason(stack, ids) == 300, 30, "all mail to wait and to say why")
    assert set(_states(stack, ids)) <= {"deferred", "queued"}
    simulator.clear_rules(sim, "nobody")
    rest_passes(stack)
    stack.until_ended(ids, 120)
    assert _states(stack, ids) == {"delivered": 300}


def _taken(stack: RunningStack, provider: str) -> int:
    assert stack.simulator is not None
    return sum(int(row.get("accepted", 0)) for row in simulator.counts(stack.simulator) if row["provider"] == provider)


def _states(stack: RunningStack, ids: Sequence[str]) -> Counter[str]:
    found = stack.sql(
        "SELECT state, count(*) FROM messages WHERE email_id = ANY(%s::uuid[]) GROUP BY state", [list(ids)]
    )
    return Counter(dict(found))


def _events(stack: RunningStack, ids: Sequence[str]) -> list[tuple[str, int]]:
    return [(kind, n) for kind, n in stack.sql(
        "SELECT kind, count(*) FROM events WHERE email_id = ANY(%s::uuid[]) GROUP BY kind", [list(ids)])]  # fmt: skip


def _prove_hardly_any_waited(stack: RunningStack, ids: Sequence[str]) -> None:
    """A slow machine hears of the throttle late, for more mail at once than the others' rates have room for."""
    found = stack.sql("SELECT detail FROM events WHERE email_id = ANY(%s::uuid[]) AND kind = 'deferred'", [list(ids)])
    assert len(found) <= COUNT // 100, found[0]
    assert all("its rate at gmail is used up" in detail for (detail,) in found), found


def _reroute_seconds(stack: RunningStack, ids: Sequence[str]) -> tuple[float, float]:
    """From a throttle reply to the delivery of the same message: of the first reply, and the longest."""
    found = stack.sql(
        "SELECT extract(epoch FROM d.at - r.at)::float8 FROM events r JOIN events d"
        " ON d.email_id = r.email_id AND d.position = r.position AND d.kind = 'delivered'"
        " WHERE r.kind = 'rerouted' AND r.email_id = ANY(%s::uuid[]) ORDER BY r.at",
        [list(ids)],
    )
    return found[0][0], max(seconds for (seconds,) in found)


def _resting(stack: RunningStack) -> set[str]:
    return {ip for (ip,) in stack.sql("SELECT subject FROM throttles WHERE site = 'gmail' AND state = 'throttled'")}


def _waiting_with_reason(stack: RunningStack, ids: Sequence[str]) -> int:
    """Those that met the throttle say it in their timeline, those that did not in the queue."""
    return int(stack.one(
        "SELECT count(*) FROM delivery_queue q LEFT JOIN messages m USING (email_id, position)"
        " WHERE q.email_id = ANY(%s::uuid[]) AND (q.hold IS NOT NULL OR m.state = 'deferred')",
        [list(ids)]))  # fmt: skip
