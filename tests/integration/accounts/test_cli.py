"""`postlane keys` and `postlane domains` as commands, on the real database and a name server from a table."""

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from accounts.directory import Directory
from accounts.quotas import Quota
from cli.main import app
from cli.main import run as run_command
from core import settings
from store.database import Database
from tests.dns_table import DnsTable

HOST = "mail.postlane.test"

Postlane = Callable[..., tuple[int, Any, str]]


@pytest.fixture
def dns() -> Iterator[DnsTable]:
    """A name server in a thread: the commands have event loops of their own."""
    table = DnsTable({})
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    asyncio.run_coroutine_threadsafe(table.__aenter__(), loop).result(5)
    yield table
    asyncio.run_coroutine_threadsafe(table.__aexit__(), loop).result(5)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(5)
    loop.close()


@pytest.fixture
def postlane(
    database_url: str, dns: DnsTable, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Postlane]:
    """Runs a command: exit status, what it printed (read as JSON where it is), and what it said on standard error."""
    monkeypatch.setenv("POSTLANE_DATABASE_URL", database_url)
    monkeypatch.setenv("POSTLANE_REDIS_URL", "redis://127.0.0.1:1/0")
    monkeypatch.setenv("POSTLANE_SECRET", "5" * 64)
    monkeypatch.setenv("POSTLANE_HOSTNAME", HOST)
    monkeypatch.setenv("POSTLANE_DNS_SERVERS", json.dumps([dns.address]))
    settings.load.cache_clear()

    def call(*words: str) -> tuple[int, Any, str]:
        status = run_command(lambda: app(list(words), prog_name="postlane", standalone_mode=False))
        printed = capsys.readouterr()
        try:
            return status, json.loads(printed.out), printed.err
        except ValueError:
            return status, printed.out, printed.err

    yield call
    settings.load.cache_clear()


def caller(database_url: str, token: str) -> Any:
    async def ask() -> Any:
        database = Database(database_url, size=2)
        await database.open()
        directory = Directory(database)
        found = await directory.caller(token)
        await directory.settle()
        await database.close()
        return found

    return asyncio.run(ask())


def test_the_first_key_makes_the_application(postlane: Postlane, database_url: str) -> None:
    status, _, said = postlane("keys", "list")
    assert status == 1
    assert json.loads(said)["error"]["code"] == "no_application"
    status, made, said = postlane("keys", "create", "web", "--application", "shop")
    assert status == 0
    assert "shop" in said
    found = caller(database_url, made["token"])
    assert (str(found.key_id), found.permission) == (made["id"], "full_access")
    status, listed, _ = postlane("keys", "list")
    assert [(one["name"], one["id"]) for one in listed] == [("web", made["id"])]
    assert made["token"] not in json.dumps(listed)
    assert postlane("keys", "create", "more")[0] == 0
    assert [(one["name"], one["keys"]) for one in postlane("applications", "list")[1]] == [("shop", 2)]


