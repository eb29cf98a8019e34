"""`/warmup` on the real application."""

from typing import Any

import httpx
import pytest

from api.schemas.warmup import PlanAnswer, PlanList, PresetList, Simulated, WarmupAnswer, WarmupList
from tests.integration.api.test_pools import add_ip, errors_of

OWN = {"name": "careful", "stages": [200, 500, 1000], "weights": {"gmail": 0.5, "*": 0.5}}


@pytest.fixture
async def ip(ops: httpx.AsyncClient) -> str:
    """An IP that does not warm up yet."""
    await add_ip(ops, "127.0.1.1")
    await add_ip(ops, "127.0.1.2")
    return "127.0.1.1"


async def test_a_warm_up_is_started_held_moved_and_completed(ops: httpx.AsyncClient, ip: str) -> None:
    made = await ops.post("/warmup", json={"ip": ip, "target": 5000})
    assert made.status_code == 201, made.text
    WarmupAnswer.model_validate(made.json())
    assert (made.json()["stage"], made.json()["state"], made.json()["plan"]) == (1, "active", "stages-29")
    again = await ops.post("/warmup", json={"ip": ip})
    assert errors_of(again) == (409, "conflict")
    assert "already" in again.json()["message"]
    shown = (await ops.get(f"/ips/{ip}")).json()
    assert (shown["state"], shown["warmup"]["stage"]) == ("warming", "1 of 5")
    assert {one["provider"]: one["cap"] for one in shown["today"]}["gmail"] == 100
    assert (await ops.post(f"/warmup/{ip}/pause", json={"reason": "ticket 7"})).json()["state"] == "paused"
    assert errors_of(await ops.post(f"/warmup/{ip}/pause", json={})) == (409, "conflict")
    assert (await ops.post(f"/warmup/{ip}/resume", json={})).json()["state"] == "active"
    skipped = (await ops.post(f"/warmup/{ip}/skip", json={"track": "gmail", "reason": "known"})).json()
    assert {one["track"]: one["stage"] for one in skipped["tracks"]}["gmail"] == 2
    assert errors_of(await ops.post(f"/warmup/{ip}/skip", json={"track": "gmial"})) == (404, "not_found")
    back = (await ops.post(f"/warmup/{ip}/step-back", json={"track": "gmail"})).json()
    assert {one["track"]: one["stage"] for one in back["tracks"]}["gmail"] == 1
    assert (await ops.post(f"/warmup/{ip}/complete", json={})).json()["state"] == "complete"
    changes = (await ops.get(f"/warmup/{ip}/changes")).json()["data"]
    assert {"start", "pause", "resume", "skip", "step_back", "complete"} <= {one["change"] for one in changes}
    story = (await ops.get(f"/ips/{ip}/why", params={"provider": "gmail"})).json()["changes"]
    assert {one["site"] for one in story} == {"", "gmail"}
    assert "warm-up for gmail: skip, stage 1 → 2: known" in [one["text"] for one in story]


async def test_traffic_is_shifted(ops: httpx.AsyncClient, ip: str) -> None:
    made = await ops.post("/warmup/shift", json={"from": ip, "to": "127.0.1.2", "mix": {"gmail": 0.6, "yahoo": 0.4}})
    assert made.status_code == 201, made.text
    assert made.json()["moved_from"] == ip
    assert {one["track"] for one in made.json()["tracks"]} >= {"gmail", "yahoo"}
    listed = (await ops.get("/warmup")).json()
    WarmupList.model_validate(listed)
    assert [one["ip"] for one in listed["data"]] == ["127.0.1.2"]
    assert errors_of(await ops.post("/warmup/shift", json={"from": ip, "to": ip})) == (409, "conflict")


async def test_plans_and_presets(ops: httpx.AsyncClient, ip: str) -> None:
    PresetList.model_validate((await ops.get("/warmup/presets")).json())
    made = await ops.post("/warmup/plans", json=OWN)
    assert made.status_code == 201, made.text
    PlanAnswer.model_validate(made.json())
    assert errors_of(await ops.post("/warmup/plans", json=OWN)) == (409, "conflict")
    PlanList.model_validate((await ops.get("/warmup/plans")).json())
    assert (await ops.post("/warmup", json={"ip": ip, "plan": "careful"})).json()["stages"] == 3
    other = OWN | {"name": "slower", "stages": [300, 400]}
    changed = await ops.put("/warmup/plans/careful", json=other)
    assert (changed.status_code, changed.json()["stages"]) == (200, [300, 400]), changed.text
    assert errors_of(await ops.put("/warmup/plans/careful", json=other)) == (404, "not_found")
    assert errors_of(await ops.put("/warmup/plans/slower", json=OWN | {"name": "plus-30"})) == (409, "conflict")
    assert errors_of(await ops.put("/warmup/plans/plus-30", json=other)) == (409, "conflict")
    assert (await ops.post("/warmup/plans", json=OWN)).status_code == 201
    assert errors_of(await ops.put("/warmup/plans/slower", json=OWN)) == (409, "conflict")
    assert (await ops.delete("/warmup/plans/slower")).json()["deleted"] is True
    assert (await ops.get(f"/warmup/{ip}")).json()["stages"] == 3, "who follows it goes on as they began"
    assert (await ops.delete("/warmup/plans/careful")).json()["deleted"] is True
    assert errors_of(await ops.delete("/warmup/plans/careful")) == (404, "not_found")


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"stages": [200, 100]}, "stages[2]"),
        ({"stages": []}, "stages"),
        ({"stages": [-1]}, "stages[0]"),
        ({"weights": {"gmial": 0.5}}, "weights.gmial"),
        ({"weights": {"gmail": -0.5}}, "weights.gmail"),
        ({"zone": "Mars/Phobos"}, "zone"),
        ({"hours": [22, 6]}, "hours"),
        ({"thresholds": {"luck": 1}}, "thresholds.luck"),
        ({"name": "a\x00"}, "name"),
        ({"speed": 1}, "speed"),
    ],
)
async def test_wrong_plans_are_refused_naming_the_field(
    ops: httpx.AsyncClient, fields: dict[str, Any], field: str
) -> None:
    answer = await ops.post("/warmup/plans", json=OWN | fields)
    assert errors_of(answer) == (422, "validation_error"), answer.text
    assert f"`{field}`" in answer.json()["message"]
    assert (await ops.get("/warmup/plans")).json()["data"] == []


async def test_unknown_ips_and_plans(ops: httpx.AsyncClient, ip: str) -> None:
    assert errors_of(await ops.post("/warmup", json={"ip": "127.0.1.9"})) == (404, "not_found")
    assert errors_of(await ops.post("/warmup", json={"ip": ip, "plan": "fast"})) == (404, "not_found")
    assert errors_of(await ops.post("/warmup", json={"ip": ip, "plan": "fast\x00"})) == (422, "validation_error")
    assert errors_of(await ops.get(f"/warmup/{ip}")) == (404, "not_found")
    assert errors_of(await ops.post(f"/warmup/{ip}/pause", json={})) == (404, "not_found")


async def test_a_plan_is_simulated(ops: httpx.AsyncClient) -> None:
    body = {"definition": OWN, "per_day": 3000, "mix": {"gmail": 0.5}, "days": 20}
    found = (await ops.post("/warmup/simulate", json=body)).json()
    Simulated.model_validate(found)
    assert found["ends_on"] == 3
    assert found["data"][0]["warming"] <= 100
    wrong = await ops.post("/warmup/simulate", json={"per_day": 1, "mix": {"gmial": 0.5}})
    assert "`mix`" in wrong.json()["message"]
