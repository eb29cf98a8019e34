"""Two worker hosts, and one of them is lost for good while it sends.

Path: a pool has two IPs on each of two hosts, which are network namespaces: neither can bind the other's. Marketing
mail leaves through all four; then the second host is gone with everything on it, its journal too.
Expectation: the first host's IPs go on at once, and take what the lost one had claimed when its lease is over; every
mail ends once. Only mail whose reply the lost host had not read, or not committed, may leave twice.
"""

import asyncio
import contextlib
import signal
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from cli.running.processes import Service
from cli.running.stack import Shape
from core.queues import Lane
from mta.model import EgressIp
from pools.repository import ensure_pool
from store.database import Database
from tests import hosts
from tests.chaos.conftest import quick_env
from tests.chaos.proof import ENDED_SECONDS, MAILS, mails, prove, suppress_blocked, until_delivered
from tests.hosts import Host
from tests.stack import MARKETING, Options, RunningStack, running_stack

FIRST, SECOND = ("198.18.1.1", "198.18.1.2"), ("198.18.2.1", "198.18.2.2")
POOL = "far"
FIRST_WORKER, LOST = MARKETING, f"{MARKETING}-1"

_SENT = "SELECT ip, count(*)::int FROM events WHERE kind = 'delivered' GROUP BY ip"
_MOMENT = "SELECT count(*)::int FROM events WHERE kind = 'delivered' AND ip = ANY(%s)"


@dataclass(slots=True)
class _Hosts:
    """Both, made when the ports are known: with the first of their workers."""

    stack: contextlib.ExitStack
    made: list[Host] = field(default_factory=list)

    def rework(self, service: Service) -> Service:
        """A marketing worker runs on its host."""
        if not service.name.startswith("worker-marketing"):
            return service
        if not self.made:
            self._make(service)
        inside = self.made[service.name == LOST].inside
        gone = Path(service.env["POSTLANE_DATA_DIR"]) / f"{service.name} is lost"
        once = ("sh", "-c", 'test -e "$0" && exec sleep 600; exec "$@"', str(gone))
        # Its /healthz is on a host that only its worker reaches.
        return replace(service, command=(*once, *inside, *service.command), ready=lambda: True)

    def _make(self, service: Service) -> None:
        env, folder = service.env, Path(service.env["POSTLANE_DATA_DIR"])
        dns = int(env["POSTLANE_DNS_SERVERS"].strip('[]"').rpartition(":")[2])
        ports = int(env["POSTLANE_SMTP_PORT"]), urlsplit(env["POSTLANE_REDIS_URL"]).port or 0
        self.stack.enter_context(hosts.carried(folder / "cable"))
        for addresses in (FIRST, SECOND):
            self.made.append(self.stack.enter_context(hosts.host(addresses, ports, dns, folder / "cable")))


@pytest.fixture
def two_hosts(_quick_restarts: None) -> Iterator[RunningStack]:
    """A worker for marketing mail on each of two hosts, and a pool with IPs of both."""
    with contextlib.ExitStack() as stack:
        shape = Shape(marketing=2, background=0, inbound=False)
        running = stack.enter_context(running_stack(Options(shape, quick_env(), _Hosts(stack).rework)))
        asyncio.run(_make_pool(running))
        yield running


if hosts.available():  # elsewhere the pool's units prove who may use which IP, and test_worker_killed the takeover

    @pytest.mark.chaos
    def test_the_other_hosts_ips_carry_everything_when_a_host_is_lost(two_hosts: RunningStack) -> None:
        stack = two_hosts
        batch = [mail | {"pool": POOL} for mail in mails(stack)]
        suppressed = suppress_blocked(stack, batch)
        acknowledged = stack.enqueue(batch)
        until_delivered(stack, MAILS // 3)
        unrecorded = _lose(stack)
        assert stack.waiting() > MAILS // 4, "the loss comes too late to prove anything"
        before = stack.one(_MOMENT, [list(FIRST)])
        seconds = stack.until(lambda: stack.one(_MOMENT, [list(FIRST)]) > before, 10, "the other host to go on")
        took = stack.until_all_ended(ENDED_SECONDS)
        sent = dict(stack.sql(_SENT))
        assert set(sent) == {*FIRST, *SECOND}
        proof = prove(stack, acknowledged, suppressed, most_repeats=unrecorded)
        print(f"{proof}; {unrecorded} mails had left and were not recorded; {seconds:.1f} s to the next mail,"
              f" {took:.0f} s to the last; by IP {sent}")  # fmt: skip


def _lose(stack: RunningStack) -> int:
    """The second host, with all that it had, for good; how many mails had left either host and were not recorded."""
    workers = (FIRST_WORKER, LOST)
    for worker in workers:
        stack.send_signal(worker, signal.SIGSTOP)
    taken = {entry.message_id for entry in stack.ledger()}
    on_the_way = stack.sql("SELECT e.message_id FROM delivery_queue q JOIN emails e ON e.id = q.email_id")
    (stack.data_dir / f"{LOST} is lost").touch()
    stack.kill(LOST)
    stack.send_signal(FIRST_WORKER, signal.SIGCONT)
    return sum(message_id in taken for (message_id,) in on_the_way)


async def _make_pool(stack: RunningStack) -> None:
    database = Database(stack.database_url, size=1, name="postlane-test")
    await database.open()
    try:
        async with database.transaction() as connection:
            ips = [EgressIp(one, one, f"m{at}.postlane.sim") for at, one in enumerate((*FIRST, *SECOND), 1)]
            await ensure_pool(connection, POOL, Lane.MARKETING, ips)
    finally:
        await database.close()
