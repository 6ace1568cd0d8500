"""Who may import whom (docs of the house: rooms import only rooms above them; heavy packages have one owner)."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

# Rooms by height; rooms of equal height do not import each other. A room may import every room with a smaller number.
HEIGHT = {"errors": 0, "progress": 0, "config": 1, "schemas": 1, "outage": 1, "objects": 1, "storage": 1, "manifest": 2,
          "registry": 3, "store": 3, "logs": 4, "data": 4, "model": 5, "training": 6, "retrieval": 7, "evaluation": 8,
          "release": 9, "report": 10, "serving": 11, "tuning": 11, "cli": 12}  # tuning draws its plot in report
# May import each other downwards.
GROUND = {"errors", "progress", "config", "schemas", "outage", "objects", "storage", "manifest", "registry", "store"}

OWNERS = {  # package -> where alone it may be imported: one place, or several as a tuple
    "apache_beam": "pinrec_core/logs/",
    "datasketches": "pinrec_core/logs/",
    "faiss": "pinrec_core/retrieval/",
    "google": ("pinrec_core/objects.py", "pinrec_core/outage.py"),
    "matplotlib": "pinrec_core/report/",
    "jinja2": "pinrec_core/report/",
    "fastapi": "pinrec_core/serving/",
    "uvicorn": "pinrec_core/serving/",
    "redis": "pinrec_core/serving/",
    "prometheus_client": "pinrec_core/serving/",
    "onnx": "pinrec_core/retrieval/",
    "onnxruntime": "pinrec_core/retrieval/",
    "urllib3": ("pinrec_core/report/webhook.py", "pipelines/cluster/transport.py"),
    "optuna": "pinrec_core/tuning/",
    "kubeflow": "pinrec_core/training/launch/trainjob.py",
    "kubernetes": ("pinrec_core/training/launch/trainjob.py", "pipelines/doctor/room.py"),  # quantities of nodes
}


class Import(NamedTuple):
    """One import statement."""

    module: str
    line: int
    in_function: bool


def imports_of(tree: ast.Module) -> Iterator[Import]:
    """Every import of a file, wherever it stands, TYPE_CHECKING blocks included."""
    def walk(node: ast.AST, in_function: bool) -> Iterator[Import]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import):
                yield from (Import(alias.name, child.lineno, in_function) for alias in child.names)
            elif isinstance(child, ast.ImportFrom):
                assert not child.level, f"relative import in line {child.lineno}; name the package"
                yield Import(child.module, child.lineno, in_function)
                if child.module == "pinrec_core":  # from pinrec_core import storage
                    yield from (Import(f"pinrec_core.{alias.name}", child.lineno, in_function)
                                for alias in child.names)
            yield from walk(child, in_function or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef))
    yield from walk(tree, False)


def room_of(module: str) -> str | None:
    """The room a pinrec_core module belongs to, None for anything else."""
    parts = module.split(".")
    return parts[1] if parts[0] == "pinrec_core" and len(parts) > 1 and parts[1] in HEIGHT else None


def test_every_room_has_a_height(sources):
    rooms = {path.parts[1].removesuffix(".py") for path in sources if path.parts[0] == "pinrec_core"} - {"__init__"}
    assert rooms <= set(HEIGHT), f"new room {sorted(rooms - set(HEIGHT))}: give it a height"


def test_rooms_import_only_rooms_above_them(sources):
    wrong = []
    for path, tree in sources.items():
        own = room_of(".".join(path.with_suffix("").parts))
        for found in imports_of(tree):
            other = room_of(found.module)
            if own and other and own != other and HEIGHT[other] >= HEIGHT[own] and not {own, other} <= GROUND:
                wrong.append(f"{path}:{found.line} ({own}) imports {found.module}")
    assert not wrong, "\n".join(wrong)


def test_the_ground_imports_itself_only_downwards(sources):
    wrong = [f"{path}:{found.line} imports {found.module}"
             for path, tree in sources.items() for found in imports_of(tree)
             if (own := room_of(".".join(path.with_suffix("").parts))) in GROUND
             and (other := room_of(found.module)) and own != other and HEIGHT[other] > HEIGHT[own]]
    assert not wrong, "\n".join(wrong)


def test_heavy_packages_have_one_owner(sources):
    wrong = [f"{path}:{found.line} imports {found.module}, which belongs to {owner}"
             for path, tree in sources.items() for found in imports_of(tree)
             for package, owner in OWNERS.items()
             if found.module.split(".")[0] == package and not path.as_posix().startswith(owner)]
    assert not wrong, "\n".join(wrong)


def test_pinrec_core_knows_nothing_of_kfp(sources):
    wrong = [f"{path}:{found.line} imports {found.module}"
             for path, tree in sources.items() if path.parts[0] == "pinrec_core" for found in imports_of(tree)
             if found.module.split(".")[0] in ("kfp", "components", "pipelines")]
    assert not wrong, "\n".join(wrong)


def test_components_import_the_core_inside_their_function_only(sources):
    allowed = {"kfp", "typing", "components.image"}
    wrong = [f"{path}:{found.line} imports {found.module} at its top"
             for path, tree in component_files(sources) for found in imports_of(tree)
             if not found.in_function and found.module not in allowed]
    assert not wrong, "\n".join(wrong)


def test_what_a_step_imports_never_loads_the_compiler_or_the_client(sources):
    forbidden = ("kfp.compiler", "kfp.kubernetes", "kfp.local", "kfp.client")
    wrong = [f"{path}:{found.line} imports {found.module}"
             for path, tree in sources.items() if path.parts[0] == "components" for found in imports_of(tree)
             if found.module.startswith(forbidden)]
    assert not wrong, "\n".join(wrong)


def test_the_pipeline_composes_components_only(sources):
    wrong = [f"line {found.line} imports {found.module}" for found in imports_of(sources[Path("pipelines/training.py")])
             if found.module.split(".")[0] not in ("kfp", "components") and found.module != "pinrec_core.config"]
    assert not wrong, "\n".join(wrong)


def component_files(sources) -> list[tuple[Path, ast.Module]]:
    """Files that hold a component; the package itself, the image name and what components share are none."""
    return [(path, tree) for path, tree in sources.items()
            if path.parts[0] == "components" and path.stem not in ("__init__", "image", "artifacts")]
