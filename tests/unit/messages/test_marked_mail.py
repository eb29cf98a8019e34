"""Every mail that this code makes is looked at for recipients whom nothing may leave for (`messages/capture`)."""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[3]
FOLDERS = ("api", "campaigns", "cli", "console", "messages", "outcomes", "pages", "sandbox", "web", "workers")

ELSEWHERE = {
    "messages/submission.py": ("messages/submit.py", "marked("),
    "messages/own_mail.py": ("messages/signing_up.py", "marked("),
}
"""Made here, marked there: who makes it does not know the rules."""


def _makes_mail(tree: ast.AST) -> bool:
    calls = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return any(isinstance(called, ast.Name) and called.id == "NewEmail" for called in calls)


def test_whoever_makes_mail_marks_what_may_not_leave() -> None:
    makers = []
    for file in (file for folder in FOLDERS for file in sorted((ROOT / folder).rglob("*.py"))):
        text = file.read_text(encoding="utf-8")
        if "NewEmail(" in text and _makes_mail(ast.parse(text)):
            makers.append(str(file.relative_to(ROOT)))
    assert {"api/intake.py", "campaigns/feed.py", *ELSEWHERE} <= set(makers)
    for maker in makers:
        where, word = ELSEWHERE.get(maker, (maker, "marked("))
        assert word in (ROOT / where).read_text(encoding="utf-8"), f"{maker} makes mail that no capture rule catches"
