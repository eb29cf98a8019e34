"""What a Python module of the console says to people: its texts that are sentences or begin with a capital letter.

Pure. A value stands as `{name}`, a choice as `[this|that]`. Left out are docstrings, SQL, headers, and whatever looks
like a name of the machine's.
"""

import ast
import re
from collections.abc import Iterator
from typing import Final

_SENTENCE: Final = re.compile(r"[A-Z“{\[]?[^\n]*[a-z]{2}[^\n]*")
_NO_WORDS: Final = re.compile(
    r"[\w./:{}?=&%#*-]*|SET LOCAL.*|(?:SELECT|UPDATE|INSERT|DELETE|WITH)\s.*|.*\\[bdwsA-Z(].*|default-src.*|%.*"
    r"|.*;.*=.*|attachment;.*|[a-z]+/[a-z+-]+.*|HH.*|(?:img|frame)-src.*|public, .*"
)
_CAPITAL: Final = re.compile(r"[A-Z][a-z]+(?:-[a-z]+)?")
_ASIDE: Final = frozenset(
    {
        "Counter",
        "FastAPI",
        "Histogram",
        "Query",
        "RuntimeError",
        "TypeError",
        "TypeVar",
        "ValueError",
        "compile",
        "error",
    }
    | {"get", "getattr", "info", "post", "setattr", "warning"}
)
"""Calls whose texts people do not meet."""


def sentences(source: str) -> list[str]:
    """All of them, in order."""
    tree = ast.parse(source)
    return [said for node in tree.body for said in _said(node)]


def _said(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return  # a docstring, or what is said of the name above
    if isinstance(node, ast.Import | ast.ImportFrom | ast.Assert):
        return
    if isinstance(node, ast.Constant | ast.JoinedStr):
        text = render(node)
        if _is_said(text):
            yield text
        if isinstance(node, ast.JoinedStr):
            return
    for name, below in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list") and not isinstance(node, ast.Call):
            continue
        if name == "args" and isinstance(node, ast.Call) and _called(node) in _ASIDE:
            continue
        for one in below if isinstance(below, list) else [below]:
            if isinstance(one, ast.AST):
                yield from _said(one)


def _called(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def _is_said(text: str) -> bool:
    if _CAPITAL.fullmatch(text):
        return True
    plain = re.sub(r"\{[^}]*\}", "", text)
    if not re.search(r"[a-z]{2}", plain) or _NO_WORDS.fullmatch(text.strip()):
        return False
    return " " in plain.strip() and _SENTENCE.fullmatch(text) is not None


def render(node: ast.expr | ast.AST) -> str:
    """A text as it stands in a sentence."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else ""
    if isinstance(node, ast.JoinedStr):
        return "".join(render(one) for one in node.values)
    if isinstance(node, ast.FormattedValue):
        return render(node.value)
    if isinstance(node, ast.IfExp):
        return f"[{render(node.body)}|{render(node.orelse)}]"
    if isinstance(node, ast.BoolOp):
        return next((render(one) for one in node.values), "")
    return f"{{{_name(node)}}}"


def _name(node: ast.AST) -> str:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return node.attr.replace("_", " ")
    if isinstance(node, ast.Call):
        inside = node.args[0] if node.args else node.func
        return _plural(node) or _name(inside)
    if isinstance(node, ast.Subscript):
        return _name(node.value)
    return "…"


def _plural(call: ast.Call) -> str:
    """`plural(n, "IP", "IPs")` says the word."""
    words = [one.value for one in call.args[1:] if isinstance(one, ast.Constant) and isinstance(one.value, str)]
    return f"n {words[0]}" if _called(call) == "plural" and words else ""
