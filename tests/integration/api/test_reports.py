"""`/reports` and `/emails/metrics`: figures of the mail that a key may see, also for Resend's unmodified SDK."""

from typing import Any

import httpx
import pytest
import resend

from api.schemas.metrics import MetricsAnswer
from api.schemas.reports import ReportAnswer
from messages.states import State
from outcomes.record import record
from store import folding
from store.database import Database
from tests.integration.api.account import Account
from tests.integration.api.conftest import Server
from tests.integration.messages.emails import make_partitions, new_email, refs, store
from tests.integration.outcomes.facts import attempt, outcome
from web.faces.metrics import METRICS


@pytest.fixture
async def emails(database: Database, account: Account) -> list[str]:
    """Two emails of the account: one delivered after a second, one refused; and one that was captured."""
    await make_partitions(database)
    mine: dict[str, Any] = {"application_id": account.application_id, "domain_id": account.domain_id}
    sent, refused = new_email(**mine, tags=(("plan", "free"),)), new_email(**mine)
    await store(database, sent, refused, new_email(**mine, capture=True), new_email())
    gone = attempt(code=550, action="bounce", klass="invalid_recipient")
    told = [outcome(refs(sent)[0], waited=1.0), outcome(refs(refused)[0], State.BOUNCED, attempt=gone)]
    async with database.transaction() as connection:
        await record(connection, told)
    await folding.fold(database)
    return [str(sent.id), str(refused.id)]


async def test_an_application_sees_its_own_an_operator_all(
    client: httpx.AsyncClient, ops: httpx.AsyncClient, emails: list[str]
) -> None:
    mine = (await client.get("/reports", params={"group_by": "domain,provider"})).json()
    ReportAnswer.model_validate(mine)
    assert (mine["totals"]["accepted"], mine["totals"]["delivered"], mine["totals"]["bounced"]) == (2, 1, 1)
    assert mine["totals"]["bounced_by_class"] == {"invalid_recipient": 1}
    assert mine["totals"]["seconds_to_deliver"]["p95"] == pytest.approx(1.0, abs=0.3)
    assert [(row["domain"], row["provider"], row["delivered"]) for row in mine["data"]] == [
        ("acme.example", None, 0),
        ("acme.example", "gmail", 1),
    ]
    assert (await ops.get("/reports")).json()["totals"]["accepted"] == 3
    tagged = (await client.get("/reports", params={"tag": "plan:free", "group_by": "day"})).json()
    assert [row["accepted"] for row in tagged["data"]] == [1]


@pytest.mark.parametrize("group", ["domain,provider", "hour,provider", "day,provider"])
async def test_long_answers_are_read_page_by_page(client: httpx.AsyncClient, emails: list[str], group: str) -> None:
    asked = {"group_by": group, "limit": 1}
    first = (await client.get("/reports", params=asked)).json()
    second = (await client.get("/reports", params=asked | {"after": first["next"]})).json()

    assert (first["has_more"], second["has_more"], second["next"]) == (True, False, None)
    assert [row["provider"] for page in (first, second) for row in page["data"]] == [None, "gmail"]
    assert first["totals"] == second["totals"]
    for other in ("x", "e30", "W10", first["next"][:-2]):
        answer = await client.get("/reports", params=asked | {"after": other})
        assert (answer.status_code, answer.json()["name"]) == (422, "invalid_parameter"), other
        assert "`after`" in answer.json()["message"]


async def test_what_cannot_be_asked_is_a_parameter(client: httpx.AsyncClient) -> None:
    for params in ({"group_by": "ip,domain"}, {"timezone": "x"}, {"start_date": "soon"}):
        answer = await client.get("/reports", params=params)
        assert (answer.status_code, answer.json()["name"]) == (422, "invalid_parameter")
    assert (await client.get("/reports", params={"pool": "nope"})).status_code == 404


async def test_a_misspelt_filter_is_not_a_report_of_all_mail(client: httpx.AsyncClient) -> None:
    answer = await client.get("/reports?by=provider")
    assert (answer.status_code, answer.json()["name"]) == (422, "invalid_parameter")
    assert "`by`" in answer.json()["message"] and "`group_by`" in answer.json()["message"]


