"""`/system`: what runs and what waits, for operators alone."""

import httpx

from api.schemas.system import SystemAnswer
from core.in_force import HIDDEN
from store.database import Database
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
    assert told.schema_.revision == told.schema_.newest
    assert {one.name: one.value for one in told.settings}["POSTLANE_SECRET"] == HIDDEN
    assert "5" * 64 not in answer.text
    assert (await client.get("/system")).status_code == 403
    assert (await ops.get("/system", params={"x": "1"})).status_code == 422
