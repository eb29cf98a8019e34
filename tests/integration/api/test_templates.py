"""`/templates`, mail that is made of one, and the official Python SDK with both."""

from typing import Any

import httpx
import pytest
import resend
from markupsafe import escape

from templates.render import compile_line, compile_text
from tests.integration.api.account import Account
from tests.integration.api.conftest import Server

WELCOME: dict[str, Any] = {
    "name": "Welcome", "alias": "welcome", "subject": "Hi {{{NAME}}}", "from": "Acme <hello@acme.example>",
    "html": "<p>Hello {{{NAME}}}, you have {{{COUNT}}} points.</p>",
    "variables": [{"key": "NAME", "type": "string"}, {"key": "COUNT", "type": "number", "fallback_value": 3}],
}  # fmt: skip


async def made(client: httpx.AsyncClient, *, publish: bool = True, **facts: Any) -> str:
    answer = await client.post("/templates", json=WELCOME | facts)
    assert answer.status_code == 201, answer.text
    identifier: str = answer.json()["id"]
    if publish:
        assert (await client.post(f"/templates/{identifier}/publish")).json()["id"] == identifier
    return identifier


def mail(**facts: Any) -> dict[str, Any]:
    return {"to": "ann@one.example", "template": {"id": "welcome", "variables": {"NAME": "R&B"}}} | facts


async def test_a_template_is_made_shown_changed_published_copied_and_deleted(client: httpx.AsyncClient) -> None:
    template = await made(client, publish=False)
    shown = (await client.get("/templates/welcome")).json()
    assert (shown["id"], shown["object"], shown["status"]) == (template, "template", "draft")
    assert (shown["from"], shown["subject"], shown["html"]) == (WELCOME["from"], WELCOME["subject"], WELCOME["html"])
    assert shown["text"] == "Hello {{{NAME}}}, you have {{{COUNT}}} points.\n"
    assert [(one["key"], one["fallback_value"]) for one in shown["variables"]] == [("NAME", None), ("COUNT", 3)]
    assert (shown["uses"], shown["needs"]) == (["COUNT", "NAME"], ["COUNT", "NAME"])
    assert shown["has_unpublished_versions"] is True

    assert (await client.post("/templates/welcome/publish")).status_code == 200
    changed = await client.patch(f"/templates/{template}", json={"name": "New", "alias": None, "html": "x"})
    assert changed.json() == {"object": "template", "id": template}
    shown = (await client.get(f"/templates/{template}")).json()
    assert (shown["name"], shown["alias"], shown["html"], shown["text"]) == ("New", None, "x", "x\n")
    assert (shown["status"], shown["has_unpublished_versions"], shown["subject"]) == (
        "published",
        True,
        "Hi {{{NAME}}}",
    )
    copy = (await client.post(f"/templates/{template}/duplicate")).json()["id"]
    listed = (await client.get("/templates")).json()
    assert [(one["id"], one["name"], one["status"]) for one in listed["data"]] == [
        (copy, "New (copy)", "draft"),
        (template, "New", "published"),
    ]
    gone = await client.delete(f"/templates/{template}")
    assert gone.json() == {"object": "template", "id": template, "deleted": True}
    assert (await client.get(f"/templates/{template}")).status_code == 404


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"name": None}, "`name`"),
    ({"html": None}, "`html`"),
    ({"html": "x\n{{ a | no }}"}, "line 2: there is no filter"),
    ({"html": "x", "mjml": "<mjml></mjml>"}, "one of `html`"),
    ({"html": None, "mjml": "<mjml>\n<mj-body><mj-tex/></mj-body></mjml>"}, "line 2: there is no element"),
    ({"html": None, "blocks": {"blocks": [{"type": "x"}]}}, "blocks[0]"),
    ({"html": "x" * 600_000}, "more than 524288 characters"),
    ({"alias": "a b"}, "`alias`"),
    ({"from": "nobody"}, "`from`"),
    ({"variables": [{"key": "1"}]}, "`variables[0].key`"),
    ({"variables": [{"key": "a", "type": "number", "fallback_value": "x"}]}, "fallback_value"),
    ({"layout": "none"}, "`layout`"),
    ({"languages": {"deutsch!": {"html": "x"}}}, "languages.deutsch!"),
    ({"languages": {"de": {"subject": "x"}}}, "languages.de.html"),
    ({"html": "a\0b"}, "`html`"),
    ({"subject": "a\0b"}, "`subject`"),
    ({"text": "a\0b"}, "`text`"),
    ({"from": "a\0b {{{NAME}}}"}, "`from`"),
    ({"alias": "a\0b"}, "`alias`"),
    ({"html": None, "blocks": {"blocks": [{"type": "text", "text": "a\0b"}]}}, "NUL"),
    ({"variables": [{"key": "a", "fallback_value": "x\0"}]}, "fallback_value"),
    ({"languages": {"de": {"html": "x\0"}}}, "languages.de.html"),
    ({"layout": "a\0"}, "`layout`"),
]


