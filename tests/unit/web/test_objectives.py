"""Every route has its class, declared beside it."""

from collections.abc import Iterator

from fastapi.routing import APIRoute

from api import app as api
from core.objectives import CHANGE, OBJECTIVES, PAGE, READ, REPORT, SEND, Objective
from pages import app as pages
from tests.unit.deploy.commands import ROOT
from web.objectives import objective_of


def test_the_page_says_what_is_promised() -> None:
    page = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    for one in OBJECTIVES.values():
        assert f"| {one.name} | {one.sentence} | {one.seconds:g} s | {one.share * 100:g} % |" in page


def _classes(modules: object) -> Iterator[tuple[str, Objective | None]]:
    for module in modules:  # type: ignore[attr-defined]  # a tuple of modules
        for route in module.router.routes:
            if isinstance(route, APIRoute):
                for method in route.methods or ():
                    yield f"{method} {route.path}", objective_of(method, route.endpoint)


API, PAGES = dict(_classes(api._ROUTES)), dict(_classes(pages._ROUTES))


def test_routes_of_the_api() -> None:
    assert {name for name, one in API.items() if one is SEND} == {
        "POST /emails", "POST /emails/batch", "POST /emails/{email_id}/again"
    }  # fmt: skip
    assert {name for name, one in API.items() if one is None} == {"GET /healthz", "GET /metrics"}
    assert {"GET /reports", "GET /emails/metrics", "GET /system", "POST /domains/{domain_id}/verify"} <= {
        name for name, one in API.items() if one is REPORT
    }
    assert API["GET /emails"] is READ
    assert API["POST /domains"] is API["DELETE /domains/{domain_id}"] is CHANGE
    assert len(API) > 200


def test_routes_of_the_public_pages() -> None:
    assert {name for name, one in PAGES.items() if one is not PAGE} == {"GET /healthz", "GET /robots.txt"}
    assert len(PAGES) > 15
