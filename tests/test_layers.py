"""Imports run one way, and the core stays pure."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import sidecar

ROOT = Path(sidecar.__file__).parent

# Nothing here can read a clock, a file, a socket or chance, nor wait. `collections` and the like are plain data.
PURE = {
    *(
        "__future__",
        "array",
        "base64",
        "bisect",
        "codecs",
        "collections",
        "contextlib",
        "dataclasses",
        "datetime",
        "decimal",
    ),
    *(
        "difflib",
        "enum",
        "functools",
        "hashlib",
        "heapq",
        "itertools",
        "json",
        "math",
        "operator",
        "re",
        "string",
        "struct",
    ),
    "zoneinfo",  # the zones of this machine, read once when a mapping is compiled
    *("types", "typing", "zlib", "msgspec", "numpy"),
}
# The type of an argument; a core that made one itself would not be pure.
SOURCE_OF_CHANCE = "random.Random"
# Pure modules may still offer a door out.
IMPURE_CALLS = {
    *("now", "utcnow", "today", "fromtimestamp", "open", "print", "input", "exec", "eval", "__import__", "Random"),
}


def modules(folder: str) -> list[Path]:
    """Return the files of a package."""
    return sorted((ROOT / folder).rglob("*.py"))


def imported(tree: ast.AST) -> set[str]:
    """Return every module that is imported anywhere in the file, also inside functions."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def test_imports_run_one_way() -> None:
    """The contract is in setup.cfg; it is exhaustive, so that a new module needs a place in it.

    The linter runs in a process of its own: it sets up logging anew, which silences the loggers that are there.
    """
    linter = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    command = [sys.executable, "-c", linter, "--config", "setup.cfg", "--no-cache"]
    found = subprocess.run(command, cwd=ROOT.parent, capture_output=True, text=True, timeout=60)
    assert found.returncode == 0, found.stdout + found.stderr


@pytest.mark.parametrize("path", modules("core"), ids=lambda path: str(path.relative_to(ROOT)))
def test_the_core_is_pure(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    outside = {name for name in imported(tree) if not name.startswith(("sidecar.core", "sidecar.errors"))}
    assert {name.partition(".")[0] for name in outside - {SOURCE_OF_CHANCE}} <= PURE
    for node in ast.walk(tree):
        assert not isinstance(node, ast.Await | ast.AsyncFunctionDef | ast.AsyncFor | ast.AsyncWith | ast.Global)
        if isinstance(node, ast.Call):
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            assert name not in IMPURE_CALLS, f"line {node.lineno}: {name}()"


def test_importing_the_package_imports_nothing_of_it() -> None:
    """It is the map, and it holds the version, which set-up reads before anything is installed."""
    assert imported(ast.parse((ROOT / "__init__.py").read_text(encoding="utf-8"))) == set()


def test_no_type_name_stands_for_two_things() -> None:
    defined: dict[str, set[str]] = {}
    for path in modules("."):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef):
                name = node.name
            elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                name = node.targets[0].id
            else:
                continue
            if name.lstrip("_")[:1].isupper() and not name.isupper():
                defined.setdefault(name.lstrip("_"), set()).add(str(path.relative_to(ROOT)))
    assert {name: files for name, files in defined.items() if len(files) > 1} == {}
