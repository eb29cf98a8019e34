"""Schemathesis makes requests from the OpenAPI document: no 5xx, and every answer is one the document lists.

Examples are bounded and derandomized, so that a run finds the same as the one before.
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
    """One operation, about 25 requests, good and bad."""

    operators = "403" in operation.definition.raw["responses"] and "application's does not operate" in str(
        operation.definition.raw["responses"]["403"]
    )
    key = account.operator if operators else account.full

    @settings(
        max_examples=25, derandomize=True, deadline=None, database=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    def explore(case: Any) -> None:
        case.call_and_validate(
            base_url=server.url, headers={"authorization": f"Bearer {key}"}, checks=CHECKS, timeout=20
        )

    given(case=operation.as_strategy())(explore)()
