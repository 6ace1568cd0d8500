"""diff: what differs between two releases. `pinrec registry diff A B`."""

from __future__ import annotations

import json
from typing import Any

from pydantic import BaseModel, ConfigDict

from pinrec_core.manifest import Manifest
from pinrec_core.model.files import DESCRIPTION, TRAINING
from pinrec_core.release import bundle, stored
from pinrec_core.release.provenance.markdown import flattened
from pinrec_core.release.provenance.settings import training_settings

_MODEL_JSON = f"{bundle.MODEL}/{DESCRIPTION}"
_TRAINING_JSON = f"{bundle.MODEL}/{TRAINING}"
Pair = tuple[Any, Any]  # what A has and what B has; None = nothing


class Difference(BaseModel):
    """What two releases do not have in common, by name."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    facts: dict[str, Pair]  # and counts and parents
    metrics: dict[str, Pair]  # all of them, the same ones too
    config: dict[str, Pair]
    files: dict[str, Pair]  # sha256


def difference(registry: str, first: str, second: str) -> Difference:
    """Compare two releases. Raises IntegrityError if what is compared is missing or altered."""
    manifests = [stored.release_manifest(registry, release_id) for release_id in (first, second)]
    facts = [flattened({"code_version": m.code_version, "config_fingerprint": m.config_fingerprint,
                        "parents": m.parents, "counts": m.counts,
                        **{name: value for name, value in m.facts.items() if name != "recall"}}) for m in manifests]
    metrics = [{name: cell.get("value") for name, cell in _json(registry, m, bundle.EVALUATION)["metrics"].items()}
               for m in manifests]
    files = [{name: entry.sha256 for name, entry in m.files.items()} for m in manifests]
    return Difference(facts=_differing(*facts), metrics=_paired(*metrics), files=_differing(*files),
                      config=_differing(*(configuration(registry, m) for m in manifests)))


def configuration(registry: str, manifest: Manifest) -> dict[str, Any]:
    """Every setting that shaped a release, by its place in a configuration file where it has one.

    Raises IntegrityError if a file that tells of it is missing or altered.
    """
    described = _json(registry, manifest, _MODEL_JSON)
    training = _json(registry, manifest, _TRAINING_JSON) if _TRAINING_JSON in manifest.files else {}
    return flattened({
        "generation": _json(registry, manifest, bundle.GENERATION),
        "index": _json(registry, manifest, bundle.INDEX_DESCRIPTION)["config"],
        **training_settings(described, training)})


def _json(registry: str, manifest: Manifest, name: str) -> dict[str, Any]:
    return json.loads(stored.stored_part(registry, manifest, name))


def _paired(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Pair]:
    return {name: (first.get(name), second.get(name)) for name in dict.fromkeys((*first, *second))}


def _differing(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Pair]:
    return {name: pair for name, pair in sorted(_paired(first, second).items()) if pair[0] != pair[1]}
