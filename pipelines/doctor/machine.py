"""This machine: Python, the packages, memory, disk."""

from __future__ import annotations

import importlib.metadata
import platform
import shutil
import sys
from pathlib import Path

import pinrec_core
from pipelines.doctor import versions
from pipelines.doctor.finding import Finding, fail, ok, skipped, warn
from pipelines.doctor.subject import Subject

EXTRAS = ("steps", "pipelines")  # what `pinrec run` needs of pyproject.toml
INSTALL = 'pip install -c constraints.txt -e ".[all]"'
_GIB = 1024**3
MEMORY_GIB = 2.0  # the largest process of the demo takes 0.7, and two tasks run side by side
DISK_GIB = 5.0  # a work folder grows with every run
_MEMINFO = Path("/proc/meminfo")
_CGROUP = Path("/sys/fs/cgroup")


def python(subject: Subject) -> Finding:
    """The interpreter."""
    seen, tested = platform.python_version(), versions.dotted(versions.PYTHON)
    if sys.version_info[:2] == versions.PYTHON:
        return ok(seen, tested)
    return warn(seen, f"tested with {tested}", f"make a .venv with python{tested}: rm -rf .venv && make run")


def packages(subject: Subject) -> Finding:
    """Whether what `pinrec run` imports is there, in the versions of constraints.txt."""
    from packaging.specifiers import SpecifierSet
    from packaging.utils import canonicalize_name

    missing, other = [], []
    pins = _pins(Path(pinrec_core.__file__).parents[1] / "constraints.txt")
    for name, allowed in sorted(_needed().items()):
        try:
            found = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            missing.append(name)
            continue
        pin = pins.get(canonicalize_name(name), "")
        if not allowed.contains(found, prereleases=True):
            missing.append(f"{name}{allowed} (is {found})")
        elif pin and not SpecifierSet(f"=={pin}").contains(found, prereleases=True):  # 2.13.0 is 2.13.0+cpu too
            other.append(f"{name} {found} (tested {pin})")
    if missing:
        return fail(f"missing: {', '.join(missing)}", "pyproject.toml", INSTALL)
    if other:
        return warn(", ".join(other), "constraints.txt", INSTALL)
    if not pins:
        return warn("there, in versions that pyproject.toml allows", "constraints.txt, which is not beside this code",
                    "install from a checkout to get the tested versions")
    return ok(f"{len(_needed())} packages at the tested versions", "constraints.txt")


def memory(subject: Subject) -> Finding:
    """What is free of this machine, or of the container this is in."""
    free = _free_memory()
    if free is None:
        return skipped("the free memory is told on Linux only")
    seen, limit = f"{free / _GIB:.1f} GiB free", f"{MEMORY_GIB:g} GiB"
    if free < MEMORY_GIB * _GIB:
        return warn(seen, limit, "end other programs; large logs need more: docs/aggregation.md")
    return ok(seen, limit)


def disk(subject: Subject) -> Finding:
    """What is free where the work folder is or will be."""
    there = next(folder for folder in (subject.work.resolve(), *subject.work.resolve().parents) if folder.is_dir())
    free = shutil.disk_usage(there).free
    seen, limit = f"{free / _GIB:.0f} GiB free at {there}", f"{DISK_GIB:g} GiB"
    if free < DISK_GIB * _GIB:
        return warn(seen, limit, "make room: `pinrec registry gc` removes old releases, rm -rf work/NAME/tasks the "
                                 "outputs of old runs")
    return ok(seen, limit)


def _needed() -> dict:
    """Requirements of pinrec with EXTRAS, extras of extras followed: name -> allowed versions."""
    from packaging.requirements import Requirement

    wanted, extras, waiting = {}, set(), list(EXTRAS)
    declared = [Requirement(text) for text in importlib.metadata.requires("pinrec") or ()]
    while waiting:
        extra = waiting.pop()
        extras.add(extra)
        for needed in declared:
            if needed.marker and not any(needed.marker.evaluate({"extra": each}) for each in ("", extra)):
                continue
            if needed.name == "pinrec":
                waiting += needed.extras - extras
            else:
                wanted[needed.name] = needed.specifier
    return wanted


def _pins(file: Path) -> dict[str, str]:
    """Package -> tested version; empty if the file is not there."""
    from packaging.utils import canonicalize_name

    if not file.is_file():
        return {}
    lines = (line.partition("==") for line in file.read_text("utf-8").splitlines() if "==" in line)
    return {canonicalize_name(name): version.strip() for name, _, version in lines if not name.startswith("#")}


def _free_memory() -> int | None:
    """Bytes that programs may still take, None where nobody says."""
    if not _MEMINFO.is_file():
        return None
    lines = dict(line.split(":", 1) for line in _MEMINFO.read_text("utf-8").splitlines())
    free = int(lines["MemAvailable"].split()[0]) * 1024
    limit, used = _CGROUP / "memory.max", _CGROUP / "memory.current"
    if limit.is_file() and used.is_file() and (bound := limit.read_text().strip()) != "max":
        free = min(free, int(bound) - int(used.read_text()))
    return free
