"""Alert rules, board and scrape example: what they name exists, each alert rings when it should and is silent else."""

import json
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from deploy import watching
from deploy.board import ROWS
from tests.unit.deploy.commands import ROOT
from tests.unit.deploy.declared import metrics

ALERTS = watching.alerts()
QUERIES = [query for _, panels in ROWS for panel in panels for query, _ in panel.queries]
OF_THE_SCRAPE = {"job", "instance", "process"}
SERIES = {name: labels for metric in metrics() for name, labels in metric.series().items()} | {"up": frozenset[str]()}


@pytest.fixture
def promtool() -> str:
    found = shutil.which("promtool")
    if found is None:
        pytest.skip("needs promtool (Debian: prometheus)")
    return found


@dataclass(frozen=True, slots=True)
class Case:
    """Series, with a value every `interval`: under some an alert rings after some hours, under others it does not."""

    fires: dict[str, str]
    quiet: dict[str, str]
    hours: int = 1
    interval: str = "15s"


def _ratio(metric: str, labels: str, bad: str, good: str) -> Case:
    """One of three is bad, then one of hundreds."""
    many = {f"{metric}{{{labels},{good}}}": "0+20x240", f"{metric}{{{labels},{bad}}}": "0+40x240"}
    return Case(many, {f"{metric}{{{labels},{good}}}": "0+400x240", f"{metric}{{{labels},{bad}}}": "0+1x240"})


def _slow(metric: str, labels: str, bound: str) -> Case:
    """All above the bound, then all below it."""
    where = f"{labels}," if labels else ""
    above = {f'{metric}_bucket{{{where}le="{bound}"}}': "0x240", f'{metric}_bucket{{{where}le="+Inf"}}': "0+9x240"}
    at_top = {f'{metric}_bucket{{{where}le="300"}}': "0+9x240"}
    below = {f'{metric}_bucket{{{where}le="{le}"}}': "0+9x240" for le in (bound, "300", "+Inf")}
    return Case(above | at_top, below)


