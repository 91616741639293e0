"""Python as the host gets it: the same program, smaller. User data and SSM commands carry it, within hard limits.

What only readers need is dropped (docstrings, annotations, deep indents), and locals of a function get letters for
names. Names that anybody outside a function may use stay: arguments, attributes, modules, globals.
"""

from __future__ import annotations

import ast
import re
import string
from collections.abc import Iterator

_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef)
_CLOSED = (*_SCOPES, ast.Lambda, ast.ClassDef, ast.Global, ast.Nonlocal, ast.MatchStar, ast.MatchMapping)
"""A function with one of these inside keeps its names: they may be meant from another scope."""


def lean(source: str) -> str:
    """Make a module smaller; it means the same."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        _drop(node)
    for node in ast.walk(tree):
        if isinstance(node, _SCOPES):
            _shorten(node)
    # A space is enough to be deeper.
    return re.sub(r"(?m)^(?: {4})+", lambda deep: " " * (len(deep[0]) // 4), ast.unparse(tree)) + "\n"


def _drop(node: ast.AST) -> None:
    """Drop texts that nothing reads, and annotations but those of a class, which make its fields."""
    if isinstance(node, (ast.Module, ast.ClassDef, *_SCOPES)):
        kept = [one for one in node.body if not _is_text(one)]
        node.body = kept or ([] if isinstance(node, ast.Module) else [ast.Pass()])
    if isinstance(node, ast.arg):
        node.annotation = None
    if isinstance(node, _SCOPES):
        node.returns = None
        node.body = [_plain(one) for one in node.body]


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _plain(node: ast.stmt) -> ast.stmt:
    if isinstance(node, ast.AnnAssign) and node.value is not None:
        return ast.copy_location(ast.Assign([node.target], node.value), node)
    return node


def _shorten(function: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
    inside = [node for node in ast.walk(function) if node is not function]
    if any(isinstance(node, _CLOSED) for node in inside):
        return
    arguments = {node.arg for node in inside if isinstance(node, ast.arg)}
    used = arguments | {node.id for node in inside if isinstance(node, ast.Name)}
    locals_ = [name for name in dict.fromkeys(_bound(inside)) if name not in arguments]
    free = (letter for letter in string.ascii_lowercase if letter not in used)
    short = dict(zip(locals_, free, strict=False))
    for node in inside:
        if isinstance(node, ast.Name):
            node.id = short.get(node.id, node.id)
        elif isinstance(node, ast.ExceptHandler | ast.MatchAs) and node.name:
            node.name = short.get(node.name, node.name)


def _bound(inside: list[ast.AST]) -> Iterator[str]:
    """Yield the names that a function binds itself. What it imports, or a match alone binds, keeps its name."""
    imported = {(alias.asname or alias.name) for node in inside for alias in getattr(node, "names", ())}
    for node in inside:
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and node.id not in imported:
            yield node.id
        elif isinstance(node, ast.ExceptHandler) and node.name:
            yield node.name
