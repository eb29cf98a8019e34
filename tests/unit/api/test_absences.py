"""Routes of Resend that do not exist here."""

import pytest

from api.absences import absence
from tests.openapi_document import document


@pytest.mark.parametrize(
    ("path", "instead"),
    [
        ("/emails/01a2/share", "console"), ("/emails/01a2/attachments", "GET /emails/{id}"),
        ("/emails/01a2/attachments/7", "GET /emails/{id}"), ("/emails/receiving", "email.received"),
        ("/emails/receiving/01a2/attachments", "reply_to"), ("/usage", "GET /reports"), 
        ("/inboxes/1/threads", "reply_to"),
        ("/oauth/grants", "GET /api-keys"), ("/oauth-grants", "GET /api-keys"), ("/domains/claim", "POST /domains"),
        ("/domains/01a2/claim/verify", "POST /domains"),
    ],
)  # fmt: skip
def test_says_what_to_use_instead(path: str, instead: str) -> None:
    assert instead in absence(path)


def test_hides_no_route_of_ours() -> None:
    assert [path for path in document()["paths"] if absence(path)] == []
