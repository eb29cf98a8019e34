"""Images of mail, as recipients' programs fetch them."""

import httpx

from store.database import Database
from templates import images
from tests.integration.messages.emails import APPLICATION
from tests.unit.templates.test_pictures import PNG


async def test_an_image_is_served_for_ever_and_runs_nothing(client: httpx.AsyncClient, database: Database) -> None:
    async with database.transaction() as connection:
        stored, _ = await images.add(connection, APPLICATION, "x.png", PNG, 10**6)

    answer = await client.get(stored.path)
    assert (answer.status_code, answer.content, answer.headers["content-type"]) == (200, PNG, "image/png")
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert answer.headers["cross-origin-resource-policy"] == "cross-origin"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in answer.headers["content-security-policy"]
    same = await client.get(stored.path, headers={"if-none-match": answer.headers["etag"]})
    assert (same.status_code, same.content) == (304, b"")
    head = await client.head(stored.path)
    assert (head.status_code, head.content) == (200, b"")

    digest = stored.hash
    for path in (
        f"/i/{digest}.gif",
        f"/i/{digest}",
        f"/i/{'0' * 40}.png",
        "/i/x.png",
        f"/i/{digest[:-1]}%00.png",
        "/i/",
    ):
        assert (await client.get(path)).status_code == 404
