"""A plan against a blast: the claims of docs/warmup-rehearsal.md on small rehearsals, and the figures printed there."""

import io
import json
import random
from dataclasses import replace
from pathlib import Path

import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner

from cli.commands.rehearsal import by_day, record, summary_table
from cli.commands.rehearsal import rehearse as command
from cli.commands.warmup_plans import weighted
from cli.output import CliError
from cli.tables import print_rows
from core.refusal import Refused
from mta.providers import load_providers
from simulator.rehearsal import addresses, rehearse
from simulator.rehearsal_model import DEFAULT_MIX, OTHER, Result, Scenario, Way
from warmup.plan import REST
from warmup.presets import preset

DOCS = Path(__file__).parents[3] / "docs" / "warmup-rehearsal.md"
PROVIDERS = load_providers()


def scenario(volume: int, new: int, warm: int, days: int, strictness: float = 1.0) -> Scenario:
    plan = preset("stages-29", target=volume // (new + warm))
    plan = weighted(plan, {REST if name == OTHER else name: part for name, part in DEFAULT_MIX.items()})
    return Scenario(plan, volume, DEFAULT_MIX, new, warm, days, strictness=strictness)


@pytest.fixture(scope="module")
def joined() -> dict[Way, Result]:
    """A new IP beside two warm ones, 10 days of 30,000 mails, providers twice as strict."""
    return {one.way: one for one in rehearse(scenario(30_000, 1, 2, 10, strictness=2.0), PROVIDERS)}


@pytest.fixture(scope="module")
def all_new() -> dict[Way, Result]:
    """Three new IPs and nothing else, 8 days."""
    return {one.way: one for one in rehearse(scenario(60_000, 3, 0, 8), PROVIDERS)}


@pytest.fixture(params=["joined", "all_new"])
def results(request: pytest.FixtureRequest) -> dict[Way, Result]:
    found: dict[Way, Result] = request.getfixturevalue(request.param)
    return found


def test_the_plan_meets_far_fewer_throttles_and_no_block_and_delivers_at_least_as_much(
    results: dict[Way, Result],
) -> None:
    plan, blast = results[Way.PLAN].total, results[Way.BLAST].total
    assert blast.throttled > 500
    assert plan.throttled * 10 < blast.throttled + blast.blocked
    assert plan.throttled <= results[Way.FAILOVER].total.throttled
    assert (plan.blocked, plan.bounced) == (0, 0)
    assert blast.blocked > 0
    assert plan.delivered > blast.delivered


def test_no_cap_is_ever_exceeded(results: dict[Way, Result]) -> None:
    assert results[Way.PLAN].cap_exceeded == 0


def test_beside_warm_ips_nothing_waits_for_the_plan(joined: dict[Way, Result]) -> None:
    plan = joined[Way.PLAN]
    assert plan.total.delivered + plan.total.unknown == plan.total.arrived
    assert plan.total.same_day == plan.total.delivered
    assert plan.full_rate_day is not None
    assert plan.plan_done_day is not None
    assert joined[Way.BLAST].full_rate_day is None


def test_every_mail_is_counted_once(results: dict[Way, Result]) -> None:
    arrived = {result.total.arrived for result in results.values()}
    assert len(arrived) == 1, "each way gets the same mail"
    for result in results.values():
        total = result.total
        ended = total.delivered + total.unknown + total.bounced + total.expired
        assert ended + result.waiting == total.arrived, result.way


def test_a_plan_that_is_too_fast_for_its_providers_steps_back_and_loses_nothing() -> None:
    (plan,) = rehearse(scenario(60_000, 1, 2, 9, strictness=4.0), PROVIDERS, [Way.PLAN])
    moves = [move for day in plan.days for move in day.moves]
    assert moves
    assert all("step_back" in move and "deferrals" in move for move in moves)
    assert plan.plan_done_day is None, "without stepping back it would be done on day 7"
    assert (plan.total.blocked, plan.total.bounced, plan.total.expired, plan.waiting) == (0, 0, 0, 0)
    assert plan.cap_exceeded == 0


def test_a_seed_repeats_everything_and_another_does_not() -> None:
    small = scenario(9_000, 2, 1, 1, strictness=3.0)
    state = random.getstate()
    first = rehearse(small, PROVIDERS)
    assert random.getstate() == state
    random.random()
    assert rehearse(small, PROVIDERS) == first
    assert rehearse(replace(small, seed=2), PROVIDERS) != first


def test_providers_that_never_block_only_throttle() -> None:
    (blast,) = rehearse(replace(scenario(90_000, 3, 0, 2), blocks=False), PROVIDERS, [Way.BLAST])
    assert blast.total.throttled > blast.total.delivered
    assert (blast.total.blocked, blast.total.bounced) == (0, 0)
    assert blast.waiting > 0


def test_a_scenario_without_sense_is_refused() -> None:
    good = scenario(9_000, 2, 1, 3)
    for wrong in ({"volume": 0}, {"new_ips": 0}, {"days": 0}, {"strictness": 0.0}, {"mix": {"gmail": 0.5}}):
        with pytest.raises(ValueError, match=r"scenario|mix"):
            replace(good, **wrong)


def test_addresses_are_those_for_examples() -> None:
    new, warm = addresses(scenario(9_000, 2, 1, 3))
    assert (new, warm) == (["198.51.100.1", "198.51.100.2"], ["203.0.113.1"])


def test_the_record_for_programs_has_everything(all_new: dict[Way, Result]) -> None:
    found = record(scenario(60_000, 3, 0, 8), list(all_new.values()))
    assert found["scenario"]["plan"]["name"] == "stages-29"
    assert [one["way"] for one in found["results"]] == list(Way)
    assert found["results"][0]["days"][0]["tally"]["arrived"] > 50_000


@pytest.mark.parametrize(("new", "warm", "nth"), [(1, 2, 0), (3, 0, 1)], ids=["joined", "all new"])
def test_the_first_days_in_the_documentation_are_what_comes_out(new: int, warm: int, nth: int) -> None:
    rows = [line.split() for line in DOCS.read_text("utf-8").splitlines()]
    documented = [row for row in rows if row and row[0] in ("1", "2")][2 * nth : 2 * nth + 2]
    out = io.StringIO()
    print_rows(Console(file=out, width=160), *by_day(rehearse(scenario(300_000, new, warm, 2), PROVIDERS)), "")
    printed = [row for line in out.getvalue().splitlines() if (row := line.split()) and row[0] in ("1", "2")]
    # Two days lose nothing that thirty days lose later: compare what both show.
    assert len(printed) == len(documented) == 2
    for shown, told in zip(printed, documented, strict=True):
        assert [cell for cell in shown if cell != "0"] == [cell for cell in told if cell != "0"]


def test_the_summary_names_every_way(all_new: dict[Way, Result]) -> None:
    out = io.StringIO()
    Console(file=out, width=160).print(summary_table(list(all_new.values())))
    assert "not reached" in out.getvalue()
    assert f"{all_new[Way.PLAN].total.delivered:,}" in out.getvalue()


def test_the_command_prints_json_for_programs_and_names_what_is_wrong() -> None:
    app = typer.Typer()
    app.command()(command)
    done = CliRunner().invoke(app, ["--volume", "9_000/day", "--days", "1", "--mix", "gmail:60,yahoo:30"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["scenario"]["mix"] == pytest.approx({"gmail": 0.6, "yahoo": 0.3, "other": 0.1})
    assert found["results"][0]["total"]["arrived"] == pytest.approx(9_000, rel=0.06)
    assert isinstance(CliRunner().invoke(app, ["--volume", "many"]).exception, CliError)
    assert isinstance(CliRunner().invoke(app, ["--mix", "gmial:60"]).exception, Refused)
