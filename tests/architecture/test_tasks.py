"""Each task has a parent that waits for it, and each queue has a bound."""

import ast

from .tree import at, called_name, expect_none, modules, syntax


def last_word(node: ast.expr | None) -> str:
    """Give the last word of a name: `b` of `a.b`."""
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
    return ""


def receiver(call: ast.Call) -> str:
    """Give the last word of what a method is called on."""
    return last_word(call.func.value) if isinstance(call.func, ast.Attribute) else ""


def groups_in(tree: ast.Module) -> set[str]:
    """Give the names that stand for a task group in a module."""
    found: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.withitem(context_expr=ast.Call() as call, optional_vars=name) if called_name(call) == "TaskGroup":
                found.add(last_word(name))
            case ast.arg(arg=name, annotation=annotation) if annotation and "TaskGroup" in ast.unparse(annotation):
                found.add(name)
            case ast.AnnAssign(target=name, annotation=annotation) if "TaskGroup" in ast.unparse(annotation):
                found.add(last_word(name))
            case ast.Assign(targets=[name], value=ast.Call() as call) if called_name(call) == "TaskGroup":
                found.add(last_word(name))
            case ast.Assign(targets=[name], value=value) if last_word(value) in found:
                found.add(last_word(name))
    return found


def calls(name: str) -> list[tuple[str, ast.Call]]:
    """Give every call of a function or method by that name, with its place."""
    return [
        (at(path, node.lineno), node)
        for path in modules()
        for node in ast.walk(syntax(path))
        if isinstance(node, ast.Call) and called_name(node) == name
    ]


def test_every_task_is_started_in_a_group() -> None:
    expect_none(
        f"{at(path, node.lineno)}: a task outside a group has no parent; start it in an asyncio.TaskGroup"
        for path in modules()
        for node in ast.walk(syntax(path))
        if isinstance(node, ast.Call)
        and called_name(node) == "create_task"
        and receiver(node) not in groups_in(syntax(path))
    )


def test_every_task_has_a_name() -> None:
    expect_none(
        f'{place}: name the task: `create_task(..., name="room:what")`; a stuck one is found by it'
        for place, call in calls("create_task")
        if not any(keyword.arg == "name" for keyword in call.keywords)
    )


def test_every_queue_has_a_bound() -> None:
    expect_none(
        f"{place}: a queue without a bound grows until the process dies; pass maxsize and say what happens when it is full"
        for kind in ("Queue", "PriorityQueue", "LifoQueue", "SimpleQueue")
        for place, call in calls(kind)
        if not call.args and not call.keywords
    )
