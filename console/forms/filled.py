"""A form of the page → what it says about a sign-up form. Raises Refused naming the field. Reads no database."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final
from uuid import UUID

from audience.forms import MOST_FIELDS, NAMES, Field, FormFacts, Texts
from console.visit import Visit
from core.refusal import invalid

LANGUAGES: Final = (("en", "English"), ("de", "Deutsch"), ("fr", "Français"), ("es", "Español"))
"""Those in which the public pages have words of their own. A form may have texts in others, through the API."""
LINES: Final = {"title": 200, "frequency": 200}
_LONGEST_TEXT: Final = 2000
TEXTS: Final = {"intro": _LONGEST_TEXT, "consent": _LONGEST_TEXT}
"""Characters, as at the other doors."""
WELCOME: Final = "welcome_text"
"""Its field; `welcome` says whether there is such a mail."""
_LONGEST: Final = 100
_MOST_ORIGINS: Final = 50


@dataclass(frozen=True, slots=True)
class Choice:
    """What a page offers to choose from."""

    lists: Mapping[str, str] = field(default_factory=dict)
    topics: Mapping[str, str] = field(default_factory=dict)
    fields: Mapping[str, str] = field(default_factory=dict)
    """Key → what it is called."""


def languages_of(known: FormFacts) -> list[tuple[str, str]]:
    """Ours, and those that the form says something in, with their names."""
    others = {known.language, *known.texts} - {code for code, _ in LANGUAGES}
    return [*LANGUAGES, *((code, code) for code in sorted(others))]


def facts(visit: Visit, known: FormFacts | None, language: str, segment: str) -> FormFacts:
    """All that the form says; labels and texts of other languages stay as they are. `segment`: the id of the one that
    it names, "" for none."""
    own = _language(visit.field("language") or "en")
    before = known or FormFacts("", "")
    labels = {one.key: one.labels for one in before.fields}
    texts = {code: one for code, one in before.texts.items() if code != language}
    said = _texts(visit)
    return replace(
        before,
        name=_line(visit, "name", _LONGEST, needed=True),
        sender=_line(visit, "from", _LONGEST, needed=True),
        segment_id=_id(segment, "segment_id"),
        topics=tuple(_ids(visit.form.get("topic", ()))),
        fields=tuple(Field(key, labels.get(key, {}), key in visit.form.get("required", ())) for key in _keys(visit)),
        language=own,
        texts=texts | ({language: said} if said != Texts() else {}),
        origins=tuple(_origins(visit)),
        welcome=bool(visit.field("welcome")),
    )


def language_of(visit: Visit, known: FormFacts | None) -> str:
    """The language whose texts are written: the one that was chosen, else the form's own."""
    said = visit.field("texts_in") or visit.asked("in")
    there = dict(languages_of(known or FormFacts("", "")))
    return said if said in there else known.language if known else "en"


def called(key: str) -> str:
    """A field as it is offered."""
    return key.replace("_", " ").capitalize() if key in NAMES else key


def _texts(visit: Visit) -> Texts:
    lines = {name: _line(visit, name, most) for name, most in LINES.items()}
    texts = {name: _text(visit, name, most) for name, most in TEXTS.items()}
    welcome = _text(visit, WELCOME, _LONGEST_TEXT)
    return Texts(**lines, **texts, welcome=welcome)


def _line(visit: Visit, name: str, most: int, *, needed: bool = False) -> str:
    text = visit.field(name)
    if (needed and not text) or len(text) > most or not text.isprintable():
        raise invalid(name, f"it must have {'1 to ' if needed else 'at most '}{most} characters in one line")
    return text


def _text(visit: Visit, name: str, most: int) -> str:
    text = visit.field(name).replace("\r\n", "\n")
    if len(text) > most:
        raise invalid(name, f"it must have at most {most:,} characters")
    return text


def _keys(visit: Visit) -> list[str]:
    keys = list(dict.fromkeys(visit.form.get("field", ())))
    if len(keys) > MOST_FIELDS:
        raise invalid("fields", f"a form asks at most {MOST_FIELDS} things")
    return keys


def _origins(visit: Visit) -> list[str]:
    found = visit.field("origins").split()
    if len(found) > _MOST_ORIGINS:
        raise invalid("origins", f"at most {_MOST_ORIGINS}")
    return [one.rstrip("/") for one in found]


def _language(code: str) -> str:
    if not (len(code) == 2 and code.isascii() and code.islower()):
        raise invalid("language", "choose one of the list")
    return code


def _ids(texts: object) -> list[UUID]:
    found = [_id(str(text), "topics") for text in texts if text] if isinstance(texts, list | tuple) else []
    return [one for one in found if one is not None]


def _id(text: str, name: str) -> UUID | None:
    try:
        return UUID(text) if text else None
    except ValueError:
        raise invalid(name, "choose one of the list") from None
