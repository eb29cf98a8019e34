"""How the installation stands, in words."""

from dataclasses import replace
from datetime import UTC, datetime

from alarms.system import Queue, Server, System
from core.queues import Lane
from store import revisions
from store.heartbeats import Process

NEWEST = revisions.newest()
NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
API = Process("api", "one", 7, "1.0", NOW, NOW, silent=False, trouble="")
FINE = System([API], [], [Server("PostgreSQL", "15.4"), Server("Valkey", "8.0")], NEWEST, NEWEST)


def test_all_is_well() -> None:
    assert FINE.troubles == []
    assert FINE.sentence == "1 process runs, and every server answers."
    many = replace(FINE, processes=[API, replace(API, host="two", version="1.1")])
    assert many.sentence == "2 processes run on 2 hosts, and every server answers."
    assert many.versions == ["1.0", "1.1"]


def test_what_is_wrong_is_said_first() -> None:
    silent, troubled = replace(API, name="scheduler", silent=True), replace(API, name="inbound", trouble="stopping")
    away = Server("Valkey", "", "connection refused")
    found = replace(FINE, processes=[silent, troubled], servers=[away], revision="0040")

    assert found.troubles == [
        "scheduler on one is silent", "inbound on one: stopping", "Valkey does not answer: connection refused",
        f"the tables are at 0040, this version needs {NEWEST}: `postlane migrate`",
    ]  # fmt: skip
    assert found.sentence == (
        "Not everything runs: scheduler on one is silent; inbound on one: stopping; Valkey does not answer: connection"
        " refused; 1 more."
    )
    gone = [replace(silent, name=f"worker-{n}") for n in range(5)]
    assert replace(FINE, processes=gone).troubles == [
        "worker-0 on one, worker-1 on one, worker-2 on one and 2 more are silent"
    ]
    assert replace(FINE, processes=[]).sentence.startswith("No process has been heard of.")
    assert replace(FINE, processes=[], revision="").sentence == (
        f"Not everything runs: the tables are at none, this version needs {NEWEST}: `postlane migrate`."
    )


def test_a_long_queue_is_not_counted_to_its_end() -> None:
    assert Queue(Lane.MARKETING, 10_000, more=True, oldest_due=0.0).told == "more than 10,000"
    assert Queue(Lane.MARKETING, 4_100, more=False, oldest_due=0.0).told == "4,100"
