"""Coming in by a provider of OpenID Connect, for those whom it vouches for and for nobody else."""

import re
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import pyotp
import pytest
from fastapi import FastAPI
from joserfc.jwk import OctKey, RSAKey

from accounts import identities, sign_in_links, users
from accounts.roles import Role
from accounts.sign_in_links import Purpose
from console import throttling
from core.clock import SystemClock
from core.settings import Settings
from store.database import Database
from tests.integration.console.conftest import HOME, PASSWORD, SECRET, Person
from tests.integration.console.provider import CLIENT, CLIENT_SECRET, Provider, providing
from tests.integration.console.test_sign_in import ADA, _came_by, _field, _with_factor
from tests.integration.messages.emails import rows

ROLES = ("postlane-admins=admin", "mail=operator")


@pytest.fixture
async def provider() -> AsyncIterator[Provider]:
    async with providing() as running:
        yield running


@pytest.fixture
def settings(database_url: str, redis_url: str, tmp_path: Path, provider: Provider) -> Settings:
    """Settings of a console that takes this provider's word."""
    return Settings(
        _env_file=None,  # type: ignore[call-arg]  # pydantic-settings' own
        database_url=database_url,
        redis_url=redis_url,
        secret=SECRET,
        database_pool_size=4,
        console_url=HOME,
        data_dir=tmp_path,
        openid_issuer=provider.issuer,
        openid_client_id=CLIENT,
        openid_client_secret=CLIENT_SECRET,
        openid_label="Sign in with Acme",
        server_networks=("127.0.0.0/8",),
    )


async def _begin(person: Person, back: str = "/") -> str:
    """Where the provider is."""
    answer = await person.get(f"/sign-in/openid?{urlencode({'next': back, 'browser_zone': 'Asia/Tokyo'})}")
    assert answer.status_code == 303, answer.text
    return answer.headers["location"]


async def _back(person: Person, code: str, state: str) -> httpx.Response:
    return await person.http.get(
        f"/sign-in/openid/done?{urlencode({'code': code, 'state': state})}", headers={"sec-fetch-site": "cross-site"}
    )


async def _come(person: Person, provider: Provider, **claims: Any) -> httpx.Response:
    return await _back(person, *provider.authorize(await _begin(person, "/messages"), **claims))


def _with(app: FastAPI, **changes: Any) -> None:
    app.state.deps = replace(app.state.deps, settings=app.state.deps.settings.model_copy(update=changes))


async def _inside(person: Person) -> bool:
    return (await person.get("/account")).status_code == 200


async def test_somebody_known_comes_in_by_their_verified_address(
    admin: Person, anybody: Person, provider: Provider, database: Database
) -> None:
    shown = (await anybody.get("/sign-in?next=/messages")).text
    assert re.search(r'data-zone href="/sign-in/openid\?next=%2Fmessages">Sign in with Acme', shown)
    location = await _begin(anybody, "/messages")
    asked = parse_qs(urlsplit(location).query)
    assert asked["redirect_uri"] == [f"{HOME}/sign-in/openid/done"]
    assert asked["scope"] == ["openid email profile"]
    assert asked["from"] == ["here"], "what the endpoint has of its own stays"

    answer = await _back(anybody, *provider.authorize(location, email="Ada@Acme.example"))

    assert (answer.status_code, answer.headers["location"]) == (303, "/messages")
    assert await _inside(anybody)
    assert await rows(database, "SELECT issuer, subject, made FROM console_identities") == [
        (provider.issuer, "user-1", False)
    ]
    assert ("Asia/Tokyo",) in await rows(database, "SELECT zone FROM console_sessions")
    told = await rows(database, "SELECT action, subject, actor, after FROM audit_log ORDER BY id")
    assert told == [
        ("user.identity", ADA, f"provider {provider.issuer}", {"provider": provider.issuer}),
        ("session.begin", ADA, ADA, {"by": f"provider: {provider.issuer}"}),
    ]


async def test_an_identity_stays_the_same_user_whatever_address_it_has(
    admin: Person, viewer: Person, anybody: Person, provider: Provider, database: Database
) -> None:
    assert (await _come(anybody, provider)).status_code == 303
    anybody.http.cookies.clear()

    assert (await _come(anybody, provider, email="vic@acme.example")).status_code == 303

    assert "ada@acme.example" in (await anybody.get("/account")).text
    anybody.http.cookies.clear()
    other = await _come(anybody, provider, sub="user-2")
    assert other.status_code == 403
    assert "signs in by another identity" in other.text
    assert not await _inside(anybody)
    assert await rows(database, "SELECT count(*) FROM console_identities") == [(1,)]


