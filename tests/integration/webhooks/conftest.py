"""What sends webhooks, with leave to speak to the loopback."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import pytest

from core.clock import SystemClock
from core.secrets import InstanceSecret
from mta.dns_client import DnsClient
from mta.guard import networks
from store.database import Database
from tests.integration.messages.emails import APPLICATION, execute
from tests.integration.webhooks.outbox import make_endpoint
from tests.integration.webhooks.receiver import Receiver, receiving
from webhooks import endpoints
from webhooks.delivery import Deliverer
from webhooks.endpoints import Endpoint
from webhooks.sending import Sender

SECRET = InstanceSecret(b"5" * 32)
LOOPBACK = networks(["127.0.0.0/8", "::1/128"])


@dataclass(frozen=True, slots=True)
class Post:
    """Endpoints and what serves them."""

    database: Database
    deliverer: Deliverer

    async def endpoint(self, receiver: Receiver, application: UUID | None = APPLICATION) -> tuple[Endpoint, str]:
        """An endpoint at the receiver, and its secret."""
        await make_endpoint(self.database, application, [])  # the application, and an endpoint that is told of nothing
        async with self.database.transaction() as connection:
            return await endpoints.create(connection, SECRET, application, receiver.url, None)

    async def pass_time(self, endpoint: UUID, by: timedelta) -> None:
        """Let so much time pass for an endpoint and its events."""
        await execute(
            self.database,
            "UPDATE webhook_endpoints SET rest_until = rest_until - %s, failing_since = failing_since - %s"
            " WHERE id = %s",
            [by, by, endpoint],
        )
        await execute(
            self.database,
            "UPDATE webhook_events SET due_at = due_at - %s WHERE endpoint_id = %s AND state = 'pending'",
            [by, endpoint],
        )


def make_deliverer(database: Database) -> Deliverer:
    """One process."""
    return Deliverer(database, SystemClock(), SECRET, Sender(DnsClient(["127.0.0.1:1"]), LOOPBACK), gather=0)


@pytest.fixture
async def post(database: Database) -> AsyncIterator[Post]:
    """One process that sends."""
    deliverer = make_deliverer(database)
    yield Post(database, deliverer)
    await deliverer.close()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """Somebody who is told."""
    async with receiving() as one:
        yield one
