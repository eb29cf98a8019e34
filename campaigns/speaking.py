"""The words of a campaign as they are sent: for each variant and language, with tags in the links. Pure.

A language says again what is in words: subject, preview text, HTML and text; what it leaves out, or says as "", is as
in the main one, but for the bodies and the preview text, which come from one language together. `""` is the main
language, for everybody whose own is not there.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import orjson

from audience.contact_fields import language_tag
from campaigns import contents, utm
from campaigns.model import Campaign, Draft
from campaigns.words import Words
from core.refusal import Refused, invalid
from templates.model import language_for
from templates.placeholders import UnclosedError
from templates.plain import text_of_html
from templates.render import RenderError, compile_text

FIELDS: Final = ("subject", "preview_text", "html", "text")
MOST_LANGUAGES: Final = 50
ARCHIVE_URL: Final = "archive_url"
"""The variable that holds the address of the page on the web."""


def languages_from_json(given: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """What was given, or stored. Raises Refused naming the field."""
    if len(given) > MOST_LANGUAGES:
        raise invalid("languages", f"there are at most {MOST_LANGUAGES}")
    for tag, said in given.items():
        good = isinstance(said, Mapping) and set(said) <= set(FIELDS)
        if not good or not all(isinstance(text, str) for text in said.values()) or not any(said.values()):
            raise invalid(f"languages.{tag}"[:80], f"each says {', '.join(FIELDS)}, or some of them")
    return {language_tag(tag, "languages"): _without_blanks(said) for tag, said in given.items()}


def _without_blanks(said: Mapping[str, str]) -> dict[str, str]:
    """What is "" is left out; but a text beside HTML: there it wants none, as in the broadcast itself."""
    return {name: text for name, text in said.items() if text or (name == "text" and said.get("html"))}


def spoken(own: Words, languages: Mapping[str, Mapping[str, str]]) -> dict[str, Words]:
    """By language, each with its text part."""
    every = {"": own} | {tag: _translated(own, said) for tag, said in languages.items()}
    return {tag: _with_text(words) for tag, words in every.items()}


def _with_text(words: Words) -> Words:
    """A text that is not given is made from the HTML; `""` wants none, as in Resend's API."""
    if words.text is not None or not words.html:
        return replace(words, text=words.text or None)
    try:
        return replace(words, text=text_of_html(words.html))
    except UnclosedError:  # for `contents.check_syntax` to say
        return words


def _translated(own: Words, said: Mapping[str, str]) -> Words:
    said = _without_blanks(said)
    whole = {"preview_text": "", "html": None, "text": None} if said.get("html") or said.get("text") else {}
    return replace(own, **{**whole, **said})  # type: ignore[arg-type]  # the names are those of its fields


def variants(draft: Draft | Campaign) -> list[dict[str, Words]]:
    """Of each variant by language, without tags in the links."""
    return [spoken(words, draft.languages) for words in draft.experiment.words(draft.words)]


def sent(known: Campaign) -> list[dict[str, Words]]:
    """The same as they leave."""
    arms = known.experiment.arms
    return [
        {tag: _ready(words, known, known.utm.of_variant(number, arms)) for tag, words in languages.items()}
        for number, languages in enumerate(variants(known))
    ]


def sent_to(known: Campaign, variant: int, wanted: str | None) -> tuple[str, Words]:
    """What one person gets of it, and in which language."""
    language = language_for(dict.fromkeys(("", *known.languages)), wanted)
    words = spoken(known.experiment.words(known.words)[variant], known.languages)[language]
    return language, _ready(words, known, known.utm.of_variant(variant, known.experiment.arms))


def _ready(words: Words, known: Campaign, tags: utm.Utm) -> Words:
    tagged = utm.tagged(words, tags)
    url = known.archive.url(known.id)
    if not url:
        return tagged
    return replace(tagged, html=_naming(url, tagged.html), text=_naming(url, tagged.text))


def _naming(url: str, source: str | None) -> str | None:
    """The template with `archive_url` in it: the same for everybody, so nobody has to fill it in."""
    if source is None or ARCHIVE_URL not in source:
        return source
    return f"{{% set {ARCHIVE_URL} = {orjson.dumps(url).decode()} %}}{source}"


def check(draft: Draft) -> None:
    """Raises Refused naming the field that cannot be."""
    for words in draft.experiment.words(draft.words):
        contents.check_syntax(words)
    for tag, said in draft.languages.items():
        contents.check_syntax(_translated(draft.words, said), f"languages.{tag}.")
    if draft.languages and any(set(one) - {"from"} for one in draft.experiment.variants):
        raise invalid(
            "experiment.variants",
            "with `languages` variants differ in `from` alone: nothing else is said in all of them",
        )


def every(known: Campaign) -> dict[str, Words]:
    """All that is sent, by what it is called: `0`, `1 (de)`."""
    return {
        f"{number} ({tag})" if tag else str(number): words
        for number, languages in enumerate(sent(known))
        for tag, words in languages.items()
    }


def check_whole(known: Campaign) -> None:
    """Raises Refused naming what a mail cannot do without."""
    for obstacle in obstacles(known):
        raise obstacle


def obstacles(known: Campaign) -> list[Refused]:
    """What a mail cannot do without, in each variant and language."""
    found = []
    for languages in variants(known):
        for tag, words in languages.items():
            try:
                contents.check_whole(words, f"languages.{tag}." if tag else "")
                if not known.archive.is_on:
                    _refuse_unknown_archive(words)
            except Refused as error:
                found.append(error)
    return found


def _refuse_unknown_archive(words: Words) -> None:
    if not any(ARCHIVE_URL in (text or "") for text in (words.html, words.text)):
        return
    for text, html in ((words.html, True), (words.text, False)):
        try:
            asked = compile_text(text or "", html=html).variables
        except RenderError:
            continue  # said elsewhere
        if ARCHIVE_URL in asked:
            raise invalid("archive", "the content has {{ archive_url }}, and the page on the web is off", "archive_off")