@pytest.mark.parametrize(
    "claims",
    [{"email": "eve@acme.example"}, {"email_verified": False}, {"email_verified": None}, {"email_verified": "yes"},
     {"email": None}, {"email": 7}],
)  # fmt: skip
async def test_nobody_is_let_in_by_an_address_that_is_unknown_or_not_verified(
    admin: Person, anybody: Person, provider: Provider, database: Database, claims: dict[str, Any]
) -> None:
    answer = await _come(anybody, provider, **claims)

    assert answer.status_code == 403
    assert "nobody here has" in answer.text.lower() or "verified no address" in answer.text
    assert not await _inside(anybody)
    assert await rows(database, "SELECT count(*) FROM console_identities") == [(0,)]
    assert await rows(database, "SELECT count(*) FROM console_users") == [(1,)]


async def test_a_state_is_good_in_its_own_browser_and_once(
    admin: Person, viewer: Person, anybody: Person, provider: Provider
) -> None:
    code, state = provider.authorize(await _begin(anybody))
    stolen = await _back(viewer, code, state)
    assert stolen.status_code == 400
    assert "not begun in this browser" in stolen.text
    assert provider.asked["token"] == 0, "nothing was asked for somebody else"
    for wrong in (state[:-1], "", f"{state}x"):
        await _begin(anybody)
        assert (await _back(anybody, code, wrong)).status_code == 400
    forged = anybody.http.cookies.get("__Host-postlane_openid") or "x.y"
    anybody.http.cookies.clear()
    anybody.http.cookies.set("__Host-postlane_openid", f"e30.{forged.partition('.')[2]}")
    assert (await _back(anybody, code, state)).status_code == 400
    anybody.http.cookies.clear()

    code, state = provider.authorize(await _begin(anybody))
    kept = anybody.http.cookies["__Host-postlane_openid"]
    assert (await _back(anybody, code, state)).status_code == 303
    anybody.http.cookies.clear()
    assert (await _back(anybody, code, state)).status_code == 400, "the cookie went with it"
    anybody.http.cookies.set("__Host-postlane_openid", kept)
    replayed = await _back(anybody, code, state)
    assert replayed.status_code == 403, "and a code counts once"
    assert not await _inside(anybody)


async def test_a_sign_in_that_takes_too_long_is_begun_again(
    admin: Person, anybody: Person, app: FastAPI, provider: Provider
) -> None:
    class Later(SystemClock):
        def now(self) -> Any:
            return super().now().replace(year=2099)

    code, state = provider.authorize(await _begin(anybody))
    app.state.deps = replace(app.state.deps, clock=Later())

    assert (await _back(anybody, code, state)).status_code == 400


_NOW = int(SystemClock().now().timestamp())
LIES: dict[str, dict[str, Any]] = {
    "another nonce": {"nonce": "of somebody else"},
    "no nonce": {"nonce": None},
    "for somebody else": {"aud": "another-client"},
    "for us and others, and not given to us": {"aud": [CLIENT, "another-client"]},
    "given to somebody else": {"azp": "another-client"},
    "of another provider": {"iss": "https://login.evil.example"},
    "expired": {"exp": _NOW - 120, "iat": _NOW - 900},
    "without an end": {"exp": None},
    "an end that is none": {"exp": float("1e400")},
    "of the future": {"iat": _NOW + 900, "exp": _NOW + 1200},
    "not yet": {"nbf": _NOW + 900},
    "of nobody": {"sub": None},
    "of too long a name": {"sub": "x" * 256},
    "about another access token": {"at_hash": "bm90IGl0"},
}


@pytest.mark.parametrize("lie", LIES)
async def test_a_token_that_is_not_true_lets_nobody_in(
    admin: Person, anybody: Person, provider: Provider, database: Database, lie: str
) -> None:
    answer = await _come(anybody, provider, **LIES[lie])

    assert answer.status_code == 403, lie
    assert "could not be verified" in answer.text
    assert not await _inside(anybody)
    assert await rows(database, "SELECT count(*) FROM console_identities") == [(0,)]


async def test_a_token_that_nobody_of_theirs_signed_lets_nobody_in(
    admin: Person, anybody: Person, provider: Provider
) -> None:
    public = provider.key.as_pem(private=False)
    for header, signer in (
        ({"alg": "none"}, None),
        ({"alg": "HS256"}, OctKey.import_key(CLIENT_SECRET)),
        ({"alg": "HS256"}, OctKey.import_key(bytes(public).replace(b"-----", b""))),
        ({"alg": "RS256"}, RSAKey.generate_key(2048)),
        ({"alg": "RS256", "kid": "two"}, RSAKey.generate_key(2048, {"kid": "two"})),
    ):
        provider.header, provider.signer = header, signer
        answer = await _come(anybody, provider)
        assert answer.status_code == 403, header
        assert not await _inside(anybody)

    provider.header, provider.signer = {"alg": "RS256"}, None
    assert (await _come(anybody, provider)).status_code == 303