async def test_a_wrong_template_is_refused(client: httpx.AsyncClient) -> None:
    for changes, said in WRONG:
        answer = await client.post("/templates", json=WELCOME | changes)
        assert (answer.status_code, said in answer.json()["message"]) == (422, True), answer.text

    assert (await client.get("/templates")).json()["data"] == []


async def test_a_body_of_ten_megabytes_is_not_read(client: httpx.AsyncClient) -> None:
    assert (await client.post("/templates", json=WELCOME | {"html": "x" * 10_000_000})).status_code == 413


async def test_a_mail_is_made_of_a_template(client: httpx.AsyncClient) -> None:
    template = await made(client)
    sent = await client.post("/emails", json=mail())
    assert sent.status_code == 200, sent.text
    got = (await client.get(f"/emails/{sent.json()['id']}")).json()

    assert got["template_id"] == template
    assert (got["from"], got["subject"]) == ("Acme <hello@acme.example>", "Hi R&B")
    assert got["html"] == "<p>Hello R&amp;B, you have 3 points.</p>"
    assert got["text"] == "Hello R&B, you have 3 points.\n"
    own = {"from": "Bob <bob@acme.example>", "subject": "Mine", "reply_to": "help@acme.example"}
    sent = await client.post("/emails", json=mail(**own))
    got = (await client.get(f"/emails/{sent.json()['id']}")).json()
    assert (got["from"], got["subject"], got["reply_to"]) == (own["from"], "Mine", ["help@acme.example"])


async def test_mail_is_of_the_published_version_at_once(client: httpx.AsyncClient) -> None:
    await made(client)
    await client.post("/emails", json=mail())
    await client.patch("/templates/welcome", json={"subject": "Second"})
    before = (await client.post("/emails", json=mail())).json()["id"]
    await client.post("/templates/welcome/publish")
    after = (await client.post("/emails", json=mail())).json()["id"]

    subjects = [(await client.get(f"/emails/{one}")).json()["subject"] for one in (before, after)]
    assert subjects == ["Hi R&B", "Second"]


LACKING: list[tuple[dict[str, Any], str, str]] = [
    ({"template": {"id": "welcome"}}, "validation_error", "`template.variables.NAME`"),
    ({"template": {"id": "welcome", "variables": {"NAME": 5}}}, "validation_error", "type string"),
    ({"template": {"id": "welcome", "variables": {"NAME": "a", "COUNT": "b"}}}, "validation_error", "type number"),
    ({"template": {"id": "draft"}}, "validation_error", "never published"),
    ({"template": {"id": "nothing"}}, "validation_error", "no such template"),
    ({"html": "x"}, "validation_error", "together with"),
    ({"text": "x"}, "validation_error", "together with"),
    ({"template": {"id": "welcome", "variables": {"NAME": "x" * 300_000}}}, "validation_error", "bytes together"),
    ({"from": "x@evil.example"}, "invalid_from_address", "evil.example"),
    ({"template": None}, "missing_required_field", "`from`"),
]


async def test_what_a_mail_lacks_is_named(client: httpx.AsyncClient) -> None:
    await made(client)
    await made(client, alias="draft", publish=False)

    for changes, name, said in LACKING:
        single = await client.post("/emails", json=mail(**changes))
        assert (single.json()["name"], said in single.json()["message"]) == (name, True), single.text
        batch = await client.post("/emails/batch", json=[mail(), mail(**changes)])
        assert batch.json()["message"] == f"Email [1]: {single.json()['message']}"
    permissive = await client.post(
        "/emails/batch", json=[mail(), mail(html="x")], headers={"x-batch-validation": "permissive"}
    )
    assert len(permissive.json()["data"]) == 1
    assert [one["index"] for one in permissive.json()["errors"]] == [1]


async def test_no_variable_writes_a_header(client: httpx.AsyncClient) -> None:
    await made(client)
    evil = {"id": "welcome", "variables": {"NAME": "x\r\nBcc: victim@two.example\r\n\r\nbody"}}

    sent = await client.post("/emails", json=mail(template=evil))

    got = (await client.get(f"/emails/{sent.json()['id']}")).json()
    assert got["subject"] == "Hi x Bcc: victim@two.example body"


