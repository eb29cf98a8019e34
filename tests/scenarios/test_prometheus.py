"""A real Prometheus beside a whole Postlane.

Path: Prometheus starts with our alert rules and scrapes every process; mail is sent.
Expectation: every process answers it; it takes up every rule; each query of the rules and of the board has an answer,
but for those of `NOTHING`, which speak of what has not happened here.
"""

import contextlib
import json
import shutil
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from cli.running import free_ports
from deploy import watching
from deploy.board import ROWS
from tests.stack import RunningStack

pytestmark = pytest.mark.scenario

NOTHING = {
    "postlane_console_": "nobody looks at the console",
    "postlane_trace_": "no collector of traces is named",
    "postlane_link_seconds": "nobody has opened a mail",
    "postlane_hits_total": "nobody has opened a mail",
    "postlane_webhook_": "no application is told",
    "postlane_public_": "nobody has looked at a page",
    "postlane_inbound_": "nothing has come in",
    "postlane_captured_total": "no test mail",
    "postlane_alarms_open": "no alarm",
    "postlane_ip_health": "nothing rests",
    "postlane_rate_in_force": "nothing rests",
    "postlane_throttles_total": "nobody was throttled",
    "postlane_warmup_": "no IP is young",
    "postlane_held_total": "every mail had its IP",
    "postlane_uncertain_total": "every reply was read",
    'status=~"5.."': "no answer was 500 or above",
    'verdict=~"throttle_ip|block"': "nobody was throttled or blocked",
    'verdict="bounce"': "nobody was refused",
    'verdict!="delivered"': "every mail was delivered",
    'result="lost"': "Valkey answers",
}
"""Part of a query, and why it may have no answer here: which stories were told in this Postlane before is not known."""


@pytest.mark.timeout(180)
def test_prometheus_has_an_answer_to_everything_that_rules_and_board_ask(stack: RunningStack, tmp_path: Path) -> None:
    program = shutil.which("prometheus")
    if program is None:
        pytest.skip("needs Prometheus (Debian: prometheus)")
    with _prometheus(program, tmp_path, stack.metrics) as asked:
        stack.until(lambda: _answers(asked, "up == 1") == len(stack.metrics), 60, "every process to be scraped")
        ids = [stack.send(f"seen{number}@small-011.sim") for number in range(20)]
        stack.until_ended(ids, 60)
        delivered = 'sum(increase(postlane_accepted_to_delivered_seconds_count{lane="transactional"}[1m]))'
        stack.until(lambda: _answers(asked, f"{delivered} > 10"), 60, "the deliveries to be scraped")
        open_ones = [query for query in _queries() if not any(part in query for part in NOTHING)]
        assert len(open_ones) > 30
        stack.until(lambda: not _unanswered(asked, open_ones), 60, "an answer to each")
        for query in _queries():
            _answers(asked, query)
        rules = [one for group in _ask(asked, "/api/v1/rules")["groups"] for one in group["rules"]]
        assert {one["name"] for one in rules} == {alert.name for alert in watching.alerts()}
        stack.until(lambda: _evaluated(asked), 30, "every rule to be evaluated")
        assert _answers(asked, 'ALERTS{alertname="PostlaneProcessAway"}') == 0


def _queries() -> Iterator[str]:
    """Of a rule what it compares: whether that rings is another question."""
    for _, panels in ROWS:
        for panel in panels:
            for query, _ in panel.queries:
                yield query.replace("$__rate_interval", "1m")
    for alert in watching.alerts():
        yield alert.compared


@contextlib.contextmanager
def _prometheus(program: str, folder: Path, metrics: Mapping[str, str]) -> Iterator[str]:
    """Where it answers."""
    (folder / "prometheus.yml").write_text(yaml.safe_dump(_configuration(metrics)))
    (port,) = free_ports.take(1)
    command = [
        program, f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data",
        f"--web.listen-address=127.0.0.1:{port}",
    ]  # fmt: skip
    with (folder / "log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            process.kill()


def _configuration(metrics: Mapping[str, str]) -> dict[str, Any]:
    """As the example, but for where the processes are and how often they are asked."""
    targets = [
        {"targets": [urlsplit(url).netloc], "labels": {"process": name}} for name, url in sorted(metrics.items())
    ]
    return {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(watching.RULES)],
        "scrape_configs": [{"job_name": "postlane", "static_configs": targets}],
    }


def _ask(prometheus: str, path: str) -> Any:  # JSON as it comes
    with urllib.request.urlopen(f"{prometheus}{path}", timeout=10) as answer:
        return json.load(answer)["data"]


def _answers(prometheus: str, query: str) -> int:
    """How many series it finds."""
    parameters = urllib.parse.urlencode({"query": query, "time": time.time()})
    return len(_ask(prometheus, f"/api/v1/query?{parameters}")["result"])


def _unanswered(prometheus: str, queries: list[str]) -> list[str]:
    return [query for query in queries if not _answers(prometheus, query)]


def _evaluated(prometheus: str) -> bool:
    rules = [one for group in _ask(prometheus, "/api/v1/rules")["groups"] for one in group["rules"]]
    return all(one["health"] == "ok" for one in rules)
