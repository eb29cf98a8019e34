"""What hostile people write into parameters of path and query: whatever it is, no answer is an error of ours."""

from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import quote

import httpx
import pytest
from fastapi import FastAPI

from api.limits import RateLimiter
from store.database import Database
from tests.integration.messages.emails import make_partitions
from tests.openapi_document import document

pytestmark = pytest.mark.timeout(120)

NASTY: Final = (
    "", "a\0b", "\udcff", "9" * 30, "-1", "%", "\u202e\x1b[2J", "0001-01-01", "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59-14:00", "a" * 3000,
)  # fmt: skip
_SOME_ID: Final = "01a20446-0000-7000-8000-000000000000"


def requests(openapi: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Method and address, one parameter of each operation at a time."""
    for path, operations in openapi["paths"].items():
        for method, operation in operations.items():
            for parameter in operation.get("parameters", ()):
                for text in NASTY:
                    yield method.upper(), _address(path, parameter, quote(text, safe="", errors="surrogateescape"))


def _address(path: str, parameter: dict[str, Any], text: str) -> str:
    name, place = parameter["name"], parameter["in"]
    if place == "path":
        path = path.replace(f"{{{name}}}", text)
    while "{" in path:
        path = path[: path.index("{")] + _SOME_ID + path[path.index("}") + 1 :]
    return f"{path}?{name}={text}" if place == "query" else path


async def test_no_parameter_brings_the_api_down(
    app: FastAPI, client: httpx.AsyncClient, ops: httpx.AsyncClient, database: Database
) -> None:
    app.state.limiter = RateLimiter(0)
    await make_partitions(database)
    wrong = []
    asked = list(requests(document()))
    assert len(asked) > 500
    for method, address in asked:
        answer = await ops.request(method, address)
        if answer.status_code in (401, 403):
            answer = await client.request(method, address)
        if answer.status_code >= 500:
            wrong.append(f"{method} {address[:120]}: {answer.status_code}")
    assert not wrong, "\n".join(wrong)
