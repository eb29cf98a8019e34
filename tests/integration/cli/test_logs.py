"""`postlane logs`: the same as the API answers, by its filters, and one by the beginning of its id."""

from uuid import UUID

from requestlog.gathering import Gatherer, Rates
from store.database import Database
from tests.integration.cli.commands import Postlane, in_database
from tests.integration.messages.emails import rows
from tests.integration.requestlog.requests import asked


async def _fill(database: Database) -> UUID:
    [(shop,)] = await rows(database, "SELECT id FROM applications WHERE name = 'shop'")
    [(other,)] = await rows(database, "SELECT id FROM applications WHERE name = 'other'")
    gatherer = Gatherer(database, Rates(10))
    for one in (asked(shop), asked(shop, status=422, path="/emails/batch"), asked(other)):
        gatherer.put(one)
    await gatherer.flush()
    [(failed,)] = await rows(database, "SELECT id FROM request_log WHERE status = 422")
    found: UUID = failed
    return found


def test_requests_of_an_application(postlane: Postlane, database_url: str) -> None:
    for name in ("shop", "other"):
        postlane("keys", "create", "web", "--application", name)
    failed = str(in_database(database_url, _fill))

    both = postlane("logs", "list", "--application", "shop").out
    assert [(one["endpoint"], one["response_status"]) for one in both] == [("/emails/batch", 422), ("/emails", 200)]
    (one,) = postlane("logs", "list", "--status", "failed", "--method", "post", "--path", "/emails", "--hours", "1").out
    assert (one["id"], one["error"], one["stands_for"]) == (failed, "validation_error", 1)
    shown = postlane("logs", "show", failed[:20]).out
    assert shown["request_body"] == {"subject": "(8 characters)", "stream": "marketing"}
    assert postlane("logs", "show", failed, "--application", "other").status == 1
    assert len(postlane("logs", "list", "--application", "other").out) == 1