@pytest.mark.parametrize("path", ["/reports", "/emails/metrics"])
async def test_the_ends_of_the_calendar_are_no_bugs(client: httpx.AsyncClient, path: str) -> None:
    """In zones where they lie beyond it too."""
    days = ("0001-01-01", "9999-12-31", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "-0001-01-01")
    for zone in ("UTC", "Pacific/Kiritimati", "America/Los_Angeles"):
        for params in ({"start_date": day} for day in days), ({"end_date": day} for day in days):
            for given in params:
                answer = await client.get(path, params=given | {"timezone": zone})
                assert answer.status_code == 422, (given, answer.text)


async def test_an_application_hears_no_names_of_others(
    client: httpx.AsyncClient, ops: httpx.AsyncClient, emails: list[str]
) -> None:
    """Neither as rows nor by asking for them: what is another's answers as what is not there."""
    for name, others in (("pool", "bulk"), ("application", "stranger")):
        refused = await client.get("/reports", params={name: others})
        missing = await client.get("/reports", params={name: "nowhere"})
        assert (refused.status_code, refused.json()["message"]) == (
            404,
            missing.json()["message"].replace("nowhere", others),
        )
        assert (await ops.get("/reports", params={name: others})).status_code == 200
    other = (await ops.get("/reports", params={"group_by": "application"})).json()["data"]
    stranger = next(row["application_id"] for row in other if row["application"] != "acme")
    assert (await client.get("/reports", params={"application": stranger})).status_code == 404
    grouped = (await client.get("/reports", params={"group_by": "application"})).json()["data"]
    assert {row["application"] for row in grouped} == {"acme"}


async def test_metrics_have_resends_shape(client: httpx.AsyncClient, account: Account, emails: list[str]) -> None:
    whole = (await client.get("/emails/metrics")).json()
    MetricsAnswer.model_validate(whole)
    assert (list(whole["totals"]), "data" in whole, whole["dimensions"]) == (list(METRICS), False, [])
    assert (
        whole["totals"] | {"sent": 2, "delivered": 1, "bounced_permanent": 1, "delivery_rate": 0.5} == whole["totals"]
    )
    asked = {"metrics": "sent,delivered", "dimensions": ["period", "domain"], "granularity": "hourly"}
    rows = (await client.get("/emails/metrics", params=asked)).json()["data"]
    assert [sorted(row) for row in rows] == [["delivered", "domain_id", "domain_name", "period", "sent"]]
    assert (rows[0]["domain_name"], rows[0]["domain_id"]) == ("acme.example", str(account.domain_id))


async def test_metrics_of_single_emails(client: httpx.AsyncClient, emails: list[str]) -> None:
    params = {"email_id": ",".join(emails), "dimensions": "email", "metrics": "sent,delivered,bounced"}
    rows = (await client.get("/emails/metrics", params=params)).json()["data"]
    assert {row["email_id"]: (row["sent"], row["delivered"], row["bounced"]) for row in rows} == {
        emails[0]: (1, 1, 0), emails[1]: (1, 0, 1),
    }  # fmt: skip
    for wrong in ({"dimensions": "email"}, {"metrics": "love"}, {"email_id": "x"}, {"granularity": "yearly"}):
        answer = await client.get("/emails/metrics", params=wrong)
        assert (answer.status_code, answer.json()["name"]) == (422, "invalid_parameter"), wrong
    none = (await client.get("/emails/metrics", params={"dimensions": "broadcast"})).json()
    assert (none["data"], none["totals"]["sent"]) == ([], 0)


async def test_the_sdk_asks_for_metrics(server: Server, account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resend, "api_url", server.url)
    monkeypatch.setattr(resend, "api_key", account.full)
    found = resend.Emails.metrics({"dimensions": ["period", "domain"], "metrics": ["sent", "open_rate"]})

    assert (found["object"], found["metrics"], found["data"]) == ("metrics", ["sent", "open_rate"], [])
    assert found["totals"] == {"sent": 0, "open_rate": 0.0}
