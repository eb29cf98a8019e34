"""One JSON face per noun: what `--json` prints is what the API answers, on one database."""

from typing import Any

import httpx
import orjson
import pytest

from alarms import repository as alarms
from alarms.model import AlarmKind
from mta.inbound_reports import ReceivedMail
from outcomes.inbound import store_inbound
from store.database import Database
from tests.integration.api.account import Account
from tests.integration.api.conftest import Server, account, server, settings
from tests.integration.cli.commands import Postlane, in_database
from tests.integration.messages.emails import make_partitions, rows
from tests.unit.mta.bounce_corpus import CORPUS

__all__ = ["account", "server", "settings"]

IP = "127.0.1.1"
ANN = "ann@one.example"

LISTS = {
    "alarms list": "/alarms",
    "applications list": "/applications",
    "automations list -a acme": "/automations",
    "contact-properties list -a acme": "/contact-properties",
    "contacts list -a acme": "/contacts",
    "domains list -a acme": "/domains",
    "events list -a acme": "/events",
    "flags list": "/flags",
    "inbound list": "/inbound",
    "ips list": "/ips",
    "keys list -a acme": "/api-keys",
    "pools advice": "/pools/advice",
    "pools assignments": "/pools/assignments",
    "pools list": "/pools",
    "providers list": "/providers",
    "segments list -a acme": "/segments",
    "suppressions list": "/suppressions",
    "throttles list": "/throttles",
    "topics list -a acme": "/topics",
    "warmup history 127.0.1.1": "/warmup/127.0.1.1/changes",
    "warmup list": "/warmup",
    "warmup plans list": "/warmup/plans",
    "warmup presets": "/warmup/presets",
    "webhooks list -a acme": "/webhooks",
}
ONES = {
    "contacts show ann@one.example -a acme": "/contacts/ann@one.example",
    "domains get acme.example -a acme": "/domains/DOMAIN",
    "ips reputation 127.0.1.1": "/ips/127.0.1.1/reputation",
    "inbound show 01900000-0000-7000-8000-000000000001": "/inbound/01900000-0000-7000-8000-000000000001",
    "flags show tracking": "/flags/tracking",
    "ips show 127.0.1.1": "/ips/127.0.1.1",
    "ips why 127.0.1.1 gmail": "/ips/127.0.1.1/why?provider=gmail",
    "messages show EMAIL": "/emails/EMAIL",
    "pools show offers": "/pools/offers",
    "recipients show ann@one.example": "/recipients/ann@one.example",
    "suppressions get ann@one.example": "/suppressions/ann@one.example",
    "warmup show 127.0.1.1": "/warmup/127.0.1.1",
}
OF_APPLICATIONS = (
    "/api-keys", "/automations", "/contact", "/domains", "/emails", "/events", "/segments", "/topics", "/webhooks",
)  # fmt: skip
MORE = {
    "messages show EMAIL": {"events": "/emails/EMAIL/events"},
    "warmup show 127.0.1.1": {"changes": "/warmup/127.0.1.1/changes"},
}
"""What the API has at a path of its own."""


@pytest.fixture
def api(server: Server, account: Account) -> Any:
    """Answers of the API, to an application or an operator."""

    def ask(path: str, **body: Any) -> Any:
        key = account.full if path.startswith(OF_APPLICATIONS) else account.operator
        headers = {"authorization": f"Bearer {key}"}
        answer = httpx.request("POST" if body else "GET", server.url + path, headers=headers, json=body or None)
        assert answer.is_success, answer.text
        return answer.json()

    return ask


