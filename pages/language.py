"""The languages of the pages: one catalogue a language in `pages/languages`, and which one a reader gets.

A catalogue is a TOML file with the same keys as every other (a test holds that). Texts hold `{names}` that are filled
in; what is filled in is escaped with the rest when the page is rendered. A new language is a new file.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from fastapi import Request

_FOLDER: Final = Path(__file__).parent / "languages"
FALLBACK: Final = "en"
_MOST_WANTED: Final = 20
"""Languages of one `Accept-Language` that are looked at."""


@dataclass(frozen=True, slots=True)
class Catalogue:
    """All texts in one language."""

    code: str
    """As in `lang`: `de`."""
    name: str
    """As its speakers call it."""
    texts: Mapping[str, str]
    months: tuple[str, ...]

    def __call__(self, key: str, **values: object) -> str:
        """A text with its names filled in."""
        return self.texts[key].format(**values)

    def day(self, moment: datetime) -> str:
        """The date as people write it."""
        return self("date", day=moment.day, month=self.months[moment.month - 1], year=moment.year)


def _read(file: Path) -> Catalogue:
    with file.open("rb") as opened:
        found = tomllib.load(opened)
    return Catalogue(file.stem, found["name"], found["texts"], tuple(found["months"]))


CATALOGUES: Final[Mapping[str, Catalogue]] = {
    file.stem: _read(file) for file in sorted(_FOLDER.glob("*.toml"), key=lambda file: (file.stem != FALLBACK, file))
}
"""By code, the fallback first."""


def catalogue(request: Request, asked: str = "") -> Catalogue:
    """The language asked for by the switch on the page, else the best of `Accept-Language`, else English."""
    asked = asked or request.query_params.get("lang", "")
    if asked in CATALOGUES:
        return CATALOGUES[asked]
    return CATALOGUES[preferred(request.headers.get("accept-language", ""))]


def preferred(header: str) -> str:
    """The code that fits an `Accept-Language` best: `de-AT` is content with `de`."""
    codes = (tag.partition("-")[0].lower() for tag in wanted_languages(header))
    return next((code for code in codes if code in CATALOGUES), FALLBACK)


def wanted_languages(header: str) -> list[str]:
    """The tags of an `Accept-Language`, the one that is wanted most first (RFC 9110 section 12.5.4)."""
    wanted = []
    for place, part in enumerate(header.split(",")[:_MOST_WANTED]):
        tag, _, weight = part.strip().partition(";")
        if (quality := _quality(weight)) > 0:
            wanted.append((-quality, place, tag.strip()))
    return [tag for _, _, tag in sorted(wanted)]


def _quality(text: str) -> float:
    name, _, value = text.strip().partition("=")
    if name.strip().lower() != "q":
        return 1.0
    try:
        return min(1.0, float(value))
    except ValueError:
        return 0.0
