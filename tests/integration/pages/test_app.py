"""What every answer of the public pages has in common: headers, languages of errors, no metrics outside."""

import httpx
import pytest


async def test_health_is_told(client: httpx.AsyncClient) -> None:
    answer = await client.get("/healthz")

    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


@pytest.mark.parametrize("path", ["/healthz", "/nothing", "/static/pages.css", "/metrics", "/docs", "/openapi.json"])
async def test_every_answer_is_shielded(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(path)

    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "script-src" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["strict-transport-security"]
    assert answer.headers["x-robots-tag"].startswith("noindex")


@pytest.mark.parametrize("path", ["/metrics", "/docs", "/openapi.json", "/", "/../etc/passwd", "/static/../app.py"])
async def test_nothing_else_is_there(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(path, headers={"accept-language": "de"})

    assert answer.status_code == 404
    assert "Hier ist nichts" in answer.text
    assert answer.headers["content-language"] == "de"
    assert answer.headers["cache-control"] == "no-store"


async def test_a_wrong_method_says_which_is_right(client: httpx.AsyncClient) -> None:
    answer = await client.post("/healthz")

    assert answer.status_code == 405
    assert "GET" in answer.headers["allow"]


async def test_style_may_be_kept(client: httpx.AsyncClient) -> None:
    answer = await client.get("/static/pages.css")

    assert answer.headers["content-type"].startswith("text/css")
    assert "immutable" in answer.headers["cache-control"]
