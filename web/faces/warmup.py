"""Warm-ups, plans and presets as JSON. Pure."""

from warmup.model import IpToday
from warmup.plan import Plan, as_dict
from warmup.presets import Preset, preset
from warmup.simulate import Simulation


def warmup_face(one: IpToday) -> dict[str, object]:
    """A warm-up as `WarmupAnswer`."""
    return {
        "object": "warmup",
        "id": one.ip,
        "ip": one.ip,
        "plan": one.plan,
        "state": one.state,
        "transactional": one.transactional,
        "moved_from": one.moved_from,
        "started_at": one.started_at,
        "day": one.day,
        "stage": one.stage,
        "stages": one.stages,
        "cap": one.cap,
        "used": one.used,
        "earliest_end": one.earliest_end,
        "likely_end": one.likely_end,
        "tracks": one.tracks,
    }


def plan_face(plan: Plan) -> dict[str, object]:
    """A plan as `PlanAnswer`."""
    return {"object": "warmup_plan", "id": plan.name} | as_dict(plan)


def preset_face(one: Preset) -> dict[str, object]:
    """A preset as `PresetAnswer`."""
    return {
        "object": "warmup_preset", "id": one.name, "name": one.name, "title": one.title, "source": one.source,
        "start": one.start, "target": one.target, "stages": preset(one.name).last_stage,
    }  # fmt: skip


def simulation_face(plan: Plan, found: Simulation) -> dict[str, object]:
    """What a plan would do, as `Simulated`."""
    return {
        "object": "warmup_simulation",
        "plan": plan.name,
        "ends_on": found.ends_on,
        "stuck": found.stuck,
        "data": found.rows,
    }