CASES = {
    "PostlaneProcessAway": Case({'up{job="postlane",process="api"}': "0x240"}, {'up{job="postlane"}': "1x240"}),
    "PostlaneTransactionalMailWaits": Case(
        {'postlane_queue_oldest_due_seconds{lane="transactional"}': "61x240"},
        {
            'postlane_queue_oldest_due_seconds{lane="transactional"}': "60x240",
            'postlane_queue_oldest_due_seconds{lane="marketing"}': "3000x240",
        },
    ),
    "PostlaneMarketingMailWaits": Case(
        {'postlane_queue_oldest_due_seconds{lane="marketing"}': "3601x240"},
        {'postlane_queue_oldest_due_seconds{lane="marketing"}': "3600x240"},
    ),
    "PostlaneNoSchedulerLeads": Case({"postlane_scans_total": "77x240"}, {"postlane_scans_total": "0+15x240"}),
    "PostlaneHintsAreLost": Case(
        {'postlane_hints_total{lane="transactional",result="lost"}': "0+1x240"},
        {'postlane_hints_total{result="lost"}': "9x240", 'postlane_hints_total{result="published"}': "0+9x240"},
    ),
    "PostlaneMailIsNotAccepted": Case(
        {'postlane_api_answers_total{route="/emails",status="503"}': "0+1x240"},
        {
            'postlane_api_answers_total{route="/emails",status="422"}': "0+1x240",
            'postlane_api_answers_total{route="/reports",status="500"}': "0+1x240",
        },
    ),
    "PostlaneAcceptingIsSlow": _slow("postlane_route_seconds", 'class="send"', "0.25"),
    "PostlaneErrorBudgetBurns": Case(
        {
            'postlane_route_missed_total{class="report"}': "0+3x240",
            'postlane_route_seconds_count{class="report"}': "0+20x240",
            'postlane_objective_share{class="report"}': "0.99x240",
        },
        {
            'postlane_route_missed_total{class="report"}': "0+1x240",
            'postlane_route_seconds_count{class="report"}': "0+20x240",
            'postlane_objective_share{class="report"}': "0.99x240",
        },
    ),
    "PostlaneErrorBudgetIsSpent": Case(
        {'postlane_error_budget_left{class="read"}': "-0.1x240"},
        {'postlane_error_budget_left{class="read"}': "0.1x240"},
    ),
    "PostlaneOutcomesWait": Case(
        {"postlane_outcomes_uncommitted": "1001x240"}, {"postlane_outcomes_uncommitted": "1000x240"}
    ),
    "PostlaneCommitsAreSlow": _slow("postlane_outcome_commit_seconds", "", "0.5"),
    "PostlaneStatementsAreSlow": _slow("postlane_statement_seconds", 'family="claim"', "0.5"),
    "PostlaneTransactionalMailIsSlow": _slow(
        "postlane_accepted_to_delivered_seconds", 'lane="transactional"', "30"
    ),
    "PostlaneProviderRefusesAnIp": _ratio(
        "postlane_smtp_replies_total", 'provider="gmail",ip="192.0.2.1"', 'verdict="block"', 'verdict="delivered"'
    ),
    "PostlaneManyBounces": _ratio(
        "postlane_smtp_replies_total", 'provider="gmail",lane="marketing"', 'verdict="bounce"', 'verdict="delivered"'
    ),
    "PostlaneAlarmIsOpen": Case(
        {'postlane_alarms_open{kind="complaints"}': "1x240"}, {'postlane_alarms_open{kind="complaints"}': "0x240"}
    ),
    "PostlaneRestsForHours": Case(
        {'postlane_ip_health{kind="ip",subject="192.0.2.1",provider="gmail",state="resting"}': "3x960"},
        {'postlane_ip_health{kind="ip",subject="192.0.2.1",provider="gmail",state="resting"}': "3x240 2x720"},
        hours=4,
    ),
    "PostlaneWarmupIsNotUsed": Case(
        {
            'postlane_warmup_used{ip="192.0.2.1",provider="gmail"}': "9x360",
            'postlane_warmup_cap{ip="192.0.2.1",provider="gmail"}': "20x360",
        },
        {
            'postlane_warmup_used{ip="192.0.2.1",provider="gmail"}': "11x360",
            'postlane_warmup_cap{ip="192.0.2.1",provider="gmail"}': "20x360",
        },
        hours=30, interval="5m",
    ),
    "PostlaneFlagIsSwitched": Case(
        {'postlane_flag_percent{flag="bdat"}': "0x360"}, {'postlane_flag_percent{flag="bdat"}': "100x360"},
        hours=30, interval="5m",
    ),
    "PostlaneMailIsHeld": Case(
        {'postlane_held_total{lane="marketing"}': "0+1x240"}, {'postlane_held_total{lane="marketing"}': "7x240"}
    ),
    "PostlaneOutcomesAreRepeated": Case(
        {'postlane_outcomes_committed_total{result="repeat"}': "0x220 1x20"},
        {'postlane_outcomes_committed_total{result="repeat"}': "0x20 1x220"},
    ),
    "PostlaneRepliesAreNotRead": Case(
        {'postlane_uncertain_total{lane="marketing"}': "0x120 11x120"},
        {'postlane_uncertain_total{lane="marketing"}': "0x120 9x120"},
    ),
    "PostlaneInboundIsRefused": _ratio(
        "postlane_inbound_mails_total", 'listener="bounces"', 'code="550"', 'code="250"'
    ),
}  # fmt: skip


def test_what_follows_from_rules_and_panels_is_up_to_date() -> None:
    stale = [file.name for file, text in watching.rendered().items() if file.read_text(encoding="utf-8") != text]
    assert stale == [], "run `python -m deploy.watching`"
    assert watching.main(["--check"]) == 0


def test_every_alert_is_tried_both_ways() -> None:
    assert CASES.keys() == {alert.name for alert in ALERTS}


