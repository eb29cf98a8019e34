"""Bodies of forms, also from people who mean harm: whoever knows our address may post one."""

import pytest

from web.forms import Form, _multipart

NEST = b"".join(b"--b%d\r\nContent-Type: multipart/x; boundary=b%d\r\n\r\n" % (n, n + 1) for n in range(500))


def parsed(body: bytes, kind: str = "multipart/form-data; boundary=b0") -> Form:
    return _multipart(kind, body)


def test_what_a_mail_provider_posts() -> None:
    body = b'--b0\r\nContent-Disposition: form-data; name="List-Unsubscribe"\r\n\r\nOne-Click\r\n--b0--\r\n'
    assert parsed(body) == {"List-Unsubscribe": ["One-Click"]}
    assert parsed(body, 'multipart/form-data; boundary="b0"') == {"List-Unsubscribe": ["One-Click"]}


@pytest.mark.parametrize(
    "body",
    [
        NEST + b"\r\n" * 16_000,  # each line against each open boundary
        b"--b0\r\nContent-Disposition: ;\"" + b";" * 30_000 + b"\r\n\r\nx\r\n--b0--",  # parameters by copying the rest
        b"--b0\r\n" + b"Content-Type: message/rfc822\r\n\r\n" * 1_100,  # deeper than a program may call itself
        b"",
        b"--b0",
    ],
)  # fmt: skip
def test_hostile_bodies_have_no_fields(body: bytes) -> None:
    assert parsed(body) == {}
