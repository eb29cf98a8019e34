"""What a template may say: walks over Jinja's tree before any code is made of it. Pure.

Only what stands in `_ALLOWED` passes: no calls but `range`, no macros, no inclusion, no methods. What can grow is
rewritten to filters of `templates/language`: loops are counted, joined texts measured. And it is noted which variables
a template asks for, and which of them it cannot do without.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from jinja2 import nodes

from templates.filters import FILTERS
from templates.limits import MAX_DEPTH, MAX_LOOPS, MAX_NUMBER, QUICK
from templates.resend_notation import restored

ROUNDS: Final = " rounds"
RANGE: Final = " range"
CONCAT: Final = " concat"
"""Filters that nobody can write: names have no blanks."""

TESTS: Final = frozenset({
    "defined", "undefined", "none", "string", "number", "mapping", "sequence", "boolean", "integer", "float", "true",
    "false", "even", "odd", "divisibleby", "in", "eq", "equalto", "==", "ne", "!=", "lt", "lessthan", "<", "le", "<=",
    "gt", "greaterthan", ">", "ge", ">=",
})  # fmt: skip
_OPTIONAL: Final = frozenset({"default", "d"})
_ASKING: Final = frozenset({"defined", "undefined", "none"})
_RESERVED: Final = frozenset({"self", "caller", "varargs", "kwargs", "super"})
_ALLOWED: Final[tuple[type[nodes.Node], ...]] = (
    nodes.Template, nodes.Output, nodes.TemplateData, nodes.If, nodes.For, nodes.Assign, nodes.Name, nodes.Const,
    nodes.Getattr, nodes.Getitem, nodes.Slice, nodes.Filter, nodes.Test, nodes.Compare, nodes.Operand, nodes.And,
    nodes.Or, nodes.Not, nodes.CondExpr, nodes.Concat, nodes.Add, nodes.Sub, nodes.Mul, nodes.Div, nodes.FloorDiv,
    nodes.Mod, nodes.Neg, nodes.Pos, nodes.List, nodes.Tuple, nodes.Dict, nodes.Pair, nodes.Keyword,
)  # fmt: skip
_REFUSED: Final[Mapping[type[nodes.Node], str]] = {
    nodes.Call: "calls are not possible here: filters do what methods do elsewhere, `{{ name | upper }}`",
    nodes.Include: "`include` is not possible: name a layout with the template",
    nodes.Extends: "`extends` is not possible: name a layout with the template",
    nodes.Block: "`block` is not possible: name a layout with the template",
    nodes.AssignBlock: "`set` needs `= value`",
    nodes.Macro: "macros are not possible",
    nodes.Pow: "powers are not possible",
    nodes.With: "`with` is not possible: use `set`",
    nodes.Scope: "`autoescape` is not possible: `| safe` is",
    nodes.Import: "`import` is not possible",
    nodes.FromImport: "`import` is not possible",
}


class LanguageError(Exception):
    """A template that cannot be. `line` is 0 where none can be named."""

    def __init__(self, reason: str, line: int = 0) -> None:
        super().__init__(reason)
        self.reason = reason
        self.line = line


@dataclass(frozen=True, slots=True)
class Reading:
    """What a template asks for: paths such as `contact.first_name`."""

    variables: frozenset[str]
    required: frozenset[str]
    """Without a `default` and outside a condition that asks for it."""
    places: frozenset[tuple[int, str]]
    """Line and path of each use."""
    quick: bool
    """Without loops and with few expressions: whatever the values, rendering takes no more than milliseconds."""


def read(tree: nodes.Template) -> Reading:
    """Checks a tree and makes it safe to run. Raises LanguageError."""
    reader = _Reader()
    reader.read(tree)
    return reader.reading()


class _Reader:
    """Walks over a tree: refuses what may not be said, rewrites what can grow, notes which variables are used."""

    def __init__(self) -> None:
        self._own: set[str] = {"loop"}
        self._loops = False
        self._seen = 0
        self._uses: list[tuple[int, str, bool]] = []

    def reading(self) -> Reading:
        """What the template asks for; names that it sets itself are not asked for."""
        uses = [use for use in self._uses if use[1].partition(".")[0] not in self._own]
        return Reading(
            frozenset(path for _, path, _ in uses),
            frozenset(path for _, path, needed in uses if needed),
            frozenset((line, path) for line, path, _ in uses),
            not self._loops and self._seen <= QUICK,
        )

    def read(self, node: nodes.Node, depth: int = 0, loops: int = 0, known: frozenset[str] = frozenset()) -> None:
        """Checks a node and all below it. `known` are the paths that a condition around it has asked for."""
        self._allow(node, depth)
        if path := _path_of(node):
            self._uses.append((node.lineno, path, path not in known))
            return
        if isinstance(node, nodes.For):
            loops += 1
            self._loop(node, loops)
        inside = known
        if isinstance(node, nodes.If | nodes.CondExpr):
            inside = known | _asked(node.test)
        elif _is_asking(node):
            inside = known | _asked(node)
        parts = node.args if isinstance(node, nodes.Call) else list(node.iter_child_nodes())  # `range` is no variable
        for part in parts:
            self.read(part, depth + 1, loops, inside)
        _rewrite(node)

    def _allow(self, node: nodes.Node, depth: int) -> None:
        self._seen += 1
        if depth > MAX_DEPTH:
            raise LanguageError(f"it is nested deeper than {MAX_DEPTH} levels", node.lineno)
        if not isinstance(node, _ALLOWED) and not _is_range(node):
            _refuse(node)
        if isinstance(node, nodes.Filter | nodes.Test):
            _check_name(node)
        elif isinstance(node, nodes.Name):
            self._name(node)
        elif isinstance(node, nodes.Const):
            node.value = _checked_constant(node)
        elif isinstance(node, nodes.TemplateData):
            node.data = restored(node.data)
        elif isinstance(node, nodes.List | nodes.Tuple | nodes.Dict) and getattr(node, "ctx", "load") == "load":
            _check_literal(node)

    def _name(self, node: nodes.Name) -> None:
        if node.name in _RESERVED:
            raise LanguageError(f"`{node.name}` is a word of the language", node.lineno)
        if node.ctx != "load":
            self._own.add(node.name)

    def _loop(self, node: nodes.For, loops: int) -> None:
        self._loops = True
        if node.recursive:
            raise LanguageError("a loop cannot be recursive", node.lineno)
        if loops > MAX_LOOPS:
            raise LanguageError(f"at most {MAX_LOOPS} loops can be nested", node.lineno)


def _is_asking(node: nodes.Node) -> bool:
    if isinstance(node, nodes.Filter):
        return node.name in _OPTIONAL
    return isinstance(node, nodes.Or) or (isinstance(node, nodes.Test) and node.name in _ASKING)


def _asked(node: nodes.Node | None) -> frozenset[str]:
    """Paths whose absence a condition, a `default` or an `or` takes care of."""
    if node is None:
        return frozenset()
    if path := _path_of(node):
        return frozenset({path})
    if isinstance(node, nodes.Filter | nodes.Test):
        return _asked(node.node)
    if isinstance(node, nodes.Or):
        return _asked(node.left)
    if isinstance(node, nodes.And):
        return _asked(node.left) | _asked(node.right)
    return _asked(node.node) if isinstance(node, nodes.Not) else frozenset()


def _path_of(node: nodes.Node) -> str:
    """`contact.first_name` of a name with its keys; "" of anything else."""
    keys: list[str] = []
    while not isinstance(node, nodes.Name):
        if isinstance(node, nodes.Getattr):
            keys.append(node.attr)
        elif isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Const) and isinstance(node.arg.value, str):
            keys.append(node.arg.value)
        else:
            return ""
        if len(keys) > MAX_DEPTH:
            return ""
        node = node.node
    return "" if node.ctx != "load" or node.name in _RESERVED else ".".join((node.name, *reversed(keys)))


def _is_range(node: nodes.Node) -> bool:
    """`range(…)`, the one call there is."""
    return (
        isinstance(node, nodes.Call)
        and isinstance(node.node, nodes.Name)
        and node.node.name == "range"
        and 1 <= len(node.args) <= 3
        and not (node.kwargs or node.dyn_args or node.dyn_kwargs)
    )


def _check_name(node: nodes.Filter | nodes.Test) -> None:
    known, what = (FILTERS, "filter") if isinstance(node, nodes.Filter) else (TESTS, "test")
    if node.name not in known or node.node is None:
        raise LanguageError(f"there is no {what} `{node.name}`", node.lineno)
    if node.dyn_args or node.dyn_kwargs:
        raise LanguageError("`*` is not possible here", node.lineno)


def _check_literal(node: nodes.List | nodes.Tuple | nodes.Dict) -> None:
    """A list that is written out holds what is written out: one that holds itself twice, thirty times over, could
    neither be printed nor compared."""
    for part in node.find_all(nodes.Name):
        raise LanguageError("a list can only hold texts and numbers, no variables", part.lineno)


def _checked_constant(node: nodes.Const) -> object:
    value = node.value
    if isinstance(value, int | float) and abs(value) > MAX_NUMBER:
        raise LanguageError("a number is too large", node.lineno)
    if isinstance(value, str):
        if any("\ud800" <= character <= "\udfff" for character in value):
            raise LanguageError("half a character (a surrogate) is no text", node.lineno)
        return restored(value)
    return value


def _refuse(node: nodes.Node) -> NoReturn:
    reason = next((text for kind, text in _REFUSED.items() if isinstance(node, kind)), "")
    line = node.lineno or next((part.lineno for part in node.iter_child_nodes()), 0)
    raise LanguageError(reason or f"`{type(node).__name__.lower()}` is not possible here", line)


def _rewrite(node: nodes.Node) -> None:
    """Puts counting and measuring filters where something can grow."""
    for name, part in list(node.iter_fields()):
        if isinstance(part, list):
            setattr(node, name, [_replaced(one) for one in part])
        else:
            setattr(node, name, _replaced(part))
    if isinstance(node, nodes.CondExpr) and node.expr2 is None:
        node.expr2 = nodes.Const("", lineno=node.lineno)
    elif isinstance(node, nodes.For):
        node.iter = _filter(node.iter, ROUNDS)


def _replaced(part: Any) -> Any:
    if isinstance(part, nodes.Call):
        return _filter(nodes.List(part.args, lineno=part.lineno), RANGE)
    if isinstance(part, nodes.Concat):
        return _filter(nodes.List(part.nodes, lineno=part.lineno), CONCAT)
    return part


def _filter(node: Any, name: str) -> nodes.Filter:
    return nodes.Filter(node, name, [], [], None, None, lineno=node.lineno)
