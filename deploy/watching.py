"""Writes what follows from the alert rules and from `deploy/board.py`: the table of docs/operations.md and the board.

`python -m deploy.watching` writes both, `--check` only says whether they are up to date (exit status 1 when not); a
test does the same. Nothing at run time imports this module.
"""

import json
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import yaml

from deploy.board import board

FOLDER: Final = Path(__file__).parent
RULES: Final = FOLDER / "prometheus" / "postlane.rules.yml"
SCRAPE: Final = FOLDER / "prometheus" / "prometheus.yml"
BOARD: Final = FOLDER / "grafana" / "postlane.json"
PAGE: Final = FOLDER.parent / "docs" / "operations.md"

_COLUMNS: Final = "| Alert | Alarm when | Metric | It means |\n| --- | --- | --- | --- |"
_TABLE: Final = re.compile(rf"^{re.escape(_COLUMNS)}\n(?:\|.*\n)*", re.M)


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert rule."""

    name: str
    expression: str
    when: str
    means: str

    @property
    def compared(self) -> str:
        """The first part of its condition without the bound: what Prometheus has to know."""
        return re.split(r"\s(?:>|<|==|!=)\s", self.expression)[0].strip()

    @property
    def metric(self) -> str:
        """What it looks at: the first one that it names, as it is declared."""
        found = re.search(r"postlane_\w+", self.expression)
        return re.sub(r"_(bucket|count|sum)$", "", found[0]) if found else "up"


def alerts() -> list[Alert]:
    """All, in the order of the file."""
    groups = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    return [Alert(one["alert"], one["expr"], one["annotations"]["when"], one["annotations"]["means"]) for one in rules]


def table() -> str:
    """The alerts as the page has them."""
    rows = (f"| {one.name} | {one.when} | `{one.metric}` | {one.means} |" for one in alerts())
    return "\n".join([_COLUMNS, *rows]) + "\n"


def rendered() -> dict[Path, str]:
    """Each file that follows from others, as it should be. Raises LookupError when the page has no table."""
    page = PAGE.read_text(encoding="utf-8")
    if not _TABLE.search(page):
        raise LookupError(f"{PAGE.name} has no table that begins {_COLUMNS.splitlines()[0]}")
    return {
        PAGE: _TABLE.sub(lambda _: table(), page),
        BOARD: json.dumps(board(), indent=2, ensure_ascii=False) + "\n",
    }


def main(arguments: Sequence[str]) -> int:
    """Write both, or with `--check` compare them; the exit status."""
    stale = [file for file, text in rendered().items() if not file.exists() or file.read_text("utf-8") != text]
    for file in stale:
        if "--check" in arguments:
            print(f"{file.name} is not up to date: run `python -m deploy.watching`", file=sys.stderr)
        else:
            file.write_text(rendered()[file], encoding="utf-8")
            print(f"wrote {file}")
    return 1 if stale and "--check" in arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
