"""Every route of the console, as it stands in the table: none opens without a session, a right and a form of ours."""

import re
from dataclasses import replace

import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute
from structlog.testing import capture_logs

from accounts import repository as accounts
from accounts import users
from accounts.roles import ALLOWS, MEANING, OF_THE_INSTALLATION, RIGHTS, Right, Role
from console import guard, rendering
from console.cookies import Cookies
from console.guard import ConsoleRoute, needed_by, needs
from console.nouns import NOUNS
from console.routes import router as own_routes
from core.errors import UnavailableError
from core.secrets import InstanceSecret
from store.database import Database
from tests.integration.console.conftest import HOME, SECRET, Person

ROUTES = [route for noun in NOUNS for route in noun.router.routes if isinstance(route, APIRoute)]
CHANGING = [route for route in ROUTES if route.methods and route.methods - {"GET", "HEAD"}]
OPEN = {"/sign-in", "/sign-in/code", "/sign-in/openid", "/sign-in/openid/done", "/link/{token}"}
"""What works before the sign-in."""
UNGUARDED = {"/healthz", "/robots.txt", "/assets/{name}"}
"""What shows nothing of anybody."""


def _path(route: APIRoute) -> str:
    """A path of this route. What it names need not be there: the guard is asked first."""
    return re.sub(r"\{[^}]+\}", "0", route.path)


def _name(route: APIRoute) -> str:
    return f"{'+'.join(sorted(route.methods or ()))} {route.path}"


def test_every_route_is_guarded_but_those_that_show_nothing() -> None:
    assert all(isinstance(route, ConsoleRoute) for route in ROUTES)
    assert {route.path for route in own_routes.routes if isinstance(route, APIRoute)} == UNGUARDED
    assert {route.path for route in ROUTES if needed_by(route.endpoint) is None} == OPEN


def test_a_route_that_nobody_thought_of_does_not_start() -> None:
    async def endpoint() -> None: ...

    with pytest.raises(TypeError, match="who may call it"):
        ConsoleRoute("/new", endpoint)
    assert ConsoleRoute("/new", needs(Right.MAIL_SEE)(endpoint)).needs is Right.MAIL_SEE


async def test_without_a_session_every_route_leads_to_the_sign_in(anybody: Person) -> None:
    for route in ROUTES:
        if route.path in OPEN:
            continue
        for method in route.methods or ():
            answer = await anybody.http.request(method, _path(route), headers={"sec-fetch-site": "same-origin"})
            assert answer.status_code == 303, _name(route)
            assert answer.headers["location"].startswith("/sign-in"), _name(route)


@pytest.mark.parametrize(
    ("role", "limited"),
    [*((role, False) for role in Role if role is not Role.ADMIN), (Role.OPERATOR, True), (Role.MARKETER, True)],
)
async def test_without_its_right_every_route_refuses(
    viewer: Person, database: Database, role: Role, limited: bool
) -> None:
    """Whatever a role may not is refused before anything is read; and what is the installation's to whom is limited."""
    assert viewer.user is not None
    async with database.transaction() as connection:
        shop = await accounts.create_application(connection, "shop")
        assert shop is not None
        await users.set_role(connection, viewer.user, role, (shop.id,) if limited else ())
    may = RIGHTS[role] - (OF_THE_INSTALLATION if limited else frozenset())
    wanted = [(one, right) for one in ROUTES if isinstance(right := needed_by(one.endpoint), Right)]
    refused = [(route, right) for route, right in wanted if right not in may]
    assert refused
    for route, right in refused:
        for method in route.methods or ():
            answer = await viewer.http.request(method, _path(route), headers={"sec-fetch-site": "same-origin"})
            assert answer.status_code == 403, _name(route)
            assert f"You may not {ALLOWS[right]}." in answer.text, _name(route)


def test_what_a_viewer_may_not_look_at_is_said_where_the_role_is_given() -> None:
    """Every page of the navigation that answers 403, by its address."""
    pages = [one for one in ROUTES if one.methods == {"GET"} and one.path.count("/") == 1 and len(one.path) > 1]
    shut = {
        one.path[1:] for one in pages
        if isinstance(wanted := needed_by(one.endpoint), Right) and wanted not in RIGHTS[Role.VIEWER]
    }  # fmt: skip
    assert shut == {"audit", "flags", "system", "users"}
    assert [name for name in shut if name not in MEANING[Role.VIEWER].lower()] == []


ELSEWHERE = (
    "//evil.example/", "//evil.example/%2e%2e", "/\\evil.example/", "/messages//evil.example/", "/messages/",
    "/%2f/evil.example/",
    "/sign-in?next=//evil.example", "/sign-in?next=/%5Cevil.example", "/sign-in?next=https:evil.example",
    "/find?q=//evil.example", "/find?q=https://evil.example/", "/find?q=/\\evil.example",
    "/sign-in/openid?next=//evil.example", "/sign-in/openid/done?next=//evil.example",
)  # fmt: skip


