"""Schemathesis makes requests from the OpenAPI document: no 5xx, and every answer is one the document lists.

Each operation is called with every kind of key there is, most often with the one it wants. Examples are bounded and
derandomized, so that a run finds the same as the one before.
"""

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

from api.app import create_app
from core.settings import Settings
from tests.integration.api.account import Account
from tests.integration.api.conftest import Server

schema = schemathesis.openapi.from_dict(create_app(Settings(secret="5" * 64)).openapi())

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


# Schemathesis 4.32 draws from `random` in a strategy, which Hypothesis says is on its way out.
@pytest.mark.filterwarnings("ignore:Do not use the `random` module inside strategies")
@pytest.mark.parametrize(
    "operation", [case.ok() for case in schema.get_all_operations() if isinstance(case, Ok)], ids=lambda o: o.label
)
def test_no_request_breaks_the_server(operation: Any, server: Server, account: Account) -> None:
    """One operation, a dozen requests, good and bad, with the key it wants; a few with none and every other kind."""

    operators = "403" in operation.definition.raw["responses"] and "application's does not operate" in str(
        operation.definition.raw["responses"]["403"]
    )
    right = account.operator if operators else account.full
    for key in (right, "", account.sending, account.full if operators else account.operator):
        _explore(operation, server.url, key, 12 if key == right else 2)


def _explore(operation: Any, url: str, key: str, examples: int) -> None:
    @settings(
        max_examples=examples, derandomize=True, deadline=None, database=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    def explore(case: Any) -> None:
        headers = {"authorization": f"Bearer {key}"} if key else {}
        case.call_and_validate(base_url=url, headers=headers, checks=CHECKS, timeout=20)

    given(case=operation.as_strategy())(explore)()
