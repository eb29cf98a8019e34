"""`postlane providers`: the mailbox providers we know, and how their replies are read.

Thin: `mta/providers` and `mta/replies` know. Needs no server and no database, so it also answers on a laptop with a
copy of the operator's files. `classify` is a filter for programs and always writes JSON lines.
"""

import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Final

import orjson
import typer
from rich.console import Console
from rich.text import Text

from cli import context
from cli.output import CliError, Column, JsonOption, emit, print_json, say, visible, wants_json
from core.settings import Settings
from mta import verdict_words
from mta.from_settings import known_providers, rules_in_force
from mta.model import Phase, Response
from mta.providers import OTHER, Providers, site_named
from mta.reply_parser import written
from mta.rule_book import RuleBook
from mta.rules import CLASSES
from mta.rules.measuring import Figures, measure, read_corpus
from mta.rules.reading import Rule
from web.faces.providers import provider_face, verdict_face

app = typer.Typer(help="Mailbox providers, and what their replies mean.", no_args_is_help=True)

CORPUS: Final = context.CHECKOUT / "tests" / "unit" / "mta" / "replies_corpus"
"""The labelled replies of a checkout. An installed package has none: name a file then."""

_ENHANCED: Final = re.compile(r"([245]\.\d{1,3}\.\d{1,3})(?:\s+|$)")
_REMEMBERED: Final = 20_000

ProviderOption = Annotated[str, typer.Option("--provider", metavar="NAME", help="Whose reply it is: `list` has names.")]


_HEADINGS = {
    "messages_per_connection": "mails/conn.",
    "messages_per_second": "mails/s",
    "messages_per_hour": "mails/h",
    "provider_wide": "servers count",
}
"""What fits above a column of figures."""


def _limit(value: object) -> str:
    """A limit as a person reads it; 0 is none."""
    if isinstance(value, bool):
        return "together" if value else "each"
    if isinstance(value, int | float):
        return f"{value:g}" if value else "-"
    return str(value)


@app.command("list")
def list_(as_json: JsonOption = False) -> None:
    """Show the providers, the mail servers they are known by, and their limits for one IP."""
    known = known_providers(context.complete(context.read()))
    faces = [provider_face(known, name) for name in (*sorted(known.names), OTHER)]
    limits = [Column(key, _HEADINGS.get(key, key), show=_limit) for key in asdict(known.limits(OTHER))]
    columns = (Column("name", style="bold"), Column("mx_suffixes", wrap=True, drop=2), *limits)
    emit(faces, cells=lambda face: face | face["limits"], as_json=as_json, columns=columns)


