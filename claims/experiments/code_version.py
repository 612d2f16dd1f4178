"""The version of the code behind a result: a digest of each file of ours that the experiment rests on.

Comments, docstrings and layout do not count, and the digest is the same under every version of Python: it is taken of
the syntax tree. A result is stale as soon as one of the files says something else.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PACKAGE = "veriformer"
_SILENT = {"ctx", "kind", "type_ignores", "type_comment", "type_params"}


def code_version(module: str) -> dict[str, str]:
    """Digest of ``module`` and of every module of ours that it imports, directly or not, by dotted name.

    A package's ``__init__`` counts where it is imported itself, not where one of its modules is. The derivations do not
    count: what they prove is checked page by page, and expectations compare with the formula as it stands.
    """
    found: dict[str, str] = {}
    to_read = [module]
    while to_read:
        name = to_read.pop()
        if name not in found and name.partition(".")[2].partition(".")[0] != "derivations":
            source = _file(name).read_text(encoding="utf-8")
            found[name] = digest(source)
            to_read += _imported(ast.parse(source), name)
    return dict(sorted(found.items()))


def digest(source: str) -> str:
    """Sixteen hexadecimal digits that depend on what ``source`` does alone."""
    return hashlib.sha256(repr(_shape(ast.parse(source))).encode()).hexdigest()[:16]


def _shape(node: Any) -> Any:
    """The tree as plain tuples, without what differs from one version of Python to the next."""
    if isinstance(node, list):
        return tuple(map(_shape, node))
    if not isinstance(node, ast.AST):
        return node
    fields = {name: value for name, value in ast.iter_fields(node) if name not in _SILENT and value not in (None, [])}
    if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
        fields["body"] = [statement for statement in node.body if not _is_text(statement)]
    if isinstance(node, ast.JoinedStr):  # Python 3.12 ends a format such as {x:{width}} with an empty text
        fields["values"] = [part for part in node.values if not (isinstance(part, ast.Constant) and part.value == "")]
    return type(node).__name__, *((name, _shape(value)) for name, value in sorted(fields.items()))


def _is_text(statement: ast.stmt) -> bool:
    """Whether it is a docstring, of whatever stands before it."""
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )


def _file(module: str) -> Path:
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        raise LookupError(f"expected a module with a file of its own, got {module}")
    return Path(spec.origin)


def _imported(tree: ast.Module, module: str) -> Iterator[str]:
    """Modules of ours that a module's text imports."""
    package = module if _file(module).name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith(f"{PACKAGE}."))
        elif isinstance(node, ast.ImportFrom):
            base = importlib.util.resolve_name("." * node.level + (node.module or ""), package)
            if base.startswith(f"{PACKAGE}."):
                parts = [part for alias in node.names if _is_module(part := f"{base}.{alias.name}")]
                yield from parts
                if len(parts) < len(node.names):
                    yield base


def _is_module(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:  # what it is looked up in is no package
        return False
