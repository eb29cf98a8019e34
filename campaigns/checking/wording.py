"""What is said of a campaign's words: remarks of `templates/checks` on each variant, as findings. Pure.

Looked at is the mail as one person of the audience would get it, so that what a condition leaves out is left out here
too; where it cannot be made for that person, the words themselves.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from campaigns import contents
from campaigns.checking.model import Code, Finding, warns
from campaigns.words import Words
from messages.personal import EACH
from messages.unsubscribe_headers import PLACEHOLDERS
from templates.checks import remarks_on
from templates.render import Compiled, RenderError, compile_line, compile_text

_CODES: Final[Mapping[str, Code]] = {
    "unwritten": Code.UNWRITTEN,
    "unsubscribe": Code.UNSUBSCRIBE_LINK,
    "unsubscribe_text": Code.UNSUBSCRIBE_TEXT,
    "weight": Code.WEIGHT,
    "text": Code.TEXT_PART,
    "alt": Code.IMAGES_WITHOUT_ALT,
    "images": Code.IMAGE_ADDRESSES,
    "icons": Code.FOREIGN_ICONS,
    "links": Code.LINK_ADDRESSES,
}
_OF_HTML: Final = frozenset({"unsubscribe", "text"})
"""Nothing to say where there is no HTML."""


@dataclass(frozen=True, slots=True)
class Shown:
    """Words as a person would see them."""

    subject: str
    html: str
    text: str
    trouble: str = ""
    """Why they cannot be made for that person, beside a variable that is missing."""


def required(every: Iterable[Words]) -> frozenset[str]:
    """Paths of variables that some variant cannot do without; none of what is no template."""
    try:
        return frozenset().union(*(part.required for words in every for part in _parts(words)))
    except RenderError:
        return frozenset()


def shown(words: Words, known: Mapping[str, object]) -> Shown:
    """The words with somebody's values, or as they are. Raises RenderError: they are no templates."""
    subject, html, text = _parts(words)
    try:
        return Shown(subject.render(known, EACH), html.render(known, EACH), text.render(known, EACH))
    except RenderError as error:
        trouble = "" if error.variable else str(error)
        return Shown(words.subject, contents.with_preview(words) or "", words.text or "", trouble)


def remarks_for(every: Mapping[str, Words], known: Mapping[str, object]) -> list[Finding]:
    """All findings on the words as somebody with these values gets them; none of what is no template."""
    try:
        return remarks({name: shown(words, known) for name, words in every.items()})
    except RenderError:
        return []


def remarks(every: Mapping[str, Shown]) -> list[Finding]:
    """All findings, each once; of several variants and languages it is said which."""
    found: dict[Finding, list[str]] = {}
    for name, one in every.items():
        for finding in _of(one):
            found.setdefault(finding, []).append(name)
    return [_named(finding, names, len(every)) for finding, names in found.items()]


def one_click(public_url: str) -> list[Finding]:
    """Whether the headers of each mail let a program unsubscribe with one click (RFC 8058)."""
    if public_url.startswith("https://"):
        return []
    found = "the public pages have no https" if public_url else "there are no public pages"
    return [
        warns(
            Code.ONE_CLICK,
            f"Mail programs cannot unsubscribe somebody with one click: {found}.",
            "Set POSTLANE_PUBLIC_URL to an https address; Gmail and Yahoo want it of everybody who sends much.",
        )
    ]


def _parts(words: Words) -> tuple[Compiled, Compiled, Compiled]:
    html = compile_text(contents.with_preview(words) or "", html=True)
    return compile_line(words.subject), html, compile_text(words.text or "", html=False)


def _of(one: Shown) -> list[Finding]:
    found = []
    if one.trouble:
        advice = "Look at it with `postlane campaigns test`, and mend the template."
        found.append(warns(Code.CONTENT, f"It cannot be made for somebody of the audience: {one.trouble}.", advice))
    for remark in remarks_on(one.subject, one.html, one.text):
        if remark.check in _CODES and (one.html or remark.check not in _OF_HTML):
            found.append(warns(_CODES[remark.check], remark.message, _advice(remark.check, remark.advice)))
    return found


def _advice(check: str, advice: str) -> str:
    """A broadcast has the words that it was given, and no others."""
    if check == "text":
        return "Leave `text` out, and it is made from the HTML."
    if check == "unsubscribe":
        return f'Write <a href="{PLACEHOLDERS[0]}">Unsubscribe</a> where people look for it.'
    return advice


def _named(finding: Finding, names: Sequence[str], of: int) -> Finding:
    if len(names) == of:
        return finding
    return replace(finding, found=f"Variant {', '.join(names)}: {finding.found}")