async def test_keys_are_kept_and_asked_for_once_more_when_one_is_unknown(
    admin: Person, anybody: Person, provider: Provider
) -> None:
    for _ in range(2):
        assert (await _come(anybody, provider)).status_code == 303
    assert provider.asked == {"metadata": 1, "keys": 1, "token": 2}

    provider.key = RSAKey.generate_key(2048, {"kid": "two"})
    for _ in range(2):
        assert (await _come(anybody, provider)).status_code == 303, "they changed their key"
    assert provider.asked["keys"] == 2
    provider.shown, provider.key = [provider.key], RSAKey.generate_key(2048, {"kid": "three"})
    for _ in range(3):
        assert (await _come(anybody, provider)).status_code == 403
    assert provider.asked["keys"] == 2, "whoever makes keys up does not make us ask"


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"down": True}, 503),
        ({"padding": 600_000}, 403),
        ({"metadata": {"issuer": "https://login.evil.example"}}, 403),
        ({"metadata": {"token_endpoint": "https://169.254.169.254/token"}}, 503),
        ({"metadata": {"jwks_uri": "https://10.1.2.3/keys"}}, 503),
        ({"metadata": {"token_endpoint": "http://login.example.com/token"}}, 403),
        ({"metadata": {"authorization_endpoint": "javascript:alert(1)"}}, 403),
        ({"metadata": {"token_endpoint": "ftp://127.0.0.1/token"}}, 403),
        ({"metadata": {"jwks_uri": None}}, 403),
    ],
)
async def test_a_provider_that_does_not_do_as_it_should_costs_nothing_but_a_sentence(
    admin: Person, anybody: Person, provider: Provider, change: dict[str, Any], status: int
) -> None:
    for name, value in change.items():
        setattr(provider, name, value)

    answer = await anybody.get("/sign-in/openid")
    if answer.status_code == 303:
        answer = await _back(anybody, *provider.authorize(answer.headers["location"]))

    assert answer.status_code == status
    assert "Sign in with Acme" in answer.text
    assert "evil" not in answer.text
    assert not await _inside(anybody)


async def test_what_the_provider_refuses_is_told(admin: Person, anybody: Person, provider: Provider) -> None:
    _, state = provider.authorize(await _begin(anybody))

    answer = await anybody.get(f"/sign-in/openid/done?error=%3Cb%3Eaccess_denied&state={state}")

    assert answer.status_code == 403
    assert "did not let you in: &lt;b&gt;access_denied" in answer.text


async def test_who_is_disabled_stays_out(
    admin: Person, viewer: Person, anybody: Person, provider: Provider, database: Database
) -> None:
    assert viewer.user is not None
    assert (await admin.post(f"/users/{viewer.user.id}/disable")).status_code == 303

    answer = await _come(anybody, provider, email="vic@acme.example")

    assert answer.status_code == 403
    assert not await _inside(anybody)
    assert await rows(database, "SELECT count(*) FROM console_identities") == [(0,)], "refused, it is tied to nobody"
    told = await rows(database, "SELECT after FROM audit_log WHERE action = 'session.refused'")
    assert told == [({"why": f"came by provider: {provider.issuer}, disabled"},)]


async def test_a_second_factor_is_asked_for_all_the_same(
    admin: Person, anybody: Person, provider: Provider, database: Database
) -> None:
    totp: pyotp.TOTP = await _with_factor(database, admin)

    asked = await _come(anybody, provider)

    assert "Your code" in asked.text
    assert not await _inside(anybody)
    code = totp.at(int(SystemClock().now().timestamp()))
    done = await anybody.raw_post(
        "/sign-in/code", form_key=_field(asked, "form_key"), ticket=_field(asked, "ticket"), code=code,
        next=_field(asked, "next"),
    )  # fmt: skip
    assert (done.status_code, done.headers["location"]) == (303, "/messages")
    assert await _inside(anybody)
    assert await _came_by(database) == f"provider: {provider.issuer} and code"


