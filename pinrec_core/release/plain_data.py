"""Nothing in a release may be code: every file is of a known kind, and the kinds that could hold pickled objects do
not. Only headers are read.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from safetensors import SafetensorError, safe_open

from pinrec_core.manifest import Manifest


def not_plain(directory: Path, manifest: Manifest) -> Iterator[str]:
    """A sentence for every file that is not plain data of the kind its name says."""
    for name in manifest.files:
        problem = _problem(directory / name)
        if problem:
            yield f"{directory / name}: refused, {problem}; build release {manifest.fingerprint} again"


def _problem(path: Path) -> str:
    if path.suffix not in _KINDS:
        return (f"a release holds no {path.suffix or 'nameless'} files, but {', '.join(sorted(_KINDS))}: weights are "
                "data, never code")
    try:
        return _KINDS[path.suffix](path)
    except (OSError, ValueError, KeyError, SafetensorError, pa.ArrowException, zipfile.BadZipFile) as error:
        return f"not {path.suffix} ({error})"


def _text(path: Path) -> str:
    """JSON and Markdown; index and graph are read by parsers that know no objects."""
    return ""


def _safetensors(path: Path) -> str:
    with safe_open(path, framework="numpy"):
        return ""


def _parquet(path: Path) -> str:
    pq.read_metadata(path)
    return ""


def _array(path: Path) -> str:
    with path.open("rb") as file:
        return _array_header(file)


def _arrays(path: Path) -> str:
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            member = PurePosixPath(name)
            if member.is_absolute() or ".." in member.parts or "\\" in name:
                return f"its member {name!r} points outside of it"
            if member.suffix != ".npy":
                return f"its member {name!r} is no array"
            with archive.open(name) as file:
                if problem := _array_header(file):
                    return f"its member {name!r} is {problem}"
    return ""


def _array_header(file: BinaryIO) -> str:
    """Raises ValueError if there is none, as of a pickle."""
    version = np.lib.format.read_magic(file)
    if version not in _HEADERS:
        raise ValueError(f"array format {version}")
    _, _, kind = _HEADERS[version](file)
    return "an array of pickled objects" if kind.hasobject else ""


_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
_KINDS: dict[str, Callable[[Path], str]] = {
    ".json": _text, ".jsonl": _text, ".md": _text, ".faiss": _text, ".onnx": _text, ".safetensors": _safetensors,
    ".parquet": _parquet, ".npy": _array, ".npz": _arrays}
