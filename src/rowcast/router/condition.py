"""Conditions: a JSON tree (a subset of JSONLogic) compiled to closures, with its cost bounded before it ever runs.

Compiling refuses what is unknown, malformed or too big, and names the place. Evaluating never raises on any data.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn

from rowcast.core.errors import InvalidInputError

Run = Callable[[Any, Any], Any]
"""Give a node's value from its scope (the event, or one element inside an iterator) and the event."""

DEPTH_LIMIT = 8
NODES_LIMIT = 200
LOOPS_LIMIT = 2
TEXT_LIMIT_BYTES = 1024
_INTEGER_LIMIT = 2**63


class _NotLiteral:
    """The kind of `NOT_LITERAL`, the mark of a node whose value depends on the data."""


NOT_LITERAL = _NotLiteral()


@dataclass(slots=True, frozen=True)
class Node:
    """One compiled node. `operator` is empty for a literal, `path` is its place in the tree, as a JSON pointer."""

    operator: str
    path: str
    run: Run
    operands: tuple["Node", ...] = ()
    literal: Any = NOT_LITERAL

    @property
    def is_literal(self) -> bool:
        """Tell whether the value is fixed."""
        return self.literal is not NOT_LITERAL


Build = Callable[[str, tuple[Node, ...]], Run]
"""Turn an operator's place and its compiled operands into its closure, or refuse the operands."""


@dataclass(slots=True, frozen=True)
class Operator:
    """One operator: how many operands it takes and how it is built. An iterator's second operand sees one element."""

    least: int
    most: int
    build: Build
    is_iterator: bool = False


def refuse(path: str, problem: str) -> NoReturn:
    """Refuse a condition, naming the place.

    Raises:
        InvalidInputError: `input.condition`, always.
    """
    raise InvalidInputError(f"The condition cannot be used: at {path or '/'}, {problem}.", code="input.condition")


def evaluate(condition: Node, values: Any) -> Any:
    """Give the value of a condition for one event; `is_true` of it says whether the event matches."""
    return condition.run(values, values)


class Compiler:
    """Compiles one tree; counts as it goes, so that a hostile tree is left at the first limit it breaks."""

    __slots__ = ("_nodes", "_operators")

    def __init__(self, operators: dict[str, Operator]) -> None:
        """Take the operators that a tree may use."""
        self._operators = operators
        self._nodes = 0

    def compile(self, tree: Any) -> Node:
        """Give the compiled tree.

        Raises:
            InvalidInputError: `input.condition`, naming the place in the tree and the limit or the rule it breaks.
        """
        self._nodes = 0
        return self._node(tree, "", 1, 0)

    def _node(self, tree: Any, path: str, depth: int, loops: int) -> Node:
        self._count(path, depth)
        if isinstance(tree, dict):
            return self._operator(tree, path, depth, loops)
        if isinstance(tree, (list, tuple)):
            return self._list(list(tree), path, depth, loops)
        value = _checked_scalar(tree, path)
        return Node("", path, lambda scope, event: value, literal=value)

    def _count(self, path: str, depth: int) -> None:
        self._nodes += 1
        if self._nodes > NODES_LIMIT:
            refuse(path, f"the tree has more than {NODES_LIMIT} nodes; split it into several rules")
        if depth > DEPTH_LIMIT:
            refuse(path, f"the tree is deeper than {DEPTH_LIMIT} levels; flatten it")

    def _list(self, items: list[Any], path: str, depth: int, loops: int) -> Node:
        # A list of plain values stands on the level of its operator: only operators go deeper.
        nodes = tuple(self._node(item, f"{path}/{index}", depth + 1, loops) for index, item in enumerate(items))
        if all(node.is_literal for node in nodes):
            values = [node.literal for node in nodes]
            return Node("", path, lambda scope, event: values, nodes, literal=values)
        runs = tuple(node.run for node in nodes)
        return Node("list", path, lambda scope, event: [run(scope, event) for run in runs], nodes)

    def _operator(self, tree: dict[Any, Any], path: str, depth: int, loops: int) -> Node:
        name, operand = self._only_item(tree, path)
        operator = self._operators[name]
        here = f"{path}/{name}"
        # `{"!": x}` is short for `{"!": [x]}`.
        operands = list(operand) if isinstance(operand, (list, tuple)) else [operand]
        if not operator.least <= len(operands) <= operator.most:
            refuse(here, f"'{name}' takes {_count_words(operator)}, not {len(operands)}")
        nodes = self._operands(operator, operands, (here, depth, loops))
        return Node(name, here, operator.build(here, nodes), nodes)

    def _operands(self, operator: Operator, operands: list[Any], place: tuple[str, int, int]) -> tuple[Node, ...]:
        path, depth, loops = place
        if not operator.is_iterator:
            return tuple(self._node(item, f"{path}/{i}", depth + 1, loops) for i, item in enumerate(operands))
        if loops == LOOPS_LIMIT:
            refuse(path, f"some, all and none may stand inside each other {LOOPS_LIMIT} deep at most")
        source = self._node(operands[0], f"{path}/0", depth + 1, loops)
        return source, self._node(operands[1], f"{path}/1", depth + 1, loops + 1)

    def _only_item(self, tree: dict[Any, Any], path: str) -> tuple[str, Any]:
        if len(tree) != 1:
            refuse(path, f"an operator is an object with one key; this one has {len(tree)}")
        name, operand = next(iter(tree.items()))
        if not isinstance(name, str) or name not in self._operators:
            known = ", ".join(self._operators)
            refuse(path, f"the operator {str(name)[:40]!r} is unknown. Known: {known}")
        return name, operand


def _count_words(operator: Operator) -> str:
    if operator.least == operator.most:
        return f"{operator.least} operand{'s' if operator.least > 1 else ''}"
    return f"{operator.least} to {operator.most} operands"


def _checked_scalar(value: Any, path: str) -> Any:
    if isinstance(value, str):
        if len(value.encode("utf-8", "surrogatepass")) > TEXT_LIMIT_BYTES:
            refuse(path, f"a text is longer than {TEXT_LIMIT_BYTES} bytes")
        return str(value)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int) and abs(value) <= _INTEGER_LIMIT:
        return int(value)
    # Not-a-number and the infinities have no JSON form, and differ from themselves or swallow every comparison.
    if isinstance(value, float) and value - value == 0.0:
        return float(value)
    refuse(path, f"{type(value).__name__} is no JSON value that a condition can hold")
