"""Hints through a real Valkey: coalesced by markers, lost without harm, and given again."""

import base64
import json
import socket
import time
from collections.abc import Callable, Collection, Iterator
from functools import partial

import pytest
import redis
from prometheus_client import REGISTRY

from core import publish
from core.publish import (
    DESTINATIONS_PER_TASK,
    MARKER_SECONDS,
    PROMISED_SECONDS,
    HintPublisher,
    celery_app,
    forget_markers,
    marker,
)
from core.queues import BACKGROUND, LEAVING, QUEUES, TASK_DELIVER, Lane
from tests.integration.core.front import Front


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url) as connection:
        yield connection


@pytest.fixture
def publisher(redis_url: str) -> Iterator[HintPublisher]:
    made = HintPublisher(redis_url)
    made.start()
    yield made
    made.stop()


def tasks(client: redis.Redis, lane: Lane) -> list[list[str]]:
    """The destinations of every task that waits, oldest first."""
    found = []
    for raw in reversed(client.lrange(lane.value, 0, -1)):
        message = json.loads(raw)
        assert message["headers"]["task"] == TASK_DELIVER
        (of_lane, destinations), _, _ = json.loads(_body(message))
        assert of_lane == lane.value
        found.append(destinations)
    return found


def _body(message: dict[str, str]) -> str:
    return base64.b64decode(message["body"]).decode()


def kept(client: redis.Redis, destination: str) -> bool:
    """Whether its hint is sent, so that its marker lives for long."""
    return bool(client.ttl(marker(Lane.MARKETING, destination)) > PROMISED_SECONDS)


def eventually(condition: Callable[[], object], seconds: float = 15.0) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    return True


def counted(lane: Lane, result: str) -> float:
    return REGISTRY.get_sample_value("postlane_hints_total", {"lane": lane.value, "result": result}) or 0.0


def cut_connections(client: redis.Redis) -> int:
    """End every other connection to this worker's database, as a restart of the server would; how many there were."""
    own = client.client_id()
    database = str(client.connection_pool.connection_kwargs["db"])
    others = [one["id"] for one in client.client_list() if one["db"] == database and int(one["id"]) != own]
    for identifier in others:
        client.client_kill_filter(_id=identifier)
    return len(others)


def test_hint_becomes_a_task_of_its_lane_and_leaves_a_marker(publisher: HintPublisher, client: redis.Redis) -> None:
    publisher.hint(Lane.TRANSACTIONAL, ["b.example", "a.example"])

    assert eventually(lambda: client.llen("transactional"))
    assert tasks(client, Lane.TRANSACTIONAL) == [["a.example", "b.example"]]
    assert 0 < client.ttl(marker(Lane.TRANSACTIONAL, "a.example")) <= MARKER_SECONDS
    assert client.llen("marketing") == 0


def test_second_hint_for_a_waiting_destination_is_coalesced(publisher: HintPublisher, client: redis.Redis) -> None:
    before = counted(Lane.TRANSACTIONAL, "coalesced")
    publisher.hint(Lane.TRANSACTIONAL, ["a.example"])
    assert eventually(lambda: client.llen("transactional"))
    publisher.hint(Lane.TRANSACTIONAL, ["a.example", "c.example"])

    assert eventually(lambda: client.llen("transactional") == 2)
    assert tasks(client, Lane.TRANSACTIONAL) == [["a.example"], ["c.example"]]
    assert eventually(lambda: counted(Lane.TRANSACTIONAL, "coalesced") == before + 1)


@pytest.mark.parametrize("odd", ["", "b\nc.example", "\n"])
def test_an_odd_name_keeps_no_other_from_being_hinted(odd: str, publisher: HintPublisher, client: redis.Redis) -> None:
    """The due scan would hint them together again and again."""
    publisher.hint(Lane.MARKETING, {"a.example", odd})

    assert eventually(lambda: tasks(client, Lane.MARKETING))
    assert tasks(client, Lane.MARKETING) == [sorted(["a.example", odd])]


def test_scripts_that_valkey_has_forgotten_are_given_again(publisher: HintPublisher, client: redis.Redis) -> None:
    for number in range(2):
        client.script_flush()
        publisher.hint(Lane.MARKETING, [f"{number}.example"])
        assert eventually(partial(kept, client, f"{number}.example"))

    assert eventually(lambda: len(tasks(client, Lane.MARKETING)) == 2)


