"""Header injection through every field of the pages' forms, found in the pages themselves, and in what they send."""

import re

import pytest
from fastapi import FastAPI

from core.rate_windows import RateWindow
from tests.integration.api.hostile import HOSTILE
from tests.integration.api.test_injection import wrong_with
from tests.integration.messages.emails import rows
from tests.integration.pages.conftest import Reader

pytestmark = pytest.mark.timeout(120)

_NAMES = re.compile(r'name="([a-z_]+)"')
_ACTIONS = re.compile(r'name="action"[^>]*value="([a-z_]+)"|value="([a-z_]+)"[^>]*name="action"')


async def test_no_field_of_a_form_adds_a_header(app: FastAPI, reader: Reader) -> None:
    app.state.limits.acts = app.state.limits.moves = RateWindow(100_000, 60.0)
    page = (await reader.client.get(reader.link())).text
    names = sorted({*_NAMES.findall(page), "List-Unsubscribe"} - {"viewport"})
    actions = sorted({first or second for first, second in _ACTIONS.findall(page)})
    assert {"action", "address"} <= set(names)
    assert {"move", "save"} <= set(actions)
    wrong = []
    for action in actions:
        for name in names:
            for kind, text in HOSTILE.items():
                answer = await reader.client.post(reader.link(), data={"action": action, name: text})
                if problem := wrong_with(answer):
                    wrong.append(f"{action} {name}, {kind}: {problem}")
    assert not wrong, "\n".join(wrong)
    found = await rows(reader.database, 'SELECT sender, subject, message_id, "to"[1] FROM emails')
    assert all(part.isprintable() for mail in found for part in mail)
