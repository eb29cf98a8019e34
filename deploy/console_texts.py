"""Writes `docs/console-texts.md`: everything the console says, in one place to read and to review.

`python -m deploy.console_texts` writes the page, `--check` only says whether it is up to date (exit status 1 when not).
The templates and modules of `console/` are the only source: each sentence stays where it is shown, and a change of one
shows in this page as well. The rules of wording that a machine can hold are `deploy/wording`. Nothing at run time
imports this module.
"""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Final

from jinja2 import Environment

from deploy import texts_of_code, texts_of_templates

ROOT: Final = Path(__file__).parent.parent
CONSOLE: Final = ROOT / "console"
PAGE: Final = ROOT / "docs" / "console-texts.md"

_HEAD = """\
# What the console says

Written by `python -m deploy.console_texts` from the templates and modules of `console/`: change a sentence there, not
here. A value stands as `{name}`, a choice as `[this|that]`. Not here: what services refuse with (`core/refusal`), which
the API and the command line say in the same words.
"""
_SHARED: Final = ("layout/macros.html", "layout/charts.html", "layout/looks.html", "layout/browsers.html")
"""Templates whose macros others call."""


@dataclass(frozen=True, slots=True)
class Said:
    """One text, and where it stands."""

    noun: str
    file: str
    kind: str
    text: str


@cache
def collect() -> tuple[Said, ...]:
    """Every text: nouns in the order of their names, in a noun its templates and then its modules."""
    environment = Environment(trim_blocks=True, lstrip_blocks=True, autoescape=True)
    macros: dict[str, tuple[str, ...]] = {}
    for name in _SHARED:
        macros |= texts_of_templates.signatures(environment, (CONSOLE / name).read_text("utf-8"))
    found = []
    for file in sorted(CONSOLE.rglob("*.html")):
        macros |= {} if file.name != "parts.html" else _own(environment, file)
    for file in sorted(CONSOLE.rglob("*.html")):
        said = texts_of_templates.texts(environment, file.read_text("utf-8"), macros)
        found += [_said(file, one.kind, one.said) for one in said]
    for file in sorted(CONSOLE.rglob("*.py")):
        found += [_said(file, "text", text) for text in texts_of_code.sentences(file.read_text("utf-8"))]
    return tuple(sorted(found, key=lambda one: (one.noun, one.file.endswith(".py"), one.file)))


def _own(environment: Environment, file: Path) -> dict[str, tuple[str, ...]]:
    return texts_of_templates.signatures(environment, file.read_text("utf-8"))


def _said(file: Path, kind: str, text: str) -> Said:
    place = file.relative_to(CONSOLE)
    return Said(place.parts[0] if len(place.parts) > 1 else "", str(place), kind, " ".join(text.split()))


def render() -> str:
    """The whole page as text."""
    return "\n".join([_HEAD, *_sections(collect())])


def _sections(found: Sequence[Said]) -> Iterator[str]:
    for noun, of_noun in groupby(found, lambda one: one.noun):
        yield f"## {noun or 'The console as a whole'}\n"
        for file, of_file in groupby(of_noun, lambda one: one.file):
            yield f"`{file}`\n"
            yield "| | |\n| --- | --- |"
            for kind, text in dict.fromkeys((one.kind, one.text) for one in of_file):
                yield f"| {'' if kind == 'text' else kind} | {_cell(text)} |"
            yield ""


def _cell(text: str) -> str:
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*")


def main(arguments: Sequence[str]) -> int:
    """Write the page, or with `--check` compare it; the exit status."""
    text = render()
    if "--check" in arguments:
        fresh = PAGE.exists() and PAGE.read_text("utf-8") == text
        if not fresh:
            print(f"{PAGE.name} is not up to date: run `python -m deploy.console_texts`", file=sys.stderr)
        return 0 if fresh else 1
    PAGE.write_text(text, "utf-8")
    print(f"wrote {PAGE}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
