"""What a Jinja template says to people: text between tags, attributes that are read out or shown, words in expressions.

Pure. A value stands as `{name}`, a choice as `[this|that]`. Sentences stay whole across inline conditions; a tag that
stands for itself (a paragraph, a cell, a button) ends one.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Final

from jinja2 import Environment, nodes
from jinja2.nodes import Node

_SHOWN: Final = ("title", "placeholder", "aria-label", "alt")
"""Attributes that people meet."""
_INLINE: Final = frozenset({"a", "abbr", "b", "br", "code", "em", "i", "kbd", "small", "span", "strong", "time", "wbr"})
"""Elements inside a sentence; an `a` that is a button is none."""
_KINDS: Final = {
    "h1": "heading", "h2": "heading", "h3": "heading", "button": "button", "label": "label", "th": "column",
    "summary": "button", "title": "heading", "dt": "label", "figcaption": "heading", "legend": "label",
    "option": "choice",
}  # fmt: skip
_ROLES: Final[Mapping[str, str]] = {
    "title": "heading", "button": "button", "do": "button", "label": "label", "heads": "column", "options": "choice",
    "text": "text", "help": "text", "note": "text", "aside": "text", "caption": "text", "axis": "column",
    "placeholder": "text", "what": "text", "newer": "button", "older": "button",
}  # fmt: skip
"""Parameters of macros that are words, and what they become. `name` is one for `figure` and `meter`'s `label`."""
_ALSO: Final = {("figure", "name"): "label"}
_NOT: Final = {("id", "text"), ("copy", "text"), ("meter", "title"), ("key", "text")}
_SILENT: Final = frozenset({"icon", "safe", "tojson", "xmlattr"})
"""Filters whose result is no word of ours."""
_MARK: Final = re.compile("\ue000(\\d+)\ue001")


@dataclass(frozen=True, slots=True)
class Text:
    """One thing that is said. `kind`: heading, button, label, column, choice or text."""

    kind: str
    said: str


@dataclass(slots=True)
class _Marks:
    """What stands in the place of what Jinja does."""

    shown: list[str] = field(default_factory=list)
    """By number: what it shows; "" ends a sentence."""
    apart: list[Text] = field(default_factory=list)
    """Words of macros, in their order."""

    def add(self, shown: str) -> str:
        self.shown.append(shown)
        return f"\ue000{len(self.shown) - 1}\ue001"


def signatures(environment: Environment, source: str) -> dict[str, tuple[str, ...]]:
    """The macros of a template with their parameters, by name."""
    return {
        macro.name: tuple(argument.name for argument in macro.args)
        for macro in environment.parse(source).find_all(nodes.Macro)
    }


def _aliases(
    environment: Environment, source: str, macros: Mapping[str, tuple[str, ...]]
) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Macros under the names that a template imports them by."""
    for one in environment.parse(source).find_all(nodes.FromImport):
        for name in one.names:
            if isinstance(name, tuple) and name[0] in macros:
                yield name[1], macros[name[0]]


def texts(environment: Environment, source: str, macros: Mapping[str, tuple[str, ...]]) -> list[Text]:
    """All it says, in order. `macros`: those of `layout/macros.html` and its like; what a template defines itself is
    known too."""
    known = {**macros, **dict(_aliases(environment, source, macros)), **signatures(environment, source)}
    marks = _Marks()
    markup = "".join(_marked(environment, source, known, marks))
    reader = _Reader(marks)
    reader.feed(markup)
    reader.close()
    reader.end()
    return [
        one for one in [*reader.found, *marks.apart] if re.search(r"[^\W\d_]{2}", re.sub(r"\{[^}]*\}", "", one.said))
    ]


def _marked(
    environment: Environment, source: str, macros: Mapping[str, tuple[str, ...]], marks: _Marks
) -> Iterator[str]:
    """The markup with a mark in the place of every expression and statement."""
    inside: list[str] = []
    within_tag = False
    for _, kind, value in environment.lex(source):
        if kind in ("variable_begin", "block_begin"):
            inside = []
        elif kind in ("variable_end", "block_end"):
            said = _shown(environment, kind, "".join(inside).strip(), macros, marks)
            yield f" {marks.add(said)} " if within_tag else marks.add(said)
        elif kind == "data":
            within_tag = value.rfind("<") > value.rfind(">") if "<" in value or ">" in value else within_tag
            yield value
        elif not kind.startswith("comment"):
            inside.append(value)


def _shown(environment: Environment, kind: str, code: str, macros: Mapping[str, tuple[str, ...]], marks: _Marks) -> str:
    """What stands in a sentence for a piece of Jinja; "" where it ends one."""
    word = code.split(maxsplit=1)[0] if code else ""
    if kind == "block_end":
        if word in ("if", "elif", "else", "endif"):
            return {"if": "[", "endif": "]"}.get(word, "|")
        if word not in ("call", "set"):
            return ""
        code = re.sub(r"^call(\s*\([^)]*\))?\s", "", code) if word == "call" else code.partition("=")[2]
        word = "call"
    if not code:
        return ""
    expression = _expression(environment, code)
    if expression is None:
        return ""
    called = expression.node if isinstance(expression, nodes.Call) else None
    if isinstance(called, nodes.Name) and called.name in macros:
        assert isinstance(expression, nodes.Call)
        marks.apart += _arguments(called.name, macros[called.name], expression)
        return ""
    if word == "call":
        marks.apart += [Text("text", said) for said in _constants(expression)]
        return ""
    return render(expression) or ""


def _expression(environment: Environment, code: str) -> Node | None:
    body = environment.parse("{{ " + code + " }}").body
    return body[0].nodes[0] if body and isinstance(body[0], nodes.Output) else None


def _arguments(macro: str, parameters: tuple[str, ...], call: nodes.Call) -> Iterator[Text]:
    given = [*zip(parameters, call.args, strict=False), *((one.key, one.value) for one in call.kwargs)]
    for name, value in given:
        role = _ALSO.get((macro, name)) or _ROLES.get(name)
        if role is None or (macro, name) in _NOT:
            continue
        yield from (Text(role, said) for said in _words(value))


def _words(value: Node) -> Iterator[str]:
    """Of an argument: a text, or those of a list, where a pair says what is shown in its first or second place."""
    if isinstance(value, nodes.List):
        for one in value.items:
            yield from _words(one)
    elif isinstance(value, nodes.Tuple):
        said = [one for one in value.items if isinstance(one, nodes.Const) and isinstance(one.value, str)]
        capital = [one for one in said if one.value[:1].isupper()]
        if capital or said:
            yield (capital or said)[0].value
    elif isinstance(value, nodes.CondExpr) and any(isinstance(one, nodes.List) for one in (value.expr1, value.expr2)):
        yield from (word for one in (value.expr1, value.expr2) if one is not None for word in _words(one))
    elif isinstance(value, nodes.Add):
        yield from _words(value.left)
        yield from _words(value.right)
    elif (said_here := render(value)) is not None:
        yield said_here


def _constants(value: Node) -> Iterator[str]:
    """Sentences in an expression that is no macro's: what is set to be shown later."""
    for one in value.find_all(nodes.Const) if not isinstance(value, nodes.Const) else [value]:
        if isinstance(one.value, str) and re.match(r"[A-Z“].*[a-z]{2}|[a-z]+ [a-z]+ ", one.value):
            yield one.value


