"""What a receiver wishes about the next try, in whatever words."""

from datetime import timedelta

import pytest

from webhooks.sending import _wish


def test_seconds_and_dates() -> None:
    assert _wish("120") == timedelta(minutes=2)
    assert _wish("Thu, 01 Jan 2026 00:00:00 GMT") == timedelta(0)


@pytest.mark.parametrize(
    "text", ["", "soon", "-1", "Mon, 01 Jan 2026 00:00:00 +9999999999999999999", "Mon, 01 Jan 99999 00:00:00", "١٢"]
)
def test_what_nobody_understands_is_no_wish(text: str) -> None:
    assert _wish(text) is None
