"""What a collector of ours tells is of all processes that count together."""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from core.own_metrics import added
from tests.unit.deploy.commands import ROOT
from tests.unit.test_layout import SHIPPED

_NOTE = """
import store.statement_metrics
from core import metrics, own_metrics
from store.statements import timing
timing("accept").note(0.3)
timing({other!r}).note(0.0005)
own_metrics.write()
print(metrics.told().decode())
"""


def _process(folder: str, other: str) -> dict[str, float]:
    """Values of `postlane_statement_seconds` as a process tells them after it has counted two statements."""
    done = subprocess.run(
        [sys.executable, "-c", _NOTE.format(other=other)],
        cwd=ROOT, env={**os.environ, "PROMETHEUS_MULTIPROC_DIR": folder},
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    lines = re.findall(r"^postlane_statement_seconds(_\w+\{.*\}) (\S+)$", done.stdout, re.M)
    return {name: float(value) for name, value in lines}


def test_statements_are_those_of_every_process_and_stay_when_one_ends() -> None:
    with tempfile.TemporaryDirectory() as folder:
        first, both = _process(folder, "claim"), _process(folder, "load")
    assert first['_count{family="accept"}'] == 1
    assert both['_count{family="accept"}'] == 2
    assert both['_bucket{family="accept",le="0.1"}'] == 0
    assert both['_bucket{family="accept",le="0.5"}'] == 2
    assert both['_sum{family="accept"}'] == 0.6
    assert both['_count{family="claim"}'] == both['_count{family="load"}'] == 1


def test_samples_of_one_name_and_labels_are_one() -> None:
    one = ["held", "About it", "counter", [["held_total", {"lane": "a"}, 2.0], ["held_total", {"lane": "b"}, 1.0]]]
    other = ["held", "About it", "counter", [["held_total", {"lane": "a"}, 3.0]]]
    (metric,) = added([[one], [other]])
    assert {sample.labels["lane"]: sample.value for sample in metric.samples} == {"a": 5.0, "b": 1.0}


def test_every_collector_of_ours_is_told_of_all_processes() -> None:
    files = [file for name in SHIPPED for file in (ROOT / name).rglob("*.py")]
    alone = [str(file.relative_to(ROOT)) for file in files if "REGISTRY.register(" in file.read_text("utf-8")]
    assert [Path(one).as_posix() for one in alone] == ["core/own_metrics.py"]
