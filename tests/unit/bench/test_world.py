"""The pure parts of the world: mail, DNS zones, ranges of rows, URLs, processor time."""

import json
import os
import subprocess
import time

import pytest

from bench.cases.suppression import _destinations
from bench.databases import POOL_IPS, database_url, pool_addresses
from bench.mail import BULK_ZONE, TIMED_ZONE, MailBodies, domain, recipient
from bench.processor import CpuSample, memory_mb, microseconds_per_message, sample
from bench.rows import chunks
from bench.world import SINK_HOST, TIMED_HOST, free_port, zones
from core.publish import DESTINATIONS_PER_TASK
from core.queues import Lane


def test_a_batch_is_json_and_no_two_mails_are_alike() -> None:
    people = [(n, recipient(n, BULK_ZONE, 10, "run")) for n in range(30)]
    emails = json.loads(MailBodies("marketing").batch(people))
    assert [email["to"] for email in emails] == [to for _, to in people]
    assert {email["stream"] for email in emails} == {"marketing"}
    assert len({email["html"] for email in emails}) == len({email["text"] for email in emails}) == 30


def test_a_mail_has_about_five_kilobytes() -> None:
    html, text = MailBodies("marketing").texts(7)
    assert 4_500 <= len(html) + len(text) <= 5_500
    assert (html + text).isascii()
    assert max(len(line) for line in (html + "\n" + text).splitlines()) < 100
    assert "reader 7." in html
    assert "reader 7." in text


def test_recipients_are_spread_and_differ_between_runs() -> None:
    one = [recipient(n, BULK_ZONE, 4, "a") for n in range(8)]
    two = [recipient(n, BULK_ZONE, 4, "b") for n in range(8)]
    assert len({*one, *two}) == 16
    assert [address.partition("@")[2] for address in one] == [domain(n, BULK_ZONE, 4) for n in range(8)]
    assert sorted(one) != one


def test_every_recipient_domain_leads_to_its_sink() -> None:
    found = zones(3)
    for zone, host in ((BULK_ZONE, SINK_HOST), (TIMED_ZONE, TIMED_HOST)):
        for number in range(3):
            (record,) = found[domain(number, zone, 3)]["MX"]
            assert found[record.split()[1]] == {"A": [host]}


def test_every_recipient_domain_is_a_site_of_its_own() -> None:
    servers = [record for entry in zones(5).values() for record in entry.get("MX", [])]
    assert len(servers) == len(set(servers)) == 10


def test_the_pools_of_the_lanes_share_no_ip() -> None:
    addresses = [address for lane in Lane for address in pool_addresses(lane)]
    assert len(set(addresses)) == POOL_IPS * len(Lane)
    assert all(address.startswith("127.0.1.") for address in addresses)


@pytest.mark.parametrize(
    ("count", "size", "expected"),
    [(0, 5, []), (5, 5, [(1, 5)]), (6, 5, [(1, 5), (6, 6)]), (3, 1, [(1, 1), (2, 2), (3, 3)])],
)
def test_chunks_cover_everything_once(count: int, size: int, expected: list[tuple[int, int]]) -> None:
    assert chunks(count, size) == expected


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (
            "postgresql://postlane@/postlane?host=%2Ftmp%2Fs&port=5432",
            "postgresql://postlane@/x?host=%2Ftmp%2Fs&port=5432",
        ),
        ("postgresql://u:p@h:1/db", "postgresql://u:p@h:1/x"),
    ],
)
def test_another_database_of_the_same_server(url: str, expected: str) -> None:
    assert database_url(url, "x") == expected


def test_claims_go_through_all_domains_before_one_comes_again() -> None:
    turns = 1000 // DESTINATIONS_PER_TASK
    seen = [name for turn in range(turns) for name in _destinations(1000, turn)]
    assert len(seen) == len(set(seen)) == 1000
    assert _destinations(1000, turns) == _destinations(1000, 0)
    assert len(_destinations(3, 0)) == 3


def test_processor_time_is_by_message_and_sorted() -> None:
    used = CpuSample({"api": 1.5, "new": 2.0, "idle": 1.0}).since(CpuSample({"api": 0.5, "idle": 1.0}))
    assert microseconds_per_message(used, 1000) == {"new": 2000.0, "api": 1000.0}


@pytest.mark.skipif(not os.path.exists("/proc/self/stat"), reason="reads Linux's /proc")
def test_processor_time_of_this_process_is_seen() -> None:
    before = sample({"me": os.getpid()})
    ends = time.process_time() + 0.1
    while time.process_time() < ends:
        pass
    used = sample({"me": os.getpid()}).since(before)
    assert used["me"] >= 0.05
    assert used["load generator"] >= 0.1
    assert memory_mb(os.getpid()) > 5


def test_processor_time_of_a_process_that_is_gone() -> None:
    ended = subprocess.Popen(["true"])
    ended.wait()

    assert sample({"gone": ended.pid}).seconds["gone"] == 0.0


def test_a_free_port_can_be_bound_on_both_addresses() -> None:
    assert 1024 <= free_port((SINK_HOST, TIMED_HOST)) <= 65535