async def test_templates_are_their_applications_own(client: httpx.AsyncClient, account: Account) -> None:
    template = await made(client)
    headers = {"authorization": f"Bearer {account.stranger}"}

    for method, path in (("GET", ""), ("PATCH", ""), ("DELETE", ""), ("POST", "/publish"), ("POST", "/preview"),
        ("POST", "/test")):  # fmt: skip
        answer = await client.request(method, f"/templates/{template}{path}", headers=headers, json={})
        assert answer.status_code == 404
    sent = await client.post("/emails", json=mail(), headers=headers)
    assert "no such template" in sent.json()["message"]


async def test_a_preview_shows_the_mail_and_what_to_mend(client: httpx.AsyncClient) -> None:
    await made(client, html='<img src="x.png"><a href="">{{ first_name | default("there") }}</a>{{{NAME}}}', languages={
        "de": {"html": "<p>Hallo {{{NAME}}}</p>", "subject": "Hallo"}
    })  # fmt: skip
    contact = {"email": "ann@one.example", "first_name": "Ann", "language": "de-AT"}
    assert (await client.post("/contacts", json=contact)).status_code == 201

    shown = (await client.post("/templates/welcome/preview", json={"variables": {"NAME": "x"}})).json()
    assert (shown["subject"], shown["html"]) == ("Hi x", '<img src="x.png"><a href="">there</a>x')
    found = {one["check"]: one["severity"] for one in shown["remarks"]}
    assert found == {
        "unsubscribe": "error", "unsubscribe_text": "warning", "alt": "warning", "images": "error", "links": "error",
    }  # fmt: skip
    wanted = {"contact": "ann@one.example", "variables": {"NAME": "x"}}
    assert (await client.post("/templates/welcome/preview", json=wanted)).json()["html"] == "<p>Hallo x</p>"
    in_default = (await client.post("/templates/welcome/preview", json=wanted | {"language": "en"})).json()
    assert in_default["html"] == '<img src="x.png"><a href="">Ann</a>x'
    lacking = await client.post("/templates/welcome/preview", json={})
    assert "`template.variables.NAME`" in lacking.json()["message"]


def test_the_python_sdk_makes_and_sends_a_template(
    server: Server, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resend, "api_url", server.url)
    monkeypatch.setattr(resend, "api_key", account.full)

    created = resend.Templates.create(WELCOME)  # type: ignore[arg-type]
    resend.Templates.publish("welcome")
    got = resend.Templates.get(created["id"])
    assert (got["status"], got["alias"], got["variables"][0]["key"]) == ("published", "welcome", "NAME")
    sent = resend.Emails.send({"to": "ann@one.example", "template": {"id": "welcome", "variables": {"NAME": "Ann"}}})  # type: ignore[typeddict-item]
    assert resend.Emails.get(sent["id"])["subject"] == "Hi Ann"
    resend.Templates.update({"id": created["id"], "name": "Other"})
    copy = resend.Templates.duplicate(created["id"])
    assert [one["name"] for one in resend.Templates.list()["data"]] == ["Other (copy)", "Other"]
    assert resend.Templates.remove(copy["id"])["deleted"] is True


async def test_a_broadcast_takes_the_words_of_a_template(client: httpx.AsyncClient) -> None:
    evil = 'three } %} {{ "quotes" }}'
    variables = [{"key": "NAME", "fallback_value": evil}, {"key": "VIP", "type": "boolean", "fallback_value": False}]
    html = "<p>{{{NAME}}} {{{contact.city|x}}}{% if VIP %}!{% endif %}</p>"
    template = await made(client, html=html, variables=variables)
    broadcast = {"from": "Acme <hello@acme.example>", "template": "welcome"}
    sent = await client.post("/broadcasts", json=broadcast)
    assert sent.status_code == 201, sent.text

    got = (await client.get(f"/broadcasts/{sent.json()['id']}")).json()
    assert got["template_id"] == template
    html, subject = compile_text(got["html"], html=True), compile_line(got["subject"])
    assert html.render({"contact": {}}) == f"<p>{escape(evil)} x</p>"
    assert html.render({"contact": {}, "NAME": "Ann", "VIP": True}) == "<p>Ann x!</p>"
    assert subject.render({"NAME": None}) == f"Hi {evil}"
    await client.patch(f"/broadcasts/{sent.json()['id']}", json={"subject": "Mine"})
    same = (await client.get(f"/broadcasts/{sent.json()['id']}")).json()
    assert (same["html"], same["template_id"]) == (got["html"], template)
    await client.patch(f"/broadcasts/{sent.json()['id']}", json={"html": "<p>Mine</p>"})
    assert (await client.get(f"/broadcasts/{sent.json()['id']}")).json()["template_id"] is None
    for wrong in ({"template": "none"}, {"html": "x"}):
        refused = await client.post("/broadcasts", json=broadcast | wrong)
        assert (refused.status_code, "`template`" in refused.json()["message"]) == (422, True)


