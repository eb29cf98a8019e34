"""One rehearsal in a process of its own: what is rehearsed as JSON on standard input, and on standard output a line of
JSON for each way as soon as it is through.

For whoever serves people meanwhile (the console): it takes a core for a while, and draws from Python's own random
numbers.
"""

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mta.providers import load_providers
from simulator.rehearsal import rehearse
from simulator.rehearsal_model import DEFAULT_MIX, OTHER, Scenario, Way
from warmup.plan import REST, parse


def scenario_of(given: Mapping[str, Any]) -> Scenario:
    """What is asked for: `plan` as `warmup.plan.parse` reads it, and fields of a scenario. Raises Refused."""
    fields = {name: value for name, value in given.items() if name not in ("plan", "mix", "providers_file")}
    return Scenario(parse(given["plan"]), mix=mix_of(given.get("mix") or {}), **fields)


def mix_of(given: Mapping[str, float]) -> Mapping[str, float]:
    """Shares that add up to 1, all others as one; of nothing the usual ones."""
    whole = sum(given.values())
    if whole <= 0:
        return DEFAULT_MIX
    named = {name: share / whole for name, share in given.items() if name not in (REST, OTHER) and share > 0}
    rest = 1 - sum(named.values())
    return named | ({OTHER: rest} if rest > 1e-9 else {})


def main() -> None:
    """Read, rehearse, write."""
    given = json.load(sys.stdin)
    scenario, file = scenario_of(given), given.get("providers_file")
    providers = load_providers(*([Path(file)] if file else []))
    for way in Way:
        (result,) = rehearse(scenario, providers, [way])
        sys.stdout.write(json.dumps(asdict(result)) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
