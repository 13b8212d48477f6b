"""The project's Python files, as what they import and call."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

ROOT = Path(__file__).parents[2]


def modules() -> Iterator[str]:
    """Yield every Python file of the product, relative to the repository."""
    for package in ("jobservice", "webmin"):
        for path in sorted((ROOT / package).rglob("*.py")):
            yield str(path.relative_to(ROOT))


@lru_cache
def tree_of(module: str) -> ast.Module:
    return ast.parse((ROOT / module).read_text(encoding="utf-8"))


@lru_cache
def imports_of(module: str) -> set[str]:
    """Return the dotted names that a file imports, also those inside functions."""
    found: set[str] = set()
    for node in ast.walk(tree_of(module)):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            found.update(str(argument.value) for argument in node.args if isinstance(argument, ast.Constant))
    return found


def packages_of(module: str) -> set[str]:
    """Return the top-level packages that a file imports."""
    return {name.split(".")[0] for name in imports_of(module)}