def test_a_task_of_few_destinations_says_for_which_mail_is_known_to_leave(client: redis.Redis, redis_url: str) -> None:
    publisher = HintPublisher(redis_url)
    publisher.hint(Lane.TRANSACTIONAL, ["a.example", "b.example"])
    publisher.hint(Lane.TRANSACTIONAL, ["b.example", "c.example"], leaves=True)
    many = [f"d{number:02}.example" for number in range(publish._AHEAD + 1)]
    publisher.hint(Lane.MARKETING, many, leaves=True)
    publisher.start()
    publisher.stop()

    headers = {lane: json.loads(client.lrange(lane.value, 0, 0)[0])["headers"] for lane in Lane}
    assert tasks(client, Lane.TRANSACTIONAL) == [["a.example", "b.example", "c.example"]]
    assert headers[Lane.TRANSACTIONAL][LEAVING] == ["b.example", "c.example"]
    assert tasks(client, Lane.MARKETING) == [many]
    assert LEAVING not in headers[Lane.MARKETING]


def test_same_destination_in_both_lanes_is_two_hints(publisher: HintPublisher, client: redis.Redis) -> None:
    publisher.hint(Lane.TRANSACTIONAL, ["a.example"])
    publisher.hint(Lane.MARKETING, ["a.example"])

    assert eventually(lambda: client.llen("transactional") == 1 and client.llen("marketing") == 1)


def test_destination_is_hinted_again_when_its_marker_is_gone(publisher: HintPublisher, client: redis.Redis) -> None:
    publisher.hint(Lane.TRANSACTIONAL, ["a.example"])
    assert eventually(lambda: client.llen("transactional"))
    client.delete(marker(Lane.TRANSACTIONAL, "a.example"))
    publisher.hint(Lane.TRANSACTIONAL, ["a.example"])

    assert eventually(lambda: client.llen("transactional") == 2)


def test_small_destinations_share_tasks(publisher: HintPublisher, client: redis.Redis) -> None:
    names = [f"d{number:03}.example" for number in range(2 * DESTINATIONS_PER_TASK + 20)]
    publisher.hint(Lane.MARKETING, names)

    assert eventually(lambda: client.llen("marketing") == 3)
    waiting = tasks(client, Lane.MARKETING)
    assert [len(destinations) for destinations in waiting] == [DESTINATIONS_PER_TASK, DESTINATIONS_PER_TASK, 20]
    assert sorted(name for destinations in waiting for name in destinations) == names


def test_transactional_mail_does_not_wait_for_bulk_to_be_gathered(
    publisher: HintPublisher, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publish, "_GATHER_SECONDS", 3.0)
    publisher.hint(Lane.MARKETING, ["bulk.example"])
    time.sleep(0.05)
    publisher.hint(Lane.TRANSACTIONAL, ["a.example"])

    assert eventually(lambda: client.llen("transactional") == 1, 1.0)