def render(value: Node) -> str | None:
    """An expression as it stands in a sentence; None where nothing of it is a word."""
    if isinstance(value, nodes.Const):
        return value.value if isinstance(value.value, str) else f"{value.value}"
    if isinstance(value, nodes.CondExpr):
        either = [render(one) or "" for one in (value.expr1, value.expr2) if one is not None]
        return f"[{'|'.join(either)}]"
    if isinstance(value, nodes.Concat):
        return "".join(render(one) or "" for one in value.nodes)
    if isinstance(value, nodes.Add):
        return f"{render(value.left) or ''}{render(value.right) or ''}"
    if isinstance(value, nodes.Filter):
        return _filtered(value)
    return f"{{{_name(value)}}}"


def _filtered(value: nodes.Filter) -> str | None:
    if value.name in _SILENT or value.node is None:
        return ""
    if value.name == "plural":
        forms = [render(one) or "" for one in value.args]
        return f"{render(value.node)} {forms[0]}" if len(forms) == 1 else f"{render(value.node)} [{'|'.join(forms)}]"
    if isinstance(value.node, nodes.Const) and value.name not in ("format", "upper"):
        return f"{{{value.name}}}"
    return render(value.node)


def _name(value: Node) -> str:
    """What a value is called: the last word of its expression."""
    if isinstance(value, nodes.Name):
        return value.name
    if isinstance(value, nodes.Getattr):
        return value.attr.replace("_", " ")
    if isinstance(value, nodes.Call):
        return _name(value.node)
    if isinstance(value, nodes.Getitem):
        return (
            str(value.arg.value)
            if isinstance(value.arg, nodes.Const) and isinstance(value.arg.value, str)
            else _name(value.node)
        )
    return "…"


class _Reader(HTMLParser):
    """Texts of marked markup."""

    def __init__(self, marks: _Marks) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[Text] = []
        self._marks = marks
        self._open: list[str] = []
        self._said = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        known = dict(attrs)
        button = tag == "a" and "button" in (known.get("class") or "")
        if tag not in _INLINE or button:
            self.end()
            self._open.append("button" if button else tag)
        for name in _SHOWN:
            if said := _sentence(self._plain(known.get(name) or "")):
                self.found.append(Text("text", said))

    def handle_endtag(self, tag: str) -> None:
        last = self._open[-1] if self._open else ""
        if tag not in _INLINE or (tag == "a" and last == "button"):
            self.end()
            if last == tag or (tag == "a" and last == "button"):
                self._open.pop()
            elif tag in self._open:
                del self._open[len(self._open) - 1 - self._open[::-1].index(tag) :]

    def handle_data(self, data: str) -> None:
        self._said += data

    def end(self) -> None:
        """A sentence is over."""
        parts, self._said = self._plain(self._said).split("\0"), ""
        kind = next((_KINDS[tag] for tag in reversed(self._open) if tag in _KINDS), "text")
        self.found += [Text(kind, said) for part in parts if (said := _sentence(part))]

    def _plain(self, marked: str) -> str:
        return _MARK.sub(lambda found: self._marks.shown[int(found[1])] or "\0", marked)


def _sentence(text: str) -> str:
    """With single blanks, and without brackets that have no partner: what they choose between is more than words."""
    text = " ".join(text.replace("\0", " ").split())
    kept, opened = list(text), list[int]()
    for place, letter in enumerate(text):
        if letter == "[":
            opened.append(place)
        elif letter == "]" and opened:
            opened.pop()
        elif letter in "]|" and not opened:
            kept[place] = ""
    for place in opened:
        kept[place] = ""
    return re.sub(r"\[\|?\]", "", "".join(kept)).strip(" |·,")
