"""`postlane templates` and `postlane images`."""

import json
from pathlib import Path

from tests.integration.cli.commands import Postlane
from tests.unit.templates.test_pictures import PNG

MJML = """<mjml><mj-body><mj-section><mj-column>
<mj-text>Hello {{{NAME|there}}}, {{ COUNT }} points</mj-text>
</mj-column></mj-section></mj-body></mjml>"""


def test_templates_and_images_from_first_to_last(postlane: Postlane, tmp_path: Path) -> None:
    postlane("keys", "create", "web", "--application", "shop")
    (tmp_path / "hello.mjml").write_text(MJML)
    (tmp_path / "hallo.json").write_text(json.dumps({"blocks": [{"type": "text", "text": "Hallo {{{NAME|du}}}"}]}))
    (tmp_path / "broken.html").write_text("a\n{{ b | no }}")
    facts = ("--alias", "hello", "--subject", "Hi {{{NAME}}}", "-v", "NAME=Ann", "-v", "COUNT:number=3")
    made = postlane("templates", "create", "Hello", str(tmp_path / "hello.mjml"), *facts).out
    assert (made["name"], made["status"], made["kind"], made["uses"]) == ("Hello", "draft", "mjml", ["COUNT", "NAME"])

    changed = postlane("templates", "update", "Hello", "--language", "de", "--file", str(tmp_path / "hallo.json"))
    assert changed.out["languages"]["de"]["kind"] == "blocks"
    refused = postlane("templates", "update", "hello", "--file", str(tmp_path / "broken.html"))
    assert refused.code == "invalid"
    assert "line 2: there is no filter `no`" in refused.said
    assert postlane("templates", "create", "x", str(tmp_path / "none.html")).code == "unreadable"
    assert postlane("templates", "create", "x", str(tmp_path)).code == "unknown_kind"

    for step in (
        ["publish", "hello"],
        ["undo", "hello"],
        ["restore", "hello", "1"],
        ["update", "hello", "--name", "x"],
    ):
        late = postlane("templates", *step, "--revision", str(made["revision"]))
        assert (late.code, "changed elsewhere" in late.said) == ("changed_meanwhile", True), step
    assert postlane("templates", "publish", "hello", "--revision", str(changed.out["revision"])).out["id"] == made["id"]
    shown = postlane("templates", "preview", "hello", "-v", "NAME=Bob", "-v", "COUNT=5").out
    assert (shown["subject"], shown["text"]) == ("Hi Bob", "Hello Bob, 5 points\n")
    assert "unsubscribe" in [one["check"] for one in shown["remarks"]]
    assert postlane("templates", "preview", "hello", "--language", "de-AT").out["text"] == "Hallo Ann\n"
    assert postlane("templates", "test", "hello").code == "invalid"
    assert postlane("templates", "test", "hello", "--seeds", "--from", "a@shop.example").code == "conflict"
    missing = postlane("templates", "test", "hello", "me@one.example")
    assert "the template names no sender" in missing.said
    assert postlane("templates", "show", made["id"][:13]).out["status"] == "published"
    copy = postlane("templates", "duplicate", "hello").out
    assert [one["name"] for one in postlane("templates", "list").out] == ["Hello (copy)", "Hello"]
    assert postlane("templates", "delete", copy["id"]).code == "needs_yes"
    assert postlane("templates", "delete", copy["id"], "--yes").out["deleted"] is True

    (tmp_path / "logo.png").write_bytes(PNG)
    (stored,) = postlane("images", "add", str(tmp_path / "logo.png")).out
    assert (stored["name"], stored["type"], stored["width"]) == ("logo.png", "image/png", 1)
    assert [one["id"] for one in postlane("images", "list").out] == [stored["id"]]
    assert postlane("images", "add", str(tmp_path / "hello.mjml")).code == "invalid"
    assert postlane("images", "delete", "logo.png", "--yes").out["deleted"] is True
    assert postlane("images", "list").out == []