@pytest.fixture
def email(postlane: Postlane, api: Any, database_url: str, tmp_path: Any) -> str:
    """One of every noun; the id of the email."""

    async def fill(database: Database) -> None:
        await make_partitions(database)
        async with database.transaction() as connection:
            await alarms.raise_alarm(connection, AlarmKind.BLOCKLISTED, IP, "listed")
            await store_inbound(connection, [ReceivedMail("fbl@mail.example", CORPUS["qmail"].data)])
            await connection.execute("UPDATE inbound_mail SET id = '01900000-0000-7000-8000-000000000001'")

    in_database(database_url, fill)
    plan = tmp_path / "mine.toml"
    plan.write_text('name = "mine"\nstages = [100, 300]\n')
    for words in (
        "pools create offers --lane marketing",
        f"ips add {IP} --ehlo m1.example.com",
        f"pools attach offers {IP}",
        "pools assign offers --application acme",
        f"throttles rest {IP} gmail --reason ticket",
        f"warmup start {IP} --plan stages-29",
        f"warmup plans create {plan}",
        f"ips rate {IP} postmaster high --provider gmail",
        "suppressions add ann@one.example",
        "webhooks create https://shop.example/hook -a acme",
        "topics create News -a acme",
        "contact-properties create plan --fallback free -a acme",
        "contacts add ann@one.example --first-name Ann -p plan=pro -a acme",
        "segments create VIP -a acme",
        "events define order.paid --field total=number -a acme",
    ):
        done = postlane(*words.split())
        assert done.status == 0, (words, done.said)
    draft = ("--from", "a@acme.example", "--segment", "VIP", "--subject", "x", "--name", "Spring", "-a", "acme")
    rule = ("--rule", "FREQ=DAILY", "--start", "2030-01-01T09:00", "broadcast=Spring", "-a", "acme")
    for longer in (("campaigns", "create", *draft), ("automations", "create", "Weekly", *rule)):
        assert postlane(*longer).status == 0, longer
    sent = api("/emails", **{"from": "hello@acme.example", "to": ["bob@two.example"], "subject": "Hi", "text": "x"})
    return str(sent["id"])


def test_what_programs_read_is_the_same_at_both_doors(
    postlane: Postlane, api: Any, email: str, account: Account
) -> None:
    # The commands first: the server writes its log to the same standard output.
    told = {words: postlane(*words.replace("EMAIL", email).split()).out for words in (*LISTS, *ONES)}
    for words, path in LISTS.items():
        assert told[words], words
        assert told[words] == api(path)["data"], words
    for words, path in ONES.items():
        more = MORE.get(words, {})
        asked = api(path.replace("EMAIL", email).replace("DOMAIN", str(account.domain_id)))
        for key, place in more.items():
            asked[key] = api(place.replace("EMAIL", email))["data"]
        assert told[words] == asked, words


def test_what_events_tell_is_what_the_api_answers(server: Server, account: Account, database_url: str) -> None:
    """Times are written with a Z in events, as Resend's are."""
    told: dict[str, Any] = {}

    async def events(database: Database) -> None:
        told.update(await rows(database, "SELECT type, payload::jsonb->'data' FROM webhook_events"))

    with httpx.Client(base_url=server.url, headers={"authorization": f"Bearer {account.full}"}) as client:

        def listed(path: str) -> list[Any]:
            found: list[Any] = orjson.loads(client.get(path).text.replace("+00:00", "Z"))["data"]
            return found

        client.post("/webhooks", json={"endpoint": "https://shop.example/hook"})
        topic = client.post("/topics", json={"name": "News", "default_subscription": "opt_in"}).json()["id"]
        client.post("/domains", json={"name": "fresh.example"})
        client.post("/suppressions", json={"email": ANN})
        client.patch(f"/contacts/{ANN}/topics", json=[{"id": topic, "subscription": "opt_out"}])
        in_database(database_url, events)
        assert told["topic.created"] in listed("/topics")
        assert told["suppression.added"] in listed("/suppressions")
        assert told["contact.topics.updated"]["topics"] == [
            one for one in listed(f"/contacts/{ANN}/topics") if one["id"] == topic
        ]
        assert told["domain.created"].pop("records") == []
        assert told["domain.created"] in listed("/domains")


def test_answers_to_a_question_are_the_same_too(postlane: Postlane, api: Any) -> None:
    flow = ("--plan", "plus-30", "--volume", "20000", "--mix", "gmail:50,*:50", "--days", "5", "--target", "10000")
    replies = ("550 5.1.1 User unknown", "421-4.7.28 unusual rate\n421 4.7.28 of mail", " 5.2.2 full", "554")
    explained = {reply: postlane("providers", "explain", reply, "--provider", "gmail").out for reply in replies}
    simulated = postlane("warmup", "simulate", *flow).out
    for reply, told in explained.items():
        asked = api("/providers/explain", reply=reply, provider="gmail", phase="rcpt")
        assert asked == {key: told[key] for key in asked}, reply
    body = {"plan": "plus-30", "per_day": 20_000, "mix": {"gmail": 0.5, "*": 0.5}, "days": 5, "target": 10_000}
    asked = api("/warmup/simulate", **body)
    assert set(simulated) == set(asked)
    assert {frozenset(row) for row in simulated["data"]} == {frozenset(row) for row in asked["data"]}
