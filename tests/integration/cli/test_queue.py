"""`postlane queue`: what waits."""

from datetime import UTC, datetime, timedelta

import pytest

from core import settings
from core.queues import Lane
from store import database
from store.database import Database
from tests.integration.cli.commands import Postlane, in_database
from tests.integration.messages.emails import new_email, store


def test_longest_queues_first(postlane: Postlane, database_url: str) -> None:
    later = datetime.now(UTC) + timedelta(hours=1)

    async def fill(store_of: Database) -> None:
        await store(
            store_of,
            new_email("a@big.example", "b@big.example"),
            new_email("c@big.example", scheduled_at=later),
            new_email("d@small.example", lane=Lane.MARKETING),
        )

    assert postlane("queue", "list").out == []
    in_database(database_url, fill)
    found = postlane("queue", "list").out

    assert [(row["lane"], row["destination"], row["messages"], row["due"]) for row in found] == [
        ("transactional", "big.example", 3, 2),
        ("marketing", "small.example", 1, 1),
    ]
    assert len(postlane("queue", "list", "--limit", "1").out) == 1


def test_away_database_is_said_with_its_reason(postlane: Postlane, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "WAIT_SECONDS", 0.5)
    monkeypatch.setenv("POSTLANE_DATABASE_URL", "postgresql://somebody@127.0.0.1:1/nowhere")
    settings.load.cache_clear()
    answer = postlane("queue", "list")

    assert (answer.status, answer.code) == (1, "database_unavailable")
    assert "Connection refused" in answer.said
