"""POSTLANE_REDIS_URL read once: redis-py and kombu mean the same server, database, user and proof by it."""

from itertools import product
from typing import Any

import pytest
import redis
from pydantic import ValidationError

from core.broker import read
from core.publish import celery_app
from core.settings import Settings

_USERS = ("", ":pw@", "me:p%40;%2F%3A%23w@")
_TCP = [
    f"{scheme}://{user}{place}"
    for scheme, user, place in product(
        ("redis", "rediss"), _USERS, ("h.example", "h.example:7000/3", "[::1]:6380/0", "10.0.0.1/?db=5")
    )
]
_UNIX = [f"unix://{user}{path}" for user, path in product(_USERS, ("/run/v.sock", "/run/a%20b/v.sock?db=4"))]
_TLS = [
    "rediss://:pw@h.example/0?ssl_ca_certs=/etc/ca.pem",
    "rediss://:pw@h.example/0?ssl_check_hostname=false",
    "rediss://:pw@h.example/0?ssl_cert_reqs=none",
]


def _by_redis_py(url: str) -> dict[str, Any]:
    """What redis-py connects with, every default said."""
    return _facts(redis.Redis.from_url(url).connection_pool.make_connection())


def _by_kombu(url: str) -> dict[str, Any]:
    """What a Celery worker connects with. Nothing is sent."""
    app = celery_app(url)
    with app.connection_for_read() as connection:
        # a channel of kombu connects as soon as it is made
        channel = object.__new__(connection.transport.Channel)
        channel.connection = connection.transport
        parameters = channel._connparams()
    made = parameters.pop("connection_class")(**{k: v for k, v in parameters.items() if k != "max_connections"})
    return _facts(made)


def _facts(connection: Any) -> dict[str, Any]:
    names = "host port path db username password cert_reqs check_hostname ca_certs certfile keyfile"
    found = {name: getattr(connection, name, None) for name in names.split()}
    return {name: value or None for name, value in found.items()} | {"db": connection.db or 0}


@pytest.mark.parametrize("url", [*_TCP, *_UNIX, *_TLS])
def test_both_libraries_mean_the_same(url: str) -> None:
    assert _by_kombu(url) == _by_redis_py(url)


@pytest.mark.parametrize("url", [url for url in _TCP if url.startswith("rediss")])
def test_certificate_and_name_are_verified_unless_told_otherwise(url: str) -> None:
    found = read(url).tls

    assert (found["ssl_cert_reqs"], found["ssl_check_hostname"]) == ("required", True)


@pytest.mark.parametrize(
    ("url", "part"),
    [
        ("http://secret-pw@h", "begins with"),
        ("redis://:secret-pw@/0", "names no host"),
        ("redis:///0", "names no host"),
        ("redis://:secret-pw@h:port/0", "port"),
        ("redis://:secret-pw@h:99999/0", "port"),
        ("redis://:secret-pw@h/zero", "database"),
        ("redis://:secret-pw@h/1?db=2", "twice"),
        ("redis://:secret-pw@h/0?protocol=3", "options"),
        ("redis://:secret-pw@h/0?ssl_cert_reqs=none", "only rediss"),
        ("rediss://:secret-pw@h/0?ssl_cert_reqs=maybe", "ssl_cert_reqs"),
        ("rediss://:secret-pw@h/0?ssl_check_hostname=perhaps", "ssl_check_hostname"),
        ("unix://:secret-pw@host/run/v.sock", "whole path"),
        ("unix://", "whole path"),
        ("redis://:secret-pw@[::1/0", "address"),
        ("redis://:secret-pw@h\u2100x/0", "address"),
    ],
)
def test_what_they_would_not_read_alike_is_refused_by_the_settings(url: str, part: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Settings(redis_url=url, _env_file=None)  # type: ignore[call-arg]  # pydantic-settings' own

    assert part in refused.value.errors()[0]["msg"]
    assert "secret-pw" not in refused.value.errors()[0]["msg"]
