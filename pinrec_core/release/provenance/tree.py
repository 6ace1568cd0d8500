"""The tree from a release back to the files of its events. `pinrec lineage ID` prints it."""

from __future__ import annotations

from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict

from pinrec_core.manifest import Manifest
from pinrec_core.release.provenance.built import Built
from pinrec_core.release.provenance.lineage import Lineage

_FACTS = ("surface", "stage", "date", "first_date", "train_end_ms", "index", "decision", "policy", "unit",
          "catalog_sha256")  # what is told of a manifest beside its counts


class Node(BaseModel):
    """Something a release came from, and what that came from."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    role: str  # what it was to its child: "dataset", "model", "base", ...
    kind: str  # of its manifest; "" = there is none at hand, or it is a file
    fingerprint: str
    told: dict[str, Any] = {}  # config fingerprint, code version, counts and facts
    parents: tuple[Node, ...] = ()


def tree(manifest: Manifest, lineage: Lineage, built: Built) -> Node:
    """The whole tree of a release; what several came from is told in full where it comes first."""
    known = lineage.manifests | {manifest.fingerprint: manifest}
    build = {"built": built.when, "by": built.who, "commit": built.commit or "not known", "image": built.image}
    top = _Growing(known, lineage, set()).node("release", manifest.fingerprint)
    return top.model_copy(update={"told": build | top.told})


def lines(node: Node, *, files: bool) -> list[str]:
    """The tree as lines of text; single input files only with `files`."""
    return [_head(node), *_below(node, "", files)]


class _Growing(NamedTuple):
    known: dict[str, Manifest]  # by fingerprint
    lineage: Lineage
    told: set[str]  # fingerprints that stand in the tree already

    def node(self, role: str, fingerprint: str) -> Node:
        """A parent with all its own."""
        manifest = self.known.get(fingerprint)
        if manifest is None or fingerprint in self.told:
            return Node(role=role, kind=manifest.kind if manifest else "", fingerprint=fingerprint,
                        told={"": "told above" if manifest else "its manifest is not kept"})
        self.told.add(fingerprint)
        told = {"config": manifest.config_fingerprint, "code": manifest.code_version} | manifest.counts
        told |= {name: manifest.facts[name] for name in _FACTS if name in manifest.facts}
        from_files = manifest.kind == "dataset" and self.lineage.inputs.events
        parents = [_partitions(name, parent, self.lineage) if from_files else self.node(name, parent)
                   for name, parent in manifest.parents.items()]
        return Node(role=role, kind=manifest.kind, fingerprint=fingerprint, parents=tuple(parents),
                    told={name: value for name, value in told.items() if value != ""})


def _partitions(role: str, fingerprint: str, lineage: Lineage) -> Node:
    """The input files of a dataset, the events by partition."""
    if role == "catalog":
        return Node(role=role, kind="", fingerprint=fingerprint, told={"files": len(lineage.inputs.catalog)},
                    parents=tuple(_file(file) for file in lineage.inputs.catalog))
    days = [Node(role=f"date={date}", kind="", fingerprint="", parents=tuple(_file(file) for file in files),
                 told={"files": len(files), "rows": sum(file[2] for file in files)})
            for date, files in sorted(lineage.inputs.events.items())]
    return Node(role=role, kind="", fingerprint=fingerprint, parents=tuple(days),
                told={"partitions": len(days), "rows": sum(day.told["rows"] for day in days)})


def _file(file: tuple[str, int, int, str]) -> Node:
    name, size, rows, mark = file
    return Node(role=name, kind="file", fingerprint=mark, told={"bytes": size, "rows": rows})


def _head(node: Node) -> str:
    told = ", ".join(f"{name} {_short(value)}".strip() for name, value in node.told.items())
    return " ".join(part for part in (node.role, node.fingerprint[:12], f"({told})" if told else "") if part)


def _below(node: Node, indent: str, files: bool) -> list[str]:
    shown = [parent for parent in node.parents if files or parent.kind != "file"]
    found = []
    for place, parent in enumerate(shown):
        last = place == len(shown) - 1
        found.append(f"{indent}{'└─ ' if last else '├─ '}{_head(parent)}")
        found += _below(parent, f"{indent}{'   ' if last else '│  '}", files)
    return found


def _short(value: Any) -> Any:
    return value[:12] if isinstance(value, str) and len(value) == 64 else value
