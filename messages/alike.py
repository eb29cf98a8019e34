"""HTML that differs from other HTML only in words and in where its links lead: what is known of that holds for it too.
Pure.

Mail of one template has its own values in each HTML, and the tags of all others. Whoever compares finds the links in a
fifth of the time that reading all tags takes; whoever knows where such HTML has differed before, in a tenth.

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
_MOST_IN_ALL: Final = 256
"""The same of the whole HTML, with addresses: to compare each takes longer than to read hundreds of characters."""
_SPOTS: Final = 64
"""Where HTML of a kind differs, as far as that is kept in mind."""
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


class _Spot(NamedTuple):
    """Where HTML of a kind differs, as places in the one that is known: words from `>` to `<`, or an address."""

    at: int
    stop: int
    number: int
    """Of the text they stand in, or of the link."""
    address: bool


class Known:
    """HTML that was read."""

    def __init__(self, html: str, parts: Parts) -> None:
        self.html = html
        self.parts = parts
        self.closing = html[len(html) - parts.ending :]
        sizes = [len(part) for pair in zip(parts.texts, parts.raws, strict=False) for part in pair]
        self.begins = list(accumulate(sizes, initial=0))[::2]
        """Of the texts."""
        self.spots: tuple[tuple[_Spot, str], ...] = ()
        """Where others have differed so far, each with all that is the same before it."""
        self._differing: frozenset[_Spot] | None = frozenset()

    @cached_property
    def leads(self) -> Sequence[tuple[str, str]] | None:
        """For each link what is the same mostly: the text before it, its address, and the character behind that. With
        it the quotation mark behind an address that may differ, else "". None: nothing is compared with it. Made when
        somebody asks, since most of what ends otherwise than all others stays alone."""
        texts, raws, *_ = self.parts
        pairs = [f"{text}{raw}" for text, raw in zip(texts, raws, strict=False)]
        if _GOING_ON.search("".join((*pairs, texts[-1]))):
            return None
        marks = [
            text[-1] if text.endswith(_IN_QUOTES) and _ADDRESS.fullmatch(raw) else ""
            for text, raw in zip(texts, raws, strict=False)
        ]
        return [(f"{pair}{behind[0]}", mark) for pair, behind, mark in zip(pairs, texts[1:], marks, strict=True)]

    def learn(self, spots: Sequence[_Spot]) -> None:
        """Others may differ here. Not kept in mind where words that are known could be taken for more."""
        if self._differing is None or self._differing.issuperset(spots):
            return
        differing = self._differing.union(spots)
        if len(differing) > _SPOTS or any(_has_meaning(self.html[one.at : one.stop]) for one in differing):
            self._differing, self.spots = None, ()
            return
        ordered = sorted(differing)
        ends = [0, *(spot.stop for spot in ordered)]
        self.spots = tuple((spot, self.html[end : spot.at]) for end, spot in zip(ends, ordered, strict=False))
        self._differing = differing


def alike(html: str, known: Known, follow: Callable[[str], Follow | None]) -> Changes | None:
    """How this HTML differs from the one that is known; None when it does in more than words and addresses, or has an
    address that is not to be tracked."""
    if known.spots and (changes := _as_before(html, known, follow)) is not None:
        return changes
    (texts, raws, *_), leads = known.parts, known.leads
    if leads is None or not html.endswith(known.closing):
        return None
    changes, spots, at = Changes({}, {}), list[_Spot](), 0
    for number, (lead, mark) in enumerate(leads):
        if html.startswith(lead, at):
            at += len(lead) - 1
            continue
        text, raw = texts[number], raws[number]
        stop = _end_of(number, html, at, known, spots)
        if stop < 0 or len(spots) > _MOST_IN_ALL:
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
            begin = known.begins[number] + len(text)
            spots.append(_Spot(begin, begin + len(raw), number, address=True))
    if _end_of(len(leads), html, at, known, spots) != len(html):
        return None
    if (words := html[at:]) != texts[-1]:
        changes.texts[len(leads)] = words
    known.learn(spots)
    return changes


def _as_before(html: str, known: Known, follow: Callable[[str], Follow | None]) -> Changes | None:
    """The same of HTML that differs where others have; None when it does elsewhere too."""
    changes, own, shifts = Changes({}, {}), known.html, dict[int, int]()
    shift = 0
    for (at, stop, number, address), before in known.spots:
        start = at + shift
        end = html.find(own[stop], start)
        if end < 0 or not html.startswith(before, start - len(before)):
            return None
        words = html[start:end]
        if not address:
            if _has_meaning(words):
                return None
            begin = known.begins[number]
            first = shifts.setdefault(number, shift)
            changes.texts[number] = html[begin + first : begin + len(known.parts.texts[number]) + end - stop]
        elif not own.startswith(words, at) or end - start != stop - at:
            found = follow(words) if _ADDRESS.fullmatch(words) else None
            if found is None:
                return None
            changes.follows[number] = found
        shift = end - stop
    is_same = len(html) - shift == len(own) and html.startswith(own[stop:], end)
    return changes if is_same else None


def _end_of(number: int, html: str, at: int, known: Known, spots: list[_Spot]) -> int:
    """Where what is like this text ends that begins here; -1 when nothing is. Adds where it differs."""
    text, begin, done = known.parts.texts[number], known.begins[number], 0
    for _ in range(_MOST):
        if html.startswith(text[done:] if done else text, at):
            return at + len(text) - done
        same = _same(text, done, html, at)
        done, at = done + same, at + same
        words = text.rfind(">", 0, done) + 1
        if words <= text.rfind("<", 0, done) or (number and not words):  # behind an address its tag goes on
            return -1
        ends, stop = text.find("<", done), html.find("<", at)
        if ends < 0 or stop < 0 or _has_meaning(text[done:ends] + html[at:stop]):
            return -1
        spots.append(_Spot(begin + words, begin + ends, number, address=False))
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