@app.command("rules")
def rules(
    provider: Annotated[str, typer.Option("--provider", metavar="NAME", help="Only those for this provider.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Show the reply rules in the order they are asked."""
    book, known = _book()
    if provider:
        site_named(known, provider)
    own = [rule for rule in book.table.rules if provider in rule.providers]
    asked = [*own, *(rule for rule in book.table.rules if not rule.providers)] if provider else book.table.rules
    columns = (
        Column("id", style="bold"),
        Column("provider", wrap=True, drop=3),
        Column("reply", wrap=True),
        Column("action"),
        Column("class"),
        Column("scope", drop=4),
        Column("suppress", drop=2),
        Column("wait_seconds", "wait", justify="right", drop=4),
        Column("text", style="dim", wrap=True, drop=5),
    )
    emit([_rule(rule) for rule in asked], as_json=as_json, columns=columns)


@app.command("explain")
def explain(
    reply: Annotated[str, typer.Argument(metavar="REPLY", help='As it stands in a log: "550 5.1.1 User unknown".')],
    provider: ProviderOption = OTHER,
    phase: Annotated[Phase, typer.Option(help="What it answers.")] = Phase.RCPT,
    as_json: JsonOption = False,
) -> None:
    """Say which rule decides a reply, and what happens to the message, the address and the IP."""
    book, known = _book()
    provider = site_named(known, provider)
    response = written(reply, phase)
    if response is None:
        raise CliError("no_code", "A reply begins with its code.", 'Such as "421 4.7.0 Try again later".')
    verdict = book.classify(response, provider)
    rule = book.deciding_rule(response, provider)
    answer = verdict_face(provider, response, verdict) | {
        "file": rule.file if rule else "",
        "source": rule.source if rule else "",
        "meaning": CLASSES[verdict.klass],
        "message": verdict_words.message(verdict),
        "address": verdict_words.address(verdict),
        "ip": verdict_words.ip(verdict, provider),
    }
    columns = (
        Column("rule", style="bold"),
        *(Column(key) for key in ("file", "class", "meaning", "message", "address")),
        Column("ip", "IP"),
    )
    emit(answer, as_json=as_json, columns=columns)


@app.command("classify")
def classify() -> int:
    """Read replies as JSON lines on standard input, and write what each one means, line by line.

    In: `{"provider": "gmail", "code": 550, "text": "5.1.1 No such user"}`, with `phase` (rcpt) and `enhanced` if known.
    Out: `{"action", "class", "scope", "suppress", "rule"}`, or `{"error"}` for a line that cannot be read; the exit
    status is then 1.
    """
    book, _ = _book()
    table = book.table

    @lru_cache(maxsize=_REMEMBERED)
    def answer(provider: str, phase: str, code: int, enhanced: str, text: str) -> bytes:
        verdict = table.classify(Response(Phase(phase), code, enhanced, text), provider)
        return orjson.dumps(
            {
                "action": verdict.action,
                "class": verdict.klass,
                "scope": verdict.scope,
                "suppress": verdict.suppress,
                "rule": verdict.rule,
            },
            option=orjson.OPT_APPEND_NEWLINE,
        )

    wrong = 0
    write = sys.stdout.buffer.write
    for line in sys.stdin.buffer:
        try:
            write(answer(*_fields(line)))
        except ValueError as error:
            wrong += 1
            write(orjson.dumps({"error": str(error)}, option=orjson.OPT_APPEND_NEWLINE))
    sys.stdout.buffer.flush()
    return 1 if wrong else 0


@app.command("check")
def check(
    corpus: Annotated[
        list[Path] | None, typer.Argument(metavar="[CORPUS]...", help="Labelled replies: JSON lines, or folders.")
    ] = None,
    show_wrong: Annotated[bool, typer.Option("--wrong", help="Also list what was read wrongly.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Check the rules, your own file included, and measure them: precision and recall by class and for suppressing.

    Ends with an error that names file, rule and field when a rule is wrong. A corpus is measured file by file.
    """
    book, _ = _book()
    files = _corpus_files(corpus or ([CORPUS] if CORPUS.is_dir() else []))
    figures = {file: measure(book, read_corpus(file)) for file in files}
    if wants_json(as_json):
        print_json(
            {"rules": len(book.table.rules), "corpora": [_figures(*item, show_wrong) for item in figures.items()]}
        )
        return
    say(f"{len(book.table.rules)} rules, all right.", "green")
    if not files:
        say("No corpus here to measure them by: name a file of labelled replies.", "dim")
    for file, found in figures.items():
        _show(file, found, show_wrong)


def _book() -> tuple[RuleBook, Providers]:
    """The rules in force and the providers, by the settings. Raises ConfigurationError for a wrong file."""
    settings: Settings = context.complete(context.read())
    return rules_in_force(settings), known_providers(settings)


def _rule(rule: Rule) -> dict[str, object]:
    codes = [f"{code}xx" if code < 10 else str(code) for code in rule.codes]
    enhanced = [rule.enhanced.pattern.replace("\\d{1,3}", "*").replace("\\", "")] if rule.enhanced else []
    return {
        "id": rule.id,
        "file": Path(rule.file).name,
        "provider": rule.providers,
        "phase": rule.phases,
        "reply": [*codes, *enhanced, *rule.troubles],
        "text": rule.text.pattern if rule.text else "",
        "action": rule.verdict.action,
        "class": rule.verdict.klass,
        "scope": rule.verdict.scope,
        "suppress": rule.verdict.suppress,
        "wait_seconds": rule.verdict.wait.total_seconds() if rule.verdict.wait is not None else None,
        "source": rule.source,
    }


def _fields(line: bytes) -> tuple[str, str, int, str, str]:
    """Provider, phase, code, enhanced code and text of a line of `classify`. ValueError says what is wrong."""
    raw = orjson.loads(line)
    if not isinstance(raw, dict):
        raise ValueError('a line is an object such as {"provider": "gmail", "code": 550, "text": "..."}')
    provider, phase, text = raw.get("provider", OTHER), raw.get("phase", "rcpt"), raw.get("text", "")
    code, enhanced = raw.get("code", 0), raw.get("enhanced") or ""
    if not (isinstance(provider, str) and isinstance(text, str) and isinstance(enhanced, str)):
        raise ValueError("`provider`, `text` and `enhanced` are texts")
    if isinstance(code, str) and code.isascii() and code.isdigit():
        code = int(code)
    if not isinstance(code, int) or isinstance(code, bool) or not (200 <= code < 600 or (code == 0 and enhanced)):
        raise ValueError("`code` is the SMTP code, 200 to 599")
    if not isinstance(phase, str) or phase not in _PHASES:
        raise ValueError(f"`phase` is one of {', '.join(Phase)}")
    if not enhanced and text[:1] in ("2", "4", "5") and (found := _ENHANCED.match(text)) is not None:
        enhanced, text = found[1], text[found.end() :]
    return provider, phase, code, enhanced, text


_PHASES: Final = frozenset(Phase)


def _corpus_files(given: Iterable[Path]) -> list[Path]:
    files: list[Path] = []
    for path in given:
        found = sorted(path.glob("*.jsonl")) if path.is_dir() else [path]
        if not found:
            raise CliError("no_corpus", f"{path}: no .jsonl file in this folder.")
        files += found
    return files


def _figures(file: Path, found: Figures, show_wrong: bool) -> dict[str, object]:
    answer: dict[str, object] = {
        "file": str(file),
        "samples": found.samples,
        "class_accuracy": found.accuracy,
        "action_accuracy": found.right_action / found.samples if found.samples else 1.0,
        "scope_accuracy": found.right_scope / found.samples if found.samples else 1.0,
        "suppress": {"precision": found.suppress.precision, "recall": found.suppress.recall} | asdict(found.suppress),
        "classes": _classes(found),
        "rules_reached": len(found.rules),
    }
    return answer | ({"wrong": _wrong(found)} if show_wrong else {})


def _classes(found: Figures) -> list[dict[str, object]]:
    return [
        {"class": name, "samples": share.wanted, "precision": share.precision, "recall": share.recall}
        for name, share in found.classes.items()
    ]


def _wrong(found: Figures) -> list[dict[str, object]]:
    return [
        {
            "provider": sample.provider,
            "reply": " ".join(
                filter(None, (str(sample.response.code), sample.response.enhanced, sample.response.text))
            ),
            "should_be": f"{sample.klass}{', suppress' if sample.suppress else ''}",
            "read_as": f"{verdict.klass}{', suppress' if verdict.suppress else ''}",
            "rule": verdict.rule,
        }
        for sample, verdict in found.wrong
    ]


def _show(file: Path, found: Figures, show_wrong: bool) -> None:
    columns: Sequence[Column] = (
        Column("class", style="bold"),
        Column("samples", justify="right"),
        Column("precision", justify="right", show=_percent),
        Column("recall", justify="right", show=_percent),
    )
    console = Console()
    console.print(Text(visible(f"\n{file}: {found.samples} replies"), style="bold"))
    total = {"class": "all classes", "samples": found.samples, "precision": found.accuracy, "recall": found.accuracy}
    suppress = {
        "class": "suppress the address",
        "samples": found.suppress.wanted,
        "precision": found.suppress.precision,
        "recall": found.suppress.recall,
    }
    emit([*_classes(found), total, suppress], columns=columns)
    if show_wrong and found.wrong:
        console.print()
        emit(_wrong(found))


def _percent(share: float) -> str:
    return f"{share:.1%}"
