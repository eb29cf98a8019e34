"""HTML that differs from other HTML only in words and in where its links lead: what is known of that holds for it too.
Pure.

Mail of one template has its own values in each HTML, and the tags of all others. Whoever compares finds the links in a
fifth of the time that reading all tags takes.

Words differ where no reader of HTML (WHATWG HTML, 13.2.5) would take anything to begin or to end by them: behind `>`
and before `<`, with no `<`, `>` or quotation mark in what differs. Then text stays text, and whatever it stands in (a
comment, a style) goes on to where it went before. An address differs within its quotation marks, and has nothing that
would end it without them. All that holds where each `>` in a tag ends it: with HTML that has a value in quotes which
goes on behind one, nothing is compared.
"""

import re
from collections.abc import Callable, Sequence
from functools import cached_property
from itertools import accumulate
from typing import Final, NamedTuple

from messages.link_tokens import Kind

Slot = tuple[Kind, bytes]
"""What a token is for, and where its link leads."""
Follow = tuple[Slot, str]
"""A link that is tracked: its slot, and what follows its token."""

_MOST: Final = 16
"""Words that differ in one text; with more of them reading it is no slower."""
_LOOKS: Final = 4
"""How often it is asked whether all that follows is the same."""
_IN_QUOTES: Final = ('="', "='")
"""What stands before an address that may differ."""
_ADDRESS: Final = re.compile(r"""[^"'<>\s]++""")
_GOING_ON: Final = re.compile(r"""=\s*+(?:"[^">]*+>|'[^'>]*+>)""")
"""Such a value, or one whose end is missing; wherever it stands."""


class Parts(NamedTuple):
    """HTML cut at the links that are tracked: a text before each of them, and one more."""

    texts: list[str]
    raws: list[str]
    """Their addresses, as they are written."""
    follows: list[Follow]
    ending: int
    """Characters at the end, from the end of the body on."""


class Changes(NamedTuple):
    """In what HTML differs from other HTML, by number."""

    texts: dict[int, str]
    follows: dict[int, Follow]
    """Links that lead elsewhere."""


class Known:
    """HTML that was read."""

    def __init__(self, html: str, parts: Parts) -> None:
        self.html = html
        self.parts = parts
        self.closing = html[len(html) - parts.ending :]

    @cached_property
    def leads(self) -> Sequence[tuple[str, str, int]] | None:
        """For each link what is the same mostly: the text before it, its address, and the character behind that. With
        it the quotation mark behind an address that may differ, else "", and where the text begins. None: nothing is
        compared with it. Made when somebody asks, since most of what ends otherwise than all others stays alone."""
        texts, raws, *_ = self.parts
        pairs = [f"{text}{raw}" for text, raw in zip(texts, raws, strict=False)]
        if _GOING_ON.search("".join((*pairs, texts[-1]))):
            return None
        marks = [
            text[-1] if text.endswith(_IN_QUOTES) and _ADDRESS.fullmatch(raw) else ""
            for text, raw in zip(texts, raws, strict=False)
        ]
        begins = accumulate(map(len, pairs), initial=0)
        return [
            (f"{pair}{behind[0]}", mark, begin)
            for pair, behind, mark, begin in zip(pairs, texts[1:], marks, begins, strict=False)
        ]


def alike(html: str, known: Known, follow: Callable[[str], Follow | None]) -> Changes | None:
    """How this HTML differs from the one that is known; None when it does in more than words and addresses, or has an
    address that is not to be tracked."""
    (texts, raws, *_), leads = known.parts, known.leads
    if leads is None or not html.endswith(known.closing):
        return None
    changes = Changes({}, {})
    at, looks, differs = 0, _LOOKS, True
    for number, (lead, mark, begin) in enumerate(leads):
        if differs and looks:  # as a rule what greets its reader is all that differs
            if len(html) - at == len(known.html) - begin and html.startswith(known.html[begin:], at):
                return changes
            differs, looks = False, looks - 1
        if html.startswith(lead, at):
            at += len(lead) - 1
            continue
        differs, text, raw = True, texts[number], raws[number]
        stop = _end_of(text, html, at)
        if stop < 0:
            return None
        if (words := html[at:stop]) != text:
            changes.texts[number] = words
        at = stop + len(raw)
        if not html.startswith(raw + lead[-1], stop):
            at = html.find(mark, stop) if mark else -1
            found = follow(html[stop:at]) if at > stop and _ADDRESS.fullmatch(html, stop, at) else None
            if found is None:
                return None
            changes.follows[number] = found
    if _end_of(texts[-1], html, at) != len(html):
        return None
    if (words := html[at:]) != texts[-1]:
        changes.texts[len(leads)] = words
    return changes


def _end_of(text: str, html: str, at: int) -> int:
    """Where what is like this text ends that begins here; -1 when nothing is."""
    done = 0
    for _ in range(_MOST):
        if html.startswith(text[done:] if done else text, at):
            return at + len(text) - done
        same = _same(text, done, html, at)
        done, at = done + same, at + same
        if text.rfind(">", 0, done) <= text.rfind("<", 0, done):
            return -1
        ends, stop = text.find("<", done), html.find("<", at)
        if ends < 0 or stop < 0 or _has_meaning(text[done:ends] + html[at:stop]):
            return -1
        done, at = ends, stop
    return -1


def _has_meaning(words: str) -> bool:
    return ">" in words or '"' in words or "'" in words


def _same(one: str, at: int, other: str, there: int) -> int:
    """How many characters are the same, from these places on."""
    least, most = 0, min(len(one) - at, len(other) - there)
    while least < most:
        middle = (least + most + 1) // 2
        if one[at + least : at + middle] == other[there + least : there + middle]:
            least = middle
        else:
            most = middle - 1
    return least