def test_hints_of_a_stream_of_transactional_mail_share_publications(
    publisher: HintPublisher, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A single one before them goes at once, and what follows it is told of soon."""
    monkeypatch.setattr(publish, "_MANY_APART_SECONDS", 1.0)
    publisher.hint(Lane.TRANSACTIONAL, ["a.example"])
    assert eventually(lambda: client.llen("transactional") == 1)
    publisher.hint(Lane.TRANSACTIONAL, ["b.example"] * publish._MANY)
    assert eventually(lambda: client.llen("transactional") == 2)
    publisher.hint(Lane.TRANSACTIONAL, ["c.example"])

    assert not eventually(lambda: client.llen("transactional") > 2, 0.1)
    assert tasks(client, Lane.TRANSACTIONAL) == [["a.example"], ["b.example"]]


def test_bulk_makes_no_transactional_mail_wait(
    publisher: HintPublisher, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publish, "_MANY_APART_SECONDS", 1.0)
    publisher.hint(Lane.MARKETING, [f"d{number}.example" for number in range(50)])
    assert eventually(lambda: client.llen("marketing") == 1)
    publisher.hint(Lane.TRANSACTIONAL, ["a.example"])

    assert eventually(lambda: client.llen("transactional") == 1, 0.5)


def test_bulk_is_gathered_into_few_tasks(
    publisher: HintPublisher, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publish, "_GATHER_SECONDS", 0.2)
    for number in range(20):
        publisher.hint(Lane.MARKETING, [f"d{number:02}.example"])
        time.sleep(0.002)

    assert eventually(lambda: client.llen("marketing") > 0)
    assert [len(destinations) for destinations in tasks(client, Lane.MARKETING)] == [20]


def test_what_waits_is_published_when_the_publisher_stops(redis_url: str, client: redis.Redis) -> None:
    publisher = HintPublisher(redis_url)
    publisher.start()
    for number in range(50):
        publisher.hint(Lane.MARKETING, [f"d{number}.example"])
    publisher.stop()

    assert sum(map(len, tasks(client, Lane.MARKETING))) == 50


def test_cut_connections_cost_no_hint(publisher: HintPublisher, client: redis.Redis) -> None:
    """After a restart of Valkey the first hint meets dead connections. It may not be lost behind its own marker."""
    publisher.hint(Lane.TRANSACTIONAL, ["a.example"])
    assert eventually(lambda: client.llen("transactional") == 1)
    assert cut_connections(client) >= 2
    publisher.hint(Lane.TRANSACTIONAL, ["b.example"])
    sent = eventually(lambda: client.llen("transactional") == 2, 1.0)

    assert sent or not client.exists(marker(Lane.TRANSACTIONAL, "b.example"))


def test_away_redis_neither_blocks_nor_raises_and_the_thread_lives_on(redis_url: str, client: redis.Redis) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        publisher = HintPublisher(f"redis://127.0.0.1:{unused.getsockname()[1]}/0")
        publisher.start()
        before = counted(Lane.TRANSACTIONAL, "lost")
        started = time.monotonic()
        for number in range(1000):
            publisher.hint(Lane.TRANSACTIONAL, [f"d{number}.example"])
        took = time.monotonic() - started
        assert eventually(lambda: counted(Lane.TRANSACTIONAL, "lost") == before + 1000)
        publisher.stop()

    assert took < 0.5


def test_slow_redis_makes_nobody_wait_and_loses_no_hint(redis_url: str, client: redis.Redis) -> None:
    """Each answer takes a fifth of a second; whoever accepts mail does not notice."""
    with Front(redis_url, seconds=0.2) as slow:
        publisher = HintPublisher(slow.url)
        publisher.start()
        before = counted(Lane.TRANSACTIONAL, "lost")
        started = time.monotonic()
        for number in range(100):
            publisher.hint(Lane.TRANSACTIONAL, [f"d{number}.example"])
        took = time.monotonic() - started
        assert eventually(lambda: sum(map(len, tasks(client, Lane.TRANSACTIONAL))) == 100)
        publisher.stop()

    assert took < 0.2
    assert counted(Lane.TRANSACTIONAL, "lost") == before


def test_an_unexpected_error_does_not_end_publishing(
    publisher: HintPublisher, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without its thread a scheduler would go on scanning, healthy to look at, and no mail would ever move."""
    send, broken = publisher._send, iter([True])

    def once_broken(lane: Lane, destinations: list[str], leaving: Collection[str]) -> None:
        if next(broken, False):
            raise RuntimeError("a bug in a library")
        send(lane, destinations, leaving)

    monkeypatch.setattr(publisher, "_send", once_broken)
    publisher.hint(Lane.TRANSACTIONAL, ["a.example"])

    def hinted_again() -> object:
        publisher.hint(Lane.TRANSACTIONAL, ["a.example"])  # coalesced while the first one is fresh
        return client.llen("transactional") == 1

    assert eventually(hinted_again)
    assert next(broken, None) is None


def test_a_long_queue_takes_no_more_hints(
    publisher: HintPublisher, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With no worker at its end a queue would grow by every destination each time the markers end, for ever."""
    monkeypatch.setattr(publish, "QUEUE_TASKS", 10)
    client.rpush("marketing", *(["{}"] * 10))
    before = counted(Lane.MARKETING, "full")
    publisher.hint(Lane.MARKETING, ["a.example"])

    assert eventually(lambda: counted(Lane.MARKETING, "full") == before + 1)
    assert client.llen("marketing") == 10
    assert not client.exists(marker(Lane.MARKETING, "a.example"))


def test_every_publisher_and_worker_shares_the_settings_of_tasks() -> None:
    conf = celery_app("redis://127.0.0.1:1/0").conf

    assert conf.task_acks_late
    assert conf.worker_prefetch_multiplier == 1
    assert conf.accept_content == ["json"]
    assert conf.broker_transport_options["ack_emulation"] is False
    assert conf.task_default_queue == BACKGROUND in QUEUES


def test_hints_that_a_killed_worker_took_with_it_are_given_again(client: redis.Redis, publisher: HintPublisher) -> None:
    destinations = [f"small-{n}.example" for n in range(publish._SCANNED + 1)]
    publisher.hint(Lane.MARKETING, destinations)
    publisher.hint(Lane.TRANSACTIONAL, ["gmail.com"])
    assert eventually(lambda: sum(map(len, tasks(client, Lane.MARKETING))) == len(destinations))
    assert eventually(lambda: tasks(client, Lane.TRANSACTIONAL))
    client.delete(Lane.MARKETING.value)
    forget_markers(client, Lane.MARKETING)

    assert client.keys(marker(Lane.MARKETING, "*")) == []
    assert client.exists(marker(Lane.TRANSACTIONAL, "gmail.com"))
    publisher.hint(Lane.MARKETING, ["small-1.example"])
    assert eventually(lambda: tasks(client, Lane.MARKETING) == [["small-1.example"]])
