"""Response times of all processes as metrics, in the form that Prometheus reads."""

from prometheus_client import CollectorRegistry, generate_latest

from alarms.doors import Standing
from core.objectives import SEND
from store.route_times import Counts, Route
from workers.door_metrics import Answering


def test_a_route_is_a_histogram_with_its_class() -> None:
    counts = Counts(SEND.seconds)
    counts.note(0.003, failed=False)
    counts.note(20.0, failed=True)
    registry, answering = CollectorRegistry(), Answering()
    answering.show([(Route("api", "POST", "/emails", "send"), counts)], [Standing(SEND, 1000, 2)])
    registry.register(answering)
    told = generate_latest(registry).decode()
    value = registry.get_sample_value
    labels = {"class": "send", "face": "api", "method": "POST", "route": "/emails"}
    assert value("postlane_route_seconds_bucket", labels | {"le": "0.0025"}) == 0
    assert value("postlane_route_seconds_bucket", labels | {"le": "0.005"}) == 1
    assert value("postlane_route_seconds_bucket", labels | {"le": "10.0"}) == 1
    assert value("postlane_route_seconds_bucket", labels | {"le": "+Inf"}) == 2
    assert value("postlane_route_seconds_count", labels) == 2
    assert value("postlane_route_seconds_sum", labels) == 20.003
    assert value("postlane_route_failed_total", labels) == 1
    assert value("postlane_route_missed_total", labels) == 1
    assert round(value("postlane_error_budget_left", {"class": "send"}) or 0.0, 6) == -1
    assert value("postlane_objective_seconds", {"class": "send"}) == 0.25
    assert "# TYPE postlane_route_seconds histogram" in told
