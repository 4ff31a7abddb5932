"""A folder is a question with a dozen answers at most, and no module needs one that needs it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
WITHOUT_CIRCLES = (
    "autoscaler_app",
    "celery_resources",
    "scalelib",
    "cyclecloud_api",
    "cyclecloud_emulator",
    "redis_keeper",
    "worker_tasks",
)
"""Packages that are free of circles."""
WITH_CHAPTERS = ("autoscaler_app", "celery_resources", "cyclecloud_emulator")
"""Packages that have chapters."""
MOST_DOORS = 14
"""Modules and folders in a folder, `__init__` left out."""


def modules(package: str) -> dict[str, Path]:
    """Every module of a package, by its dotted name."""
    found = {}
    for path in sorted((ROOT / package).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(name: str, path: Path, known: dict[str, Path]) -> Iterator[str]:
    """What a module needs, also if only its types do. What a function imports when it is called is not."""
    tree = ast.parse(path.read_text())
    called = {
        id(node)
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for node in ast.walk(function)
    }
    for node in ast.walk(tree):
        if id(node) in called:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom) and node.module in known and not node.level:
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield whole if whole in known else str(node.module)


def circles(package: str) -> list[list[str]]:
    """Every set of modules that need each other (Tarjan)."""
    known = modules(package)
    needs = {name: set(imports(name, path, known)) - {name} for name, path in known.items()}
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(name: str) -> None:
        index[name] = low[name] = len(index)
        stack.append(name)
        for other in sorted(needs[name]):
            if other not in index:
                visit(other)
                low[name] = min(low[name], low[other])
            elif other in stack:
                low[name] = min(low[name], index[other])
        if low[name] == index[name]:
            group = stack[stack.index(name) :]
            del stack[stack.index(name) :]
            if len(group) > 1:
                found.append(sorted(group))

    for name in sorted(needs):
        if name not in index:
            visit(name)
    return found


@pytest.mark.parametrize("package", WITHOUT_CIRCLES)
def test_no_two_modules_need_each_other(package: str) -> None:
    assert circles(package) == []


@pytest.mark.parametrize("package", WITH_CHAPTERS)
def test_a_folder_has_a_dozen_doors_at_most(package: str) -> None:
    folders = {path.parent for path in modules(package).values()}
    crowded = {
        str(folder.relative_to(ROOT)): len(doors)
        for folder in folders
        if len(doors := [d for d in folder.iterdir() if is_door(d)]) > MOST_DOORS
    }
    assert crowded == {}


def is_door(path: Path) -> bool:
    if path.is_dir():
        return (path / "__init__.py").exists()
    return path.suffix == ".py" and path.name not in ("__init__.py", "__main__.py")