async def test_the_provider_gives_roles_only_where_a_setting_says_so(
    admin: Person, anybody: Person, app: FastAPI, provider: Provider, database: Database
) -> None:
    eve = {"sub": "user-9", "email": "eve@acme.example", "name": "Eve"}
    assert (await _come(anybody, provider, **eve, groups=["mail"])).status_code == 403
    _with(app, openid_role_claim="groups", openid_roles=ROLES)

    assert (await _come(anybody, provider, **eve, groups=["staff"])).status_code == 403
    assert (await _come(anybody, provider, **eve, groups=["staff", "mail"])).status_code == 303
    told = "SELECT name, role FROM console_users WHERE email = 'eve@acme.example'"
    assert await rows(database, told) == [("Eve", "operator")]
    assert (await _come(anybody, provider, **eve, groups=["mail", "postlane-admins"])).status_code == 303
    assert await rows(database, told) == [("Eve", "admin")]
    anybody.http.cookies.clear()
    gone = await _come(anybody, provider, **eve, groups=[])
    assert gone.status_code == 403
    assert "gives you no role" in gone.text
    assert not await _inside(anybody)

    assert (await _come(anybody, provider, groups=["mail"])).status_code == 303
    assert await rows(database, "SELECT role FROM console_users WHERE email = %s", [ADA]) == [("admin",)], (
        "whom somebody added has the role that they gave"
    )
    actions = await rows(database, "SELECT action FROM audit_log WHERE subject = 'eve@acme.example' ORDER BY id")
    assert [action for (action,) in actions] == [
        "user.create", "user.identity", "session.begin", "user.change", "session.begin",
    ]  # fmt: skip


async def test_without_passwords_a_link_lets_its_owner_in(
    admin: Person, anybody: Person, app: FastAPI, provider: Provider, database: Database
) -> None:
    _with(app, console_passwords=False)
    shown = (await anybody.get("/sign-in")).text
    assert 'name="password"' not in shown
    assert "Sign in with Acme" in shown
    key = _field(await anybody.get(f"/link/{await _link(database)}"), "form_key")

    refused = await anybody.raw_post("/sign-in", form_key=key, email=ADA, password=PASSWORD)

    assert refused.status_code == 422
    assert "No passwords are taken here" in refused.text
    link = f"/link/{await _link(database)}"
    assert (await anybody.post(link, link)).status_code == 303
    assert await _inside(anybody)


async def test_a_client_that_goes_to_and_fro_is_stopped(
    admin: Person, anybody: Person, app: FastAPI, provider: Provider
) -> None:
    _, state = provider.authorize(await _begin(anybody))
    kept = anybody.http.cookies["__Host-postlane_openid"]
    for _ in range(throttling.OF_PROVIDER - 1):
        assert app.state.deps.attempts.comes("203.0.113.9")

    anybody.http.cookies.clear()
    anybody.http.cookies.set("__Host-postlane_openid", kept)
    assert (await _back(anybody, "a guess", state)).status_code == 429
    assert (await anybody.get("/sign-in/openid")).status_code == 429
    assert provider.asked["token"] == 0


async def test_without_a_provider_there_is_no_way_to_one(anybody: Person, app: FastAPI) -> None:
    app.state.deps = replace(app.state.deps, openid=None)

    for path in ("/sign-in/openid", "/sign-in/openid/done?code=1&state=2"):
        assert (await anybody.get(path)).status_code == 404


async def test_an_identity_is_forgotten_for_the_next_one(
    admin: Person, anybody: Person, provider: Provider, database: Database
) -> None:
    assert admin.user is not None
    assert (await _come(anybody, provider)).status_code == 303
    async with database.connection() as connection:
        assert await identities.issuer_of(connection, admin.user.id) == provider.issuer
    at = f"/users/{admin.user.id}/unlink"
    assert "Forget how ada@acme.example signs in?" in (await admin.get(f"/users?open={admin.user.id}")).text
    assert (await admin.post(at)).status_code == 303
    assert (await admin.post(at)).status_code == 404
    told = await rows(database, "SELECT before FROM audit_log WHERE action = 'user.unlink'")
    assert told == [({"provider": provider.issuer},)]
    anybody.http.cookies.clear()

    assert (await _come(anybody, provider, sub="user-2")).status_code == 303


async def test_whom_the_provider_let_in_has_its_roles_by_another_identity_too(
    admin: Person, anybody: Person, app: FastAPI, provider: Provider, database: Database
) -> None:
    _with(app, openid_role_claim="groups", openid_roles=ROLES)
    eve = {"sub": "user-9", "email": "eve@acme.example", "name": "Eve"}
    assert (await _come(anybody, provider, **eve, groups=["mail"])).status_code == 303
    [(eves,)] = await rows(database, "SELECT id FROM console_users WHERE email = 'eve@acme.example'")
    assert (await admin.post(f"/users/{eves}/unlink")).status_code == 303
    anybody.http.cookies.clear()

    eve |= {"sub": "user-10"}
    gone = await _come(anybody, provider, **eve, groups=["staff"])
    assert gone.status_code == 403
    assert "gives you no role" in gone.text
    assert (await _come(anybody, provider, **eve, groups=["postlane-admins"])).status_code == 303
    assert await rows(database, "SELECT role FROM console_users WHERE id = %s", [eves]) == [("admin",)]


async def _link(database: Database) -> str:
    async with database.transaction() as connection:
        user = await users.get(connection, ADA)
        assert user.role is Role.ADMIN
        return await sign_in_links.make(connection, Purpose.SIGN_IN, user.id)