async def test_no_address_of_ours_leads_elsewhere(admin: Person, anybody: Person) -> None:
    led = 0
    for person in (admin, anybody):
        for address in ELSEWHERE:
            for host in ("console.acme.example", "evil.example"):
                answer = await person.http.get(HOME + address, headers={"sec-fetch-site": "none", "host": host})
                to = answer.headers.get("location", "/")
                led += "location" in answer.headers
                assert to[:1] == "/", (address, host, to)
                assert to[1:2] not in ("/", "\\"), (address, host, to)
    assert led >= 10, "some of them lead somewhere"


async def test_what_changes_something_wants_a_form_of_ours(admin: Person) -> None:
    tries: tuple[tuple[str, dict[str, str]], ...] = (
        ("cross-site", {}),
        ("same-site", {}),
        ("none", {}),
        ("same-origin", {}),
        ("same-origin", {"form_key": "0" * 32}),
        ("", {}),
    )
    for route in CHANGING:
        for site, fields in tries:
            answer = await admin.raw_post(_path(route), site, **fields)
            assert answer.status_code == 403, (_name(route), site)
            assert "did not come from the console" in answer.text


async def test_answers_carry_a_policy_and_no_page_is_kept(app: FastAPI, admin: Person) -> None:
    answer = await admin.get("/")
    policy = answer.headers["content-security-policy"]
    nonce = re.search(r"script-src 'nonce-([\w-]+)'", policy)

    assert nonce is not None
    assert answer.text.count(f'<script nonce="{nonce[1]}"') == answer.text.count("<script") == 4
    assert "frame-ancestors 'none'" in policy
    assert "trusted-types htmx" in policy
    assert "unsafe" not in policy
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-frame-options"] == "DENY"
    assert answer.headers["strict-transport-security"]


async def test_files_are_kept_for_ever_under_the_name_of_their_content(admin: Person) -> None:
    found = re.findall(r'(?:href|src)="(/assets/[^"#]+)', (await admin.get("/")).text)

    assert len(set(found)) >= 6
    for url in set(found):
        answer = await admin.get(url)
        assert answer.status_code == 200
        assert "immutable" in answer.headers["cache-control"]
    assert (await admin.get("/assets/console.000000000000.css")).status_code == 404


async def test_no_page_has_an_inline_handler_or_style(admin: Person) -> None:
    for route in ROUTES:
        if "GET" in (route.methods or ()) and "{" not in route.path:
            text = (await admin.get(route.path)).text
            assert not re.search(r"<[^>]+\s(?:on\w+|style|hx-on\S*)=", text), route.path
            assert "<style" not in text, route.path
            # hx-csp takes attributes away where the nonce is missing.
            for tag in re.findall(r"<[^>]+\shx-(?!nonce)[^>]+>", text):
                assert "hx-nonce" in tag, (route.path, tag)


async def test_without_a_database_a_page_waits_for_it_once(app: FastAPI, admin: Person) -> None:
    class Gone:
        asked = 0

        def connection(self) -> None:
            self.asked += 1
            raise UnavailableError("it does not answer")

    gone = Gone()
    app.state.deps = replace(app.state.deps, database=gone)

    answer = await admin.get("/")

    assert (answer.status_code, gone.asked) == (503, 1)
    assert "The database does not answer" in answer.text


async def test_a_bug_is_answered_with_a_number_and_nothing_else(app: FastAPI, admin: Person) -> None:
    """After who it is has been read."""
    real = app.state.deps.database

    class Broken:
        asked = 0

        def connection(self) -> object:
            self.asked += 1
            if self.asked > 1:
                raise RuntimeError("the secret inside")
            return real.connection()

    app.state.deps = replace(app.state.deps, database=Broken())

    answer = await admin.get("/keys")

    assert answer.status_code == 500
    assert "Something went wrong on our side." in answer.text
    assert re.search(r"Request <code>[0-9a-f-]{8,}</code>", answer.text)
    assert "secret" not in answer.text


def test_every_template_is_read_at_the_start() -> None:
    """An upgrade puts other files in their place while the process before goes on."""
    known = rendering._templates
    assert known.cache is not None
    assert {name for _, name in known.cache} == set(known.list_templates(extensions=["html"]))


def test_consoles_of_one_machine_have_cookies_of_their_own() -> None:
    def name(host: str, *, https: bool = False) -> str:
        return Cookies(InstanceSecret.from_text(SECRET), https=https, host=host).name("session")

    assert name("127.0.0.1:8027") == "postlane_8027_session"
    assert name("[::1]:9027") == "postlane_9027_session"
    assert name("[::1]") == name("console.example:x") == "postlane_session"
    assert name("console.example:8027", https=True) == "__Host-postlane_session"


async def test_a_proxy_that_the_console_does_not_know_of_is_told_once(anybody: Person, app: FastAPI) -> None:
    settings = app.state.deps.settings.model_copy(update={"console_url": ""})
    app.state.deps = replace(app.state.deps, settings=settings)
    guard._say_that_it_has_no_name.cache_clear()

    with capture_logs() as said:
        for _ in range(2):
            await anybody.http.get("/sign-in", headers={"x-forwarded-proto": "https"})

    assert [one["event"] for one in said if one["event"] == "console_url_missing"] == ["console_url_missing"]