def test_a_key_is_deleted_only_when_that_is_meant(
    postlane: Postlane, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, made, _ = postlane("keys", "create", "web")
    status, _, said = postlane("keys", "delete", made["id"])
    assert (status, json.loads(said)["error"]["code"]) == (1, "needs_yes")
    assert caller(database_url, made["token"]) is not None
    status, gone, _ = postlane("keys", "delete", made["id"], "--yes")
    assert (status, gone) == (0, {"object": "api_key", "id": made["id"], "deleted": True})
    assert caller(database_url, made["token"]) is None
    assert postlane("keys", "delete", made["id"], "--yes")[0] == 1


def test_a_key_for_one_domain(postlane: Postlane, database_url: str) -> None:
    _, domain, _ = postlane("domains", "create", "Shop.example")
    _, made, _ = postlane("keys", "create", "web", "--permission", "sending_access", "--domain", "shop.example")
    assert str(caller(database_url, made["token"]).domain_id) == domain["id"]
    for words in (
        ("--domain", "shop.example"),
        ("--permission", "root"),
        ("--permission", "sending_access", "--domain", "other.example"),
        ("--permission", "sending_access", "--domain", "not a domain"),
    ):
        assert postlane("keys", "create", "web", *words)[0] == 1
    assert len(postlane("keys", "list")[1]) == 1


def test_a_domain_from_registered_to_verified(postlane: Postlane, dns: DnsTable) -> None:
    status, made, _ = postlane("domains", "create", "Shop.example", "--return-path", "b")
    assert (status, made["name"], made["return_path"]) == (0, "shop.example", "b.shop.example")
    records = made["records"] + made["recommended_records"]
    assert [one["status"] for one in records] == ["not_started"] * 5
    status, checked, _ = postlane("domains", "verify", "shop.example")
    assert (status, checked["status"]) == (1, "pending")

    status, zone, _ = postlane("domains", "get", made["id"], "--zone")
    for line in zone.splitlines():
        if not line.startswith(";"):
            name, _, kind, data = line.replace(" 3600 ", " ").split(" ", 3)
            dns.records.setdefault((name.rstrip("."), kind), []).append(data)  # type: ignore[union-attr]
    status, checked, _ = postlane("domains", "verify", made["id"])
    assert (status, checked["status"]) == (0, "verified")
    status, listed, _ = postlane("domains", "list")
    assert [(one["name"], one["status"]) for one in listed] == [("shop.example", "verified")]
    assert postlane("domains", "get", "shop.example")[1]["status"] == "verified"


def test_what_goes_wrong_with_domains_is_said_with_a_code(postlane: Postlane) -> None:
    postlane("domains", "create", "shop.example")
    for words, code in (
        (("create", "localhost"), "invalid_domain"),
        (("create", "shop.example"), "conflict"),
        (("get", "other.example"), "not_found"),
        (("verify", "not a domain"), "invalid_domain"),
        (("delete", "shop.example"), "needs_yes"),
        (("list", "--application", "nobody"), "no_application"),
    ):
        status, _, said = postlane("domains", *words)
        assert (status, json.loads(said)["error"]["code"]) == (1, code), words
    assert postlane("domains", "delete", "shop.example", "--yes")[0] == 0
    assert postlane("domains", "list")[1] == []


def test_new_keys_are_shown_to_be_published_and_take_over(postlane: Postlane, dns: DnsTable) -> None:
    _, made, _ = postlane("domains", "create", "shop.example")
    assert postlane("domains", "rotate", "shop.example", "--cancel")[0] == 1
    status, coming, _ = postlane("domains", "rotate", "shop.example")
    assert (status, len(coming["rotation"]["coming"])) == (0, 2)
    _, zone, _ = postlane("domains", "get", "shop.example", "--zone")
    for line in zone.splitlines():
        if not line.startswith(";"):
            name, _, kind, data = line.replace(" 3600 ", " ").split(" ", 3)
            dns.records.setdefault((name.rstrip("."), kind), []).append(data)  # type: ignore[union-attr]
    status, after, _ = postlane("domains", "verify", "shop.example")
    assert (status, after["rotation"]["coming"]) == (0, [])
    assert {one["selector"] for one in after["rotation"]["retired"]} == {
        one["name"].partition(".")[0] for one in made["records"][:2]
    }


def test_an_application_is_made_limited_and_renamed(postlane: Postlane, database_url: str) -> None:
    status, made, _ = postlane("applications", "create", "shop", "--per-day", "1000")
    assert (status, made["object"]) == (0, "application")
    assert postlane("applications", "create", "shop")[0] == 1
    assert postlane("applications", "update", "shop", "--name", "store", "--per-second", "5")[0] == 0
    [shown] = postlane("applications", "list")[1]
    assert (shown["name"], shown["messages_per_day"], shown["messages_per_second"]) == ("store", 1000, 5)
    _, key, _ = postlane("keys", "create", "web", "--application", "store")
    assert caller(database_url, key["token"]).quota == Quota(1000, 5)
    assert postlane("applications", "update", "store", "--per-day", "0")[0] == 0
    assert postlane("applications", "list")[1][0]["messages_per_day"] is None
    assert postlane("applications", "delete", "store", "--yes")[0] == 0


def test_what_receivers_look_up_besides(postlane: Postlane, dns: DnsTable) -> None:
    postlane("domains", "create", "shop.example")
    dns.records["_dmarc.shop.example", "TXT"] = ['"v=DMARC1; p=none"']
    status, found, _ = postlane("domains", "advice", "shop.example")
    assert (status, {one["topic"]: one["standing"] for one in found}) == (
        0, {"dmarc": "good", "bimi": "missing", "mta_sts": "missing", "tls_reports": "missing"},
    )  # fmt: skip
