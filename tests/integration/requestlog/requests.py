"""Requests for tests of whatever shows them."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from core.ids import uuid7
from requestlog.gathering import Passed


def asked(application: UUID, **changes: Any) -> Passed:
    """A request that was answered now; a failed one is answered with an error."""
    failed = changes.get("status", 200) >= 400
    answer = b'{"statusCode":422,"name":"validation_error","message":"<script>no"}' if failed else b'{"id":"01a2"}'
    one = Passed(
        uuid7(), datetime.now(UTC), application, uuid7(), False, "POST", "/emails", 200, 12.5, "curl/8",
        b'{"subject":"<script>","stream":"marketing"}', answer,
    )  # fmt: skip
    return replace(one, **changes)