async def test_a_broadcast_has_the_sender_of_its_template_unless_it_says_one(client: httpx.AsyncClient) -> None:
    await made(client)
    await made(client, alias="nameless", **{"from": ""})
    await made(client, alias="personal", **{"from": "{{{NAME}}} <hello@acme.example>"})
    for said, sender in (({}, WELCOME["from"]), ({"from": "bob@acme.example"}, "bob@acme.example")):
        sent = await client.post("/broadcasts", json={"template": "welcome", **said})
        assert sent.status_code == 201, sent.text
        assert (await client.get(f"/broadcasts/{sent.json()['id']}")).json()["from"] == sender
    for body in ({"template": "nameless"}, {"template": "personal"}, {"html": "<p>Hi</p>", "subject": "Hi"}):
        refused = await client.post("/broadcasts", json=body)
        assert (refused.status_code, refused.json()["message"]) == (422, "Missing `from` field.")


async def test_a_draft_is_undone_and_a_version_brought_back(client: httpx.AsyncClient) -> None:
    template = await made(client)
    at = f"/templates/{template}"
    seen = (await client.get(at)).json()["revision"]
    assert (await client.patch(at, json={"html": "second", "revision": seen})).status_code == 200
    late = await client.patch(at, json={"html": "third", "revision": seen})
    assert late.status_code == 409

    assert (await client.post(f"{at}/undo")).json() == {"object": "template", "id": template}
    assert (await client.get(at)).json()["html"] == WELCOME["html"]
    assert (await client.post(f"{at}/undo")).status_code == 409
    assert (await client.post(f"{at}/redo")).status_code == 200
    assert (await client.get(at)).json()["html"] == "second"
    versions = (await client.get(f"{at}/versions")).json()
    assert [(one["number"], one["published_at"] is None) for one in versions["data"]] == [(2, True), (1, False)]
    assert (await client.post(f"{at}/versions/1/restore")).status_code == 200
    assert (await client.get(at)).json()["html"] == WELCOME["html"]
    assert (await client.post(f"{at}/versions/7/restore")).status_code == 404


async def test_nobody_publishes_undoes_or_restores_what_somebody_else_changed_since(client: httpx.AsyncClient) -> None:
    at = f"/templates/{await made(client)}"
    seen = (await client.get(at)).json()["revision"]
    await client.patch(at, json={"html": "second"})
    now = (await client.get(at)).json()["revision"]

    assert now > seen
    for step in ("publish", "undo", "redo", "versions/1/restore"):
        late = await client.post(f"{at}/{step}", json={"revision": seen})
        assert (late.status_code, late.json()["name"]) == (409, "conflict"), step
        assert "changed elsewhere" in late.json()["message"]
    assert (await client.get(at)).json()["html"] == "second"
    assert (await client.post(f"{at}/undo", json={"revision": now})).status_code == 200
    now = (await client.get(at)).json()["revision"]
    assert (await client.post(f"{at}/redo", json={"revision": now})).status_code == 200
    now = (await client.get(at)).json()["revision"]
    assert (await client.post(f"{at}/publish", json={"revision": now})).status_code == 200
    assert (await client.get(at)).json()["has_unpublished_versions"] is False
    assert (await client.post(f"{at}/publish", json={"revision": -1})).status_code == 422


async def test_a_test_is_sent_of_the_draft(client: httpx.AsyncClient) -> None:
    template = await made(client, publish=False)
    contact = {"email": "ann@one.example", "first_name": "Ann"}
    assert (await client.post("/contacts", json=contact)).status_code == 201
    body = {"to": "me@one.example", "contact": "ann@one.example", "variables": {"NAME": "Ann"}}

    sent = (await client.post("/templates/welcome/test", json=body)).json()

    assert (sent["object"], sent["id"], len(sent["emails"])) == ("template", template, 1)
    mail_of_it = (await client.get(f"/emails/{sent['emails'][0]}")).json()
    assert (mail_of_it["subject"], mail_of_it["to"]) == ("[Test] Hi Ann", ["me@one.example"])
    assert mail_of_it["html"] == "<p>Hello Ann, you have 3 points.</p>"
    for wrong, said in (
        ({}, "seed accounts"), ({"seeds": True}, "no active seed account"), ({"to": ["x"]}, "no address"),
        ({"to": ["me@one.example"]}, "NAME"), (body | {"contact": "no@one.example"}, "Contact not found"),
        (body | {"from": "x@elsewhere.example"}, "no verified domain"),
    ):  # fmt: skip
        refused = await client.post("/templates/welcome/test", json=wrong)
        assert refused.status_code in (404, 409, 422)
        assert said in refused.json()["message"]
