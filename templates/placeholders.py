"""Takes placeholders out of a source before libraries for HTML read it, and puts them back. Pure.

What stands between `{{ }}`, `{% %}`, `{# #}` and `{{{ }}}` becomes a word such as `pq3f…z17x`: letters and digits,
which is a text, the part of an address, a colour and the name of an attribute alike, and which no library changes. In a
text the word stands in a comment, for a word between the rows of a table would be moved in front of it.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import blake2s
from html import unescape
from typing import Final

from templates.markup import TOKEN

_OPENING: Final = re.compile(r"\{\{\{|\{\{|\{%|\{#")
_CLOSING: Final = {"{{{": "}}}", "{{": "}}", "{%": "%}", "{#": "#}"}


class UnclosedError(Exception):
    """A placeholder has no end; `line` is where it begins."""

    def __init__(self, line: int, opening: str) -> None:
        super().__init__(f"`{opening}` is not closed")
        self.line = line


@dataclass(frozen=True, slots=True)
class Hidden:
    """A source without its placeholders."""

    text: str
    prefix: str
    originals: tuple[str, ...]
    _starts: tuple[int, ...] = field(repr=False)
    _lines: tuple[int, ...] = field(repr=False)

    def line(self, at: int) -> int:
        """Line of the source at a position of the text."""
        index = bisect_right(self._starts, at) - 1
        before, line = (self._starts[index], self._lines[index]) if index >= 0 else (0, 1)
        return line + self.text.count("\n", before, at)

    def words(self, text: str) -> Iterator[tuple[int, str]]:
        """Number of each placeholder in a part of the text, and how it was written."""
        return ((int(found[1]), self.originals[int(found[1])]) for found in self._word.finditer(text))

    def word(self, number: int) -> str:
        """What stands for a placeholder."""
        return f"{self.prefix}{number}x"

    def in_html(self, html: str) -> str:
        """HTML with the words of its texts in comments."""
        parts, done = [], 0
        for tag in TOKEN.finditer(html):
            parts += [self._word.sub(r"<!--\g<0>-->", html[done : tag.start()]), tag[0]]
            done = tag.end()
        return "".join((*parts, self._word.sub(r"<!--\g<0>-->", html[done:])))

    def restored(self, text: str) -> str:
        """A text with its placeholders where their words are."""
        return self._back.sub(lambda found: self.originals[int(found[1] or found[2])], text)

    def lost(self, text: str) -> list[int]:
        """Numbers of the placeholders that are no longer in a text."""
        there = {int(found[1]) for found in self._word.finditer(text)}
        return [number for number in range(len(self.originals)) if number not in there]

    def line_of(self, number: int) -> int:
        """Line of a placeholder."""
        return self.line(self._starts[number] - 1) if self._starts[number] else 1

    @property
    def _word(self) -> re.Pattern[str]:
        return re.compile(rf"{self.prefix}(\d++)x")

    @property
    def _back(self) -> re.Pattern[str]:
        return re.compile(rf"<!--{self.prefix}(\d++)x-->|{self.prefix}(\d++)x(?:=\"\")?")


def hide(source: str) -> Hidden:
    """The source with a word for each placeholder. Raises UnclosedError."""
    prefix = f"pq{blake2s(source.encode('utf-8', 'replace'), digest_size=8).hexdigest()}z"  # nobody can write it in
    parts: list[str] = []
    originals: list[str] = []
    starts: list[int] = []
    lines: list[int] = []
    done, length, line = 0, 0, 1
    while opening := _OPENING.search(source, done):
        start = opening.start()
        end = source.find(_CLOSING[opening[0]], opening.end())
        line += source.count("\n", done, start)
        if end < 0:
            raise UnclosedError(line, opening[0])
        end += len(_CLOSING[opening[0]])
        word = f"{prefix}{len(originals)}x"
        parts += [source[done:start], word]
        length += start - done + len(word)
        line += source.count("\n", start, end)
        originals.append(_plain(source[start:end]))
        starts.append(length)
        lines.append(line)
        done = end
    return Hidden("".join((*parts, source[done:])), prefix, tuple(originals), tuple(starts), tuple(lines))


def _plain(placeholder: str) -> str:
    """As Jinja reads it: editors of HTML write `&quot;` and `&gt;`."""
    return unescape(placeholder) if "&" in placeholder and ";" in placeholder else placeholder
