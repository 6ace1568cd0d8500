"""Files and functions stay small, documented and free of this machine."""

from __future__ import annotations

import ast
import os
import re
from pathlib import Path

MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 70
FORBIDDEN_NAMES = {"utils", "util", "common", "helpers", "helper", "misc"}
TEXT_FILES = {".py", ".toml", ".md", ".yaml", ".yml", ".txt", ".css", ".js", ".html", ".j2", ""}
NOT_OURS = {".git", ".venv", "work", "build", "dist", "__pycache__", ".hypothesis"}
MACHINE_PATHS = re.compile(r"(?:^|[\s\"'=(])/(?:root|home/(?!pinrec\b)\w+|Users|work)/\w")


def functions(tree: ast.Module):
    """Every function and method of a file."""
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def test_no_file_is_too_long(root, sources):
    lengths = {path: len((root / path).read_text("utf-8").splitlines()) for path in sources}
    wrong = [f"{path}: {length} lines" for path, length in lengths.items() if length > MAX_FILE_LINES]
    assert not wrong, "\n".join(wrong)


def test_no_function_is_too_long(sources):
    wrong = [f"{path}:{node.lineno} {node.name}: {node.end_lineno - node.lineno + 1} lines"
             for path, tree in sources.items() for node in functions(tree)
             if node.end_lineno - node.lineno + 1 > MAX_FUNCTION_LINES]
    assert not wrong, "\n".join(wrong)


def test_modules_and_public_functions_say_what_they_are(sources):
    wrong = [f"{path}: no module docstring" for path, tree in sources.items() if not ast.get_docstring(tree)]
    for path, tree in sources.items():
        public = [node for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)
                  and not node.name.startswith("_")]
        wrong += [f"{path}:{node.lineno} {node.name}: no docstring" for node in public if not ast.get_docstring(node)]
    assert not wrong, "\n".join(wrong)


def test_every_file_has_a_name_that_says_something(sources):
    wrong = [str(path) for path in sources if FORBIDDEN_NAMES & {part.removesuffix(".py") for part in path.parts}]
    assert not wrong, f"name these after what they do: {wrong}"


def test_users_mistakes_are_no_assertions(sources):
    wrong = [f"{path}:{node.lineno}" for path, tree in sources.items() for node in ast.walk(tree)
             if isinstance(node, ast.Assert)]
    assert not wrong, f"raise a PinrecError instead of assert: {wrong}"


def test_nothing_names_this_machine(root):
    paths = [Path(folder, name) for folder, folders, names in os.walk(root) if not _skip(folders) for name in names
             if Path(name).suffix in TEXT_FILES]
    assert len(paths) > 60
    wrong = [f"{path.relative_to(root)}:{number}" for path in paths
             for number, line in enumerate(path.read_text("utf-8").splitlines(), 1) if MACHINE_PATHS.search(line)]
    assert not wrong, f"machine paths in {wrong}"


def _skip(folders: list[str]) -> None:
    """Keep os.walk out of what is installed, generated or git's."""
    folders[:] = [name for name in folders if name not in NOT_OURS and not name.endswith(("_cache", ".egg-info"))]
