"""`/system`: what runs and what waits, for operators alone."""

import httpx

from api import app as api_app
from api.schemas.system import SystemAnswer
from core.in_force import HIDDEN
from store.database import Database
from store.route_times import TimesWriter
from tests.integration.api.account import Account
from tests.integration.messages.emails import execute, make_partitions, new_email, store


async def test_the_system_is_told_to_operators(
    ops: httpx.AsyncClient, client: httpx.AsyncClient, account: Account, database: Database
) -> None:
    await make_partitions(database)
    mail = new_email("ann@example.com", application_id=account.application_id, domain_id=account.domain_id)
    await store(database, mail)
    await execute(
        database,
        "INSERT INTO heartbeats (id, name, host, pid, version)"
        " VALUES (gen_random_uuid(), 'scheduler', 'one', 7, '1.0')",
    )

    answer = await ops.get("/system")
    told = SystemAnswer.model_validate(answer.json())

    assert ("scheduler", "one", 7, False) in {(one.name, one.host, one.pid, one.silent) for one in told.processes}
    assert {one.stream: one.waiting for one in told.queues} == {"transactional": 1, "marketing": 0}
    assert [(one.name, bool(one.version)) for one in told.servers] == [("PostgreSQL", True), ("Valkey", True)]
    assert [one.class_ for one in told.objectives] == ["send", "read", "change", "report", "page"]
    assert told.schema_.revision == told.schema_.newest
    assert {one.name: one.value for one in told.settings}["POSTLANE_SECRET"] == HIDDEN
    assert "5" * 64 not in answer.text
    assert (await client.get("/system")).status_code == 403
    assert (await ops.get("/system", params={"x": "1"})).status_code == 422


async def test_every_answer_is_counted_against_the_objective_of_its_route(
    ops: httpx.AsyncClient, client: httpx.AsyncClient, database: Database
) -> None:
    for _ in range(3):
        assert (await client.get("/emails")).status_code == 200
    assert (await client.get("/emails/018f0000-0000-7000-8000-000000000000")).status_code == 404
    assert (await client.request("BREW", "/emails")).status_code == 405
    assert (await client.get("/nothing")).status_code == 404
    assert (await client.get("/healthz")).status_code == 200
    await TimesWriter(database, api_app._TIMES).flush()

    told = SystemAnswer.model_validate((await ops.get("/system")).json())
    found = {(one.method, one.path): one for one in told.routes}
    assert found["GET", "/emails"].answers >= 3
    assert found["GET", "/emails"].class_ == "read"
    assert found["GET", "/emails"].p50 > 0
    assert ("GET", "/emails/{email_id}") in found
    assert {method for method, _ in found} <= {"GET", "POST", "PATCH", "PUT", "DELETE"}
    assert not {path for _, path in found} & {"/healthz", "/nothing", "unmatched"}
    assert next(one for one in told.objectives if one.class_ == "read").answers >= 4
