"""Resend's notation, `{{{NAME}}}` and `{{{NAME|fallback}}}`, as Jinja's. Pure.

A value is escaped in HTML here as everywhere: what a person typed into a sign-up form does not become markup of a mail.
Whoever wants a value to be markup says so, `{{ NAME | safe }}`.

The two names of the unsubscribe link stay as they are: it is each recipient's own, and `messages` writes it when the
mail leaves. They travel through Jinja as characters that Unicode keeps for such use, and come back as they were.
"""

import re
from typing import Final

UNSUBSCRIBE: Final = {"\ufdd0": "{{{RESEND_UNSUBSCRIBE_URL}}}", "\ufdd1": "{{{UNSUBSCRIBE_URL}}}"}
"""Mark → what stands for the recipient's own link."""

_MARKS: Final = {text[3:-3]: mark for mark, text in UNSUBSCRIBE.items()}
_MARK: Final = re.compile("[" + "".join(UNSUBSCRIBE) + "]")
_OPENING: Final = re.compile(r"\{%[-+]?[ \t]*+raw[ \t]*+[-+]?%\}|\{#|\{\{\{")
_NAME: Final = re.compile(r"\{\{\{[ \t]*+([A-Za-z_]\w*+(?:\.\w++)*+)[ \t]*+(?:\|([^{}\n]*+))?\}\}\}")
_END_RAW: Final = re.compile(r"\{%[-+]?[ \t]*+endraw[ \t]*+[-+]?%\}")


def as_jinja(source: str) -> str:
    """The source with Resend's placeholders in Jinja's notation. Lines stay where they are."""
    source = _MARK.sub("", source)
    if "{{{" not in source:
        return source
    parts, done, at = [], 0, 0
    while opening := _OPENING.search(source, at):
        start, at = opening.span()
        if opening[0] != "{{{":
            at = _end_of_quiet(source, opening)
        elif name := _NAME.match(source, start):
            parts += [source[done:start], _expression(name)]
            done = at = name.end()
    return "".join((*parts, source[done:]))


def restored(text: str) -> str:
    """A text of the template with the names of the unsubscribe link where their marks are."""
    for mark, name in UNSUBSCRIBE.items():
        text = text.replace(mark, name)
    return text


def _end_of_quiet(source: str, opening: re.Match[str]) -> int:
    """Where a comment or a `raw` ends, in which nothing is read; the end of the source when it does not."""
    if opening[0] == "{#":
        end = source.find("#}", opening.end())
        return end if end >= 0 else len(source)
    found = _END_RAW.search(source, opening.end())
    return found.end() if found else len(source)


def _expression(name: re.Match[str]) -> str:
    path, fallback = name.groups()
    if path in _MARKS:
        return _MARKS[path]
    first, *rest = path.split(".")
    value = first + "".join(f'["{part}"]' for part in rest)
    if fallback is None:
        return f"{{{{ {value} }}}}"
    text = fallback.strip().replace("\\", "\\\\").replace('"', '\\"')
    return f'{{{{ {value} | default("{text}") }}}}'
