"""`/standing`: a provider's file is taken for what is ours, and stands beside our own measure."""

import httpx

from api.schemas.standing import StandingList, StandingTaken
from store.database import Database
from tests.integration.messages.emails import execute
from tests.unit.pools.test_standing_files import SNDS


async def test_a_file_is_taken_for_what_is_ours(ops: httpx.AsyncClient, database: Database) -> None:
    await execute(
        database,
        "INSERT INTO egress_ips (id, address, bind_address, ehlo_name)"
        " VALUES (gen_random_uuid(), '192.0.2.1', '192.0.2.1', 'm1.example')",
    )
    for _ in range(2):
        answer = await ops.post("/standing/snds", content=SNDS)
        taken = StandingTaken.model_validate(answer.json())
        assert (answer.status_code, taken.figures, taken.subjects, taken.strangers) == (201, 4, 1, ["192.0.2.2"])
    listed = StandingList.model_validate((await ops.get("/standing", params={"subject": "192.0.2.1"})).json())
    assert {one.name: one.text for one in listed.data}["filter_result"] == "green"
    beside = (await ops.get("/ips/192.0.2.1/reputation")).json()["imported"]
    assert [(one["source"], one["figure"], one["note"]) for one in beside] == [("snds", 100.0, "green")]


async def test_a_file_that_is_none_is_refused(ops: httpx.AsyncClient, client: httpx.AsyncClient) -> None:
    answer = await ops.post("/standing/snds", content="hello")
    assert (answer.status_code, "Line 1" in answer.json()["message"]) == (422, True)
    assert (await ops.post("/standing/unknown", content=SNDS)).status_code == 404
    assert (await client.get("/standing")).status_code == 403
