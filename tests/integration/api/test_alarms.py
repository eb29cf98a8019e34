"""`/alarms` and `/seeds`: what an operator sees and does; applications do neither."""

import httpx

from alarms.model import AlarmKind, Severity
from alarms.repository import raise_alarm
from api.schemas.alarms import (
    AlarmAnswer,
    AlarmDetail,
    AlarmList,
    AlarmMailAnswer,
    AlarmRuleAnswer,
    AlarmRuleList,
    BreakerAnswer,
    BreakerEnded,
    BreakerList,
)
from api.schemas.seeds import SeedAnswer, SeedDetail, SeedList
from store.database import Database
from tests.integration.api.account import Account


async def test_an_alarm_is_seen_looked_after_and_over(ops: httpx.AsyncClient, database: Database) -> None:
    async with database.connection() as connection:
        await raise_alarm(connection, AlarmKind.COMPLAINTS, "marketing mail of acme", "0.4 %", Severity.CRITICAL)
    (alarm,) = AlarmList.model_validate((await ops.get("/alarms")).json()).data
    assert (alarm.kind, alarm.severity, bool(alarm.meaning), "Stop" in alarm.what_to_do) == (
        "complaints", "critical", True, True,
    )  # fmt: skip
    path = f"/alarms/{alarm.id}"
    seen = AlarmAnswer.model_validate((await ops.post(f"{path}/acknowledge")).json())
    assert (seen.acknowledged_by or "").startswith("API key ")
    assert AlarmAnswer.model_validate((await ops.post(f"{path}/snooze", json={"minutes": 5})).json()).snoozed_until
    assert (await ops.post(f"{path}/clear")).json()["cleared"] is True
    story = AlarmDetail.model_validate((await ops.get(path)).json())
    assert [one.change for one in story.changes] == ["raised", "acknowledged", "snoozed", "cleared"]
    assert (await ops.get("/alarms")).json()["data"] == []
    assert len((await ops.get("/alarms", params={"days": 1})).json()["data"]) == 1
    assert (await ops.post(f"{path}/acknowledge")).status_code == 404


async def test_rules_are_shown_and_set(ops: httpx.AsyncClient) -> None:
    AlarmRuleList.model_validate((await ops.get("/alarms/rules")).json())
    body = {"settings": {"warn": 0.002, "enabled": 0}}
    rule = AlarmRuleAnswer.model_validate((await ops.patch("/alarms/rules/complaints", json=body)).json())
    assert {one.name: one.value for one in rule.settings if one.value != one.default} == body["settings"]
    back = await ops.patch("/alarms/rules/complaints", json={"settings": {"warn": None, "enabled": None}})
    assert [one for one in back.json()["settings"] if one["value"] != one["default"]] == []
    assert (await ops.patch("/alarms/rules/nonsense", json=body)).status_code == 404
    wrong = await ops.patch("/alarms/rules/complaints", json={"settings": {"warn": 7}})
    assert (wrong.status_code, "`warn`" in wrong.json()["message"]) == (422, True)


async def test_a_stream_is_stopped_and_goes_on(ops: httpx.AsyncClient, account: Account) -> None:
    body = {"application": "acme", "stream": "marketing", "provider": "yahoo", "hours": 2, "reason": "ticket 7"}
    made = await ops.post("/alarms/breakers", json=body)
    breaker = BreakerAnswer.model_validate(made.json())
    assert (made.status_code, breaker.id) == (201, f"{account.application_id}/marketing/yahoo")
    assert [one.id for one in BreakerList.model_validate((await ops.get("/alarms/breakers")).json()).data] == [
        breaker.id
    ]
    ended = BreakerEnded.model_validate((await ops.delete(f"/alarms/breakers/{breaker.id}")).json())
    assert ended.released == 0
    assert (await ops.delete(f"/alarms/breakers/{breaker.id}")).status_code == 409
    assert (await ops.post("/alarms/breakers", json=body | {"application": "nobody"})).status_code == 404
    assert (await ops.post("/alarms/breakers", json=body | {"provider": "nobody"})).status_code == 422


async def test_who_is_told_by_mail_never_shows_the_password(ops: httpx.AsyncClient) -> None:
    assert AlarmMailAnswer.model_validate((await ops.get("/alarms/mail")).json()).recipients == []
    body = {"recipients": ["ops@example.net"], "sender": "alarms@acme.example", "host": "mail.example.net"}
    answer = await ops.put("/alarms/mail", json=body | {"login": "me", "password": "hush"})
    how = AlarmMailAnswer.model_validate(answer.json())
    assert (how.port, how.tls, how.has_password, "hush" in answer.text) == (587, "starttls", True, False)
    assert (await ops.delete("/alarms/mail")).json()["deleted"] is True
    assert (await ops.delete("/alarms/mail")).status_code == 404


async def test_seed_accounts(ops: httpx.AsyncClient) -> None:
    body = {
        "address": "seed@gmail.example", "provider": "gmail", "host": "imap.example.net", "password": "hush",
        "sender": "news@acme.example",
    }  # fmt: skip
    answer = await ops.post("/seeds", json=body)
    seed = SeedAnswer.model_validate(answer.json())
    assert (answer.status_code, seed.port, seed.login, "hush" in answer.text) == (201, 993, body["address"], False)
    assert (await ops.post("/seeds", json=body)).status_code == 409
    assert len(SeedList.model_validate((await ops.get("/seeds")).json()).data) == 1
    path = f"/seeds/{body['address']}"
    assert SeedDetail.model_validate((await ops.get(path)).json()).probes == []
    assert (await ops.post(f"{path}/pause")).json()["active"] is False
    assert (await ops.post(f"{path}/probe")).status_code == 409
    assert (await ops.post(f"{path}/resume")).json()["active"] is True
    assert (await ops.delete(path)).json()["deleted"] is True
    assert (await ops.get(path)).status_code == 404


async def test_applications_are_refused(client: httpx.AsyncClient) -> None:
    for path in ("/alarms", "/alarms/rules", "/alarms/breakers", "/alarms/mail", "/seeds"):
        assert (await client.get(path)).status_code == 403
