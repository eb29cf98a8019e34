"""Schemathesis makes requests from the OpenAPI document: no 5xx, and every answer is one the document lists.

Each operation is called with the key it wants, and a few times without one, with one that only sends, one bound to a
domain, a test key, and the other side's (application or operator). Examples are bounded and derandomized. One server
answers them all: what an operation made, the next ones meet.
"""

import asyncio
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from core.settings import Settings
from store.database import Database
from tests.databases import Databases
from tests.integration.api.account import Account, make_account
from tests.integration.api.conftest import serving
from tests.openapi_document import document
from tests.servers import TestServers, empty_redis

schema = schemathesis.openapi.from_dict(deepcopy(document()))

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


@dataclass(frozen=True, slots=True)
class Standing:
    """A server for all operations, and whose keys it takes."""

    url: str
    account: Account


@pytest.fixture(scope="module")
def standing(databases: Databases, servers: TestServers) -> Iterator[Standing]:
    url = databases.take()
    chosen = Settings(database_url=url, redis_url=empty_redis(servers), secret="5" * 64, database_pool_size=4)
    account = asyncio.run(_account(url))
    with serving(chosen) as server:
        yield Standing(server.url, account)
    databases.give_back()


async def _account(url: str) -> Account:
    database = Database(url, 1, "postlane-test")
    await database.open()
    try:
        return await make_account(database)
    finally:
        await database.close()


# Schemathesis 4.32 draws from `random` in a strategy, which Hypothesis says is on its way out.
@pytest.mark.filterwarnings("ignore:Do not use the `random` module inside strategies")
@pytest.mark.parametrize(
    "operation", [case.ok() for case in schema.get_all_operations() if isinstance(case, Ok)], ids=lambda o: o.label
)
def test_no_request_breaks_the_server(operation: Any, standing: Standing) -> None:
    """One operation, good and bad requests with the key it wants; a few with none and with others."""

    account = standing.account
    operators = "403" in operation.definition.raw["responses"] and "application's does not operate" in str(
        operation.definition.raw["responses"]["403"]
    )
    right = account.operator if operators else account.full
    # A body has many ways to be wrong; without one there is a path and a query.
    most, few = (10, 2) if operation.body else (5, 1)
    others = ("", account.sending, account.bound, account.test, account.full if operators else account.operator)
    seen: dict[str, int] = {}

    @settings(
        max_examples=most, derandomize=True, deadline=None, database=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    def explore(case: Any) -> None:
        # Making a request is three quarters of the work: the first ones are made with all keys.
        number = seen.setdefault(str((case.path_parameters, case.query, case.body)), len(seen))
        for key in (*others, right) if number < few else (right,):
            headers = {"authorization": f"Bearer {key}"} if key else {}
            case.call_and_validate(base_url=standing.url, headers=headers, checks=CHECKS, timeout=20)

    given(case=operation.as_strategy())(explore)()
