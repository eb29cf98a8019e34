"""What the events of a round tell: how long each mail that met a throttle took, and how many had to wait."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from bench.cases.reroute import NO_RATE, PROVIDER, Shift, Step, held_in, shift_of
from mta.providers import load_providers
from simulator.world import PROVIDERS_FILE

_BEGUN = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def step(message: int, kind: str, ms: float, ip: str = "127.0.1.4") -> Step:
    return Step((UUID(int=message), 0), kind, _BEGUN + timedelta(milliseconds=ms), ip)


def test_mail_that_met_no_throttle_is_no_part_of_it() -> None:
    assert shift_of([step(1, "delivered", 5)]) == Shift([], 0, 0, 0, 0)


def test_time_runs_from_the_first_throttle_to_the_delivery() -> None:
    steps = [
        step(1, "delivered", 90, "127.0.1.6"),
        step(1, "rerouted", 50, "127.0.1.5"),
        step(1, "rerouted", 10),
        step(2, "delivered", 25, "127.0.1.5"),
        step(2, "rerouted", 5),
    ]
    assert shift_of(steps) == Shift([20.0, 80.0], rerouted=2, waited=0, same_ip=0, lost=0)


def test_mail_that_had_to_wait_counts_with_the_time_it_waited() -> None:
    steps = [
        step(1, "deferred", 0),
        step(1, "delivered", 2500),
        step(2, "rerouted", 1),
        step(2, "deferred", 3, "127.0.1.5"),
        step(2, "delivered", 1001, "127.0.1.5"),
    ]
    assert shift_of(steps) == Shift([2500.0, 1000.0], rerouted=0, waited=2, same_ip=0, lost=0)


def test_the_same_ip_and_lost_mail_are_seen() -> None:
    steps = [step(1, "rerouted", 0), step(1, "delivered", 9), step(2, "rerouted", 0)]
    assert shift_of(steps) == Shift([9.0], rerouted=2, waited=0, same_ip=1, lost=1)


@pytest.mark.parametrize(
    ("metrics", "held"),
    [
        ("", 0),
        ('postlane_held_total{lane="transactional"} 3.0\n', 0),
        ('# HELP x\npostlane_held_total{lane="marketing"} 201.0\nother 1\n', 201),
    ],
)
def test_held_mail_is_read_from_the_workers(metrics: str, held: int) -> None:
    assert held_in(metrics) == held


def test_without_a_rate_all_else_is_gmails(tmp_path_factory: pytest.TempPathFactory) -> None:
    file = tmp_path_factory.mktemp("providers") / "no-rate.toml"
    file.write_text(PROVIDERS_FILE.read_text() + NO_RATE)
    free, rated = load_providers(file).limits(PROVIDER), load_providers(PROVIDERS_FILE).limits(PROVIDER)
    assert (free.messages_per_second, rated.messages_per_second) == (0, 100)
    assert (free.connections, free.tls, free.provider_wide) == (rated.connections, rated.tls, rated.provider_wide)
