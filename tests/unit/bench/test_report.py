"""Table and JSON: every figure by its exact key, what was left out with its reason."""

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from bench.__main__ import wanted
from bench.errors import BenchError
from bench.figures import KINDS, Figure
from bench.options import Options, quick
from bench.report import as_json, number, table, write

_FOUND = [
    Figure("delivered_per_s", (1500.0, 1600.0, 1400.0), {"messages": 30000}),
    Figure("ratio", (4.0,), {}),
    Figure("tx_idle_p50_ms", (4.0, 4.5), {}),
    Figure("limits_ratio", (0.97, 0.95, 0.96), {}),
]
_OMITTED = {"postfix_opendkim_per_s": "Postfix needs root"}


def _printed() -> str:
    out = io.StringIO()
    Console(width=200, file=out).print(table(_FOUND, _OMITTED))
    return out.getvalue()


def test_keys_are_those_of_the_specification() -> None:
    asked = (
        "delivered_per_s postfix_opendkim_per_s ratio rsa_limit_share api_single_per_s api_batch_per_s tx_idle_p50_ms"
        " tx_idle_p99_ms tx_loaded_p99_ms backlog_ratio suppression_cost reroute_ms_p50 reroute_ms_p99 limits_ratio"
        " postfix_opendkim_inet_per_s ratio_inet"
    )
    assert set(asked.split()) <= set(KINDS)


def test_the_table_shows_median_spread_and_standing() -> None:
    lines = {line.split()[1]: line for line in _printed().splitlines() if line.startswith("│")}
    assert "1,500 msg/s" in lines["delivered_per_s"]
    assert "1,400 - 1,600" in lines["delivered_per_s"]
    assert "below" in lines["ratio"]
    assert "1 run" in lines["ratio"]
    assert "≤ 8.0" in lines["tx_idle_p50_ms"]
    assert "aim" in lines["tx_idle_p50_ms"]
    cells = [cell.strip() for cell in lines["limits_ratio"].split("│")]
    assert cells[4:7] == ["≥ 0.90", "", "at least"]


def test_the_table_says_what_is_missing_and_why() -> None:
    line = next(line for line in _printed().splitlines() if "postfix_opendkim_per_s" in line)
    assert "not measured" in line
    assert "Postfix needs root" in line
    assert "backlog_ratio" not in _printed()


def test_json_has_plain_values_on_top_and_details_below(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "bench.json"
    write(file, as_json(_FOUND, _OMITTED, {"date": "today", "machine": {"cores": 2}}, Options()))
    read = json.loads(file.read_text())
    assert read["delivered_per_s"] == 1500.0
    assert read["ratio"] == 4.0
    assert "postfix_opendkim_per_s" not in read
    assert read["omitted"] == _OMITTED
    assert read["machine"] == {"cores": 2}
    assert read["settings"]["domains"] == 1000
    assert read["details"]["delivered_per_s"]["runs"] == [1500.0, 1600.0, 1400.0]
    assert read["details"]["ratio"]["at_least"] == 4.5
    assert [entry.name for entry in file.parent.iterdir()] == ["bench.json"]


def test_quick_is_smaller_in_every_size() -> None:
    small, full = quick(Path("x")), Options()
    sizes = "messages runs postfix_messages postfix_inet_messages limits_messages limits_runs reroute_messages"
    for name in (*sizes.split(), "reroute_rounds", "backlog", "suppressions", "many_suppressions", "claims"):
        assert getattr(small, name) < getattr(full, name), name


@pytest.mark.parametrize(("value", "digits", "text"), [(1234.5, 0, "1,234"), (0.8765, 2, "0.88"), (12.0, 1, "12.0")])
def test_numbers(value: float, digits: int, text: str) -> None:
    assert number(value, digits) == text


def test_only_what_is_named_is_measured() -> None:
    assert wanted([]) == frozenset(KINDS)
    assert wanted(["ratio"]) == {"ratio"}
    with pytest.raises(BenchError, match="speed"):
        wanted(["speed"])