@pytest.mark.parametrize("rings", [True, False])
def test_each_alert_rings_when_it_should_and_is_silent_else(promtool: str, tmp_path: Path, rings: bool) -> None:
    files = [tmp_path / f"{interval}.yml" for interval in ("15s", "5m")]
    for file in files:
        file.write_text(yaml.safe_dump(_tests(file.stem, rings)))
    done = subprocess.run([promtool, "test", "rules", *files], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def _tests(interval: str, rings: bool) -> dict[str, Any]:
    """All that have a value so often, over the same series: a start of promtool's engine costs half a second each."""
    cases = {name: case for name, case in CASES.items() if case.interval == interval}
    series = {one: values for case in cases.values() for one, values in (case.fires if rings else case.quiet).items()}
    return {
        "rule_files": [str(watching.RULES)],
        "evaluation_interval": "1m" if interval == "15s" else interval,
        "tests": [
            {
                "interval": interval,
                "input_series": [{"series": one, "values": values} for one, values in series.items()],
                "promql_expr_test": [_expected(name, case.hours, rings) for name, case in cases.items()],
            }
        ],
    }


def _expected(name: str, hours: int, rings: bool) -> dict[str, Any]:
    found = [{"labels": f'{{alertname="{name}"}}', "value": 1}] if rings else []
    firing = f'count by (alertname) (ALERTS{{alertname="{name}",alertstate="firing"}})'
    return {"expr": firing, "eval_time": f"{hours}h", "exp_samples": found}


def test_prometheus_reads_rules_and_scrape_example(promtool: str) -> None:
    done = subprocess.run(
        [promtool, "check", "config", str(watching.SCRAPE)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(ALERTS)} rules found" in done.stdout


def test_prometheus_can_read_every_query_of_the_board(promtool: str, tmp_path: Path) -> None:
    rules = [
        {"record": f"query:{number}", "expr": query.replace("$__rate_interval", "1m")}
        for number, query in enumerate(QUERIES)
    ]
    file = tmp_path / "queries.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "board", "rules": rules}]}))
    done = subprocess.run([promtool, "check", "rules", str(file)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(QUERIES)} rules found" in done.stdout


@pytest.mark.parametrize("query", sorted({*QUERIES, *(alert.expression for alert in ALERTS)}))
def test_a_query_names_metrics_and_labels_that_exist(query: str) -> None:
    named = re.findall(r"\b(postlane_\w+|up)(?:\{([^}]*)\})?", query)
    assert {name for name, _ in named} <= SERIES.keys()
    for name, matchers in named:
        assert _labels(matchers) <= SERIES[name] | OF_THE_SCRAPE, name
    known = OF_THE_SCRAPE.union(*(SERIES[name] for name, _ in named))
    assert {label for group in re.findall(r"by \(([^)]*)\)", query) for label in re.split(r",\s*", group)} <= known


def _labels(matchers: str) -> set[str]:
    return set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", matchers))


def test_every_metric_is_on_the_board() -> None:
    shown = " ".join(QUERIES)
    assert {
        metric.name for metric in metrics() if not any(re.search(rf"\b{one}\b", shown) for one in metric.series())
    } == set()
    assert len(metrics()) > 30


def test_lines_of_a_panel_are_told_apart_by_labels_they_have() -> None:
    for _, panels in ROWS:
        for panel in panels:
            for query, called in panel.queries:
                grouped = set(re.split(r",\s*", ", ".join(re.findall(r"by \(([^)]*)\)", query))))
                assert set(re.findall(r"\{\{(\w+)\}\}", called)) <= grouped, panel.title
                assert grouped - {"", "le"} <= set(re.findall(r"\{\{(\w+)\}\}", called)), panel.title


def test_the_board_is_one_that_grafana_knows() -> None:
    """Read and written by Grafana's own model of a board: a field that it does not know would be lost."""
    register_default_plugins()
    told = json.loads(watching.BOARD.read_text(encoding="utf-8"))
    known = json.loads(JSONEncoder().encode(Dashboard.from_json(told)))
    assert list(_lost(told, known)) == []
    assert len({panel["id"] for panel in told["panels"]}) == len(told["panels"]) > 40


def _lost(told: Any, known: Any, place: str = "board") -> Sequence[str]:  # JSON as it comes
    if isinstance(told, dict):
        missing = [f"{place}.{name}" for name in told if name not in known]
        return missing + [
            one for name in told if name in known for one in _lost(told[name], known[name], f"{place}.{name}")
        ]
    if isinstance(told, list):
        short = [] if len(told) == len(known) else [f"{place} has {len(known)}"]
        return short + [
            one
            for number, both in enumerate(zip(told, known, strict=False))
            for one in _lost(*both, f"{place}[{number}]")
        ]
    return [] if told == known else [f"{place}: {known!r}"]


def test_panels_do_not_lie_over_each_other() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in json.loads(watching.BOARD.read_text(encoding="utf-8"))["panels"]:
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells


def test_the_scrape_example_has_the_ports_of_compose() -> None:
    jobs = yaml.safe_load(watching.SCRAPE.read_text(encoding="utf-8"))["scrape_configs"]
    scraped = {one["labels"]["process"]: one["targets"][0] for job in jobs for one in job["static_configs"]}
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))["services"]
    ports = {name: one.get("environment", {}).get("POSTLANE_METRICS_PORT") for name, one in services.items()}
    wanted = {name: f"127.0.0.1:{port}" for name, port in ports.items() if port}
    assert scraped == wanted | {"api": "127.0.0.1:8025"}
