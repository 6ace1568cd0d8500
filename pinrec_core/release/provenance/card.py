"""card.md of a release: what it is, what it was made of, how good it was found and by what it was let through.

Written from the release's own files, so that it says nothing that is not there; the same release has the same card.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pinrec_core import storage
from pinrec_core.model.files import TRAINING
from pinrec_core.release import bundle
from pinrec_core.release.outcome import told
from pinrec_core.release.provenance.evidence_tables import baseline_table, live_table, metric_table, slice_table
from pinrec_core.release.provenance.lineage import Lineage
from pinrec_core.release.provenance.markdown import flattened, table
from pinrec_core.release.verdict import parse_verdict

_CONFIGURATION = ("model", "log")  # parts of model.json


def write_card(folder: Path, surface: str, lineage: Lineage, counts: dict[str, int], refreshed_from: str = "") -> None:
    """Write the card into a release that has all its other parts and no manifest yet."""
    sections = [_what(folder, surface, refreshed_from, counts), _data(lineage, counts), _training(folder, lineage),
                _metrics(folder), _gate(folder, surface), _index(folder), _limits(counts), _back(surface)]
    storage.write_bytes(str(folder / bundle.CARD), ("\n\n".join(sections) + "\n").encode())


def _what(folder: Path, surface: str, refreshed_from: str, counts: dict[str, int]) -> str:
    generation = _json(folder / bundle.GENERATION)
    evaluation = _json(folder / bundle.EVALUATION)
    refreshed = (f"\n\nIt is release `{refreshed_from}` with {counts[bundle.NEW_ITEMS]} new items, placed by their "
                 "content without training: metrics and gate results below are of the model before." if refreshed_from
                 else "")
    return (f"# Retrieval for surface {surface}\n\nFrom what a user engaged with last it generates query vectors, "
            f"{generation['steps']} steps for each wanted outcome, and answers with up to {generation['candidates']} "
            f"of {counts['indexed_items']} items. Requests were evaluated per {evaluation.get('unit', 'request')}. "
            f"Its id is the fingerprint of its manifest.{refreshed}")


def _data(lineage: Lineage, counts: dict[str, int]) -> str:
    dataset = next(m for m in lineage.manifests.values() if m.kind == "dataset")
    facts, events, catalog = dataset.facts, lineage.inputs.events, lineage.inputs.catalog
    rows = [("dataset", f"`{dataset.fingerprint}`"), ("days", f"{facts.get('first_date', '')} to {facts['date']}"),
            *((name, value) for name, value in sorted(dataset.counts.items())),
            ("users with a history in the release", counts["users"]), ("items the model knows", counts["items"]),
            ("items that can be answered", counts["indexed_items"])]
    files = ""
    if events:
        read = [file for files in events.values() for file in files]
        files = (f"\n\nRead from {len(read)} event files of {len(events)} partitions, {min(events)} to {max(events)}, "
                 f"{sum(file[2] for file in read)} rows, and {len(catalog)} catalog files; `lineage.json` names each.")
    return f"## Data\n\n{table(('', ''), rows)}{files}"


def _training(folder: Path, lineage: Lineage) -> str:
    model = [m for m in lineage.manifests.values() if m.kind == "model"]
    results = [(f"`{m.fingerprint[:12]}`", m.facts.get("stage", ""), _pairs(m.counts), _pairs(
        {name: value for name, value in m.facts.items() if name.startswith("validation")})) for m in model]
    described = _json(folder / bundle.MODEL / "model.json")
    settings = flattened({name: described[name] for name in _CONFIGURATION})
    settings |= flattened({"generation": _json(folder / bundle.GENERATION),
                           "index": _json(folder / bundle.INDEX_DESCRIPTION)["config"]})
    for stage in _stages(folder / bundle.MODEL / TRAINING):
        settings |= flattened({stage["stage"]: stage["settings"]})
    rows = [(f"`{name}`", f"`{json.dumps(value)}`") for name, value in settings.items()]
    return (f"## Training\n\n{table(('model', 'stage', 'counts', 'validation'), results)}\n\n"
            f"{table(('setting', 'value'), rows)}")


def _stages(path: Path) -> Iterable[dict[str, Any]]:
    """The model's training and its base's, the base first; none where training did not say."""
    own = _json(path) if path.is_file() else None
    base = (own or {}).get("base") or {}
    return [stage for stage in (base.get("training"), own) if stage]


def _metrics(folder: Path) -> str:
    evaluation = _json(folder / bundle.EVALUATION)
    parts = [f"## Metrics\n\n{evaluation.get('n_users')} users, {evaluation.get('n_requests')} requests, "
             f"{evaluation.get('n_targets')} targets; intervals over users.\n\n{metric_table(evaluation)}"]
    for title, text in (("By part of the targets or users", slice_table(evaluation)),
                        ("Beside baselines", baseline_table(evaluation)),
                        ("Beside the release that was live", live_table(evaluation))):
        parts += [f"### {title}\n\n{text}"] if text else []
    return "\n\n".join(parts)


def _gate(folder: Path, surface: str) -> str:
    verdict = parse_verdict(folder / bundle.VERDICT)
    judged = verdict.surfaces[surface]
    rows = [(rule.rule, rule.word, rule.sentence) for rule in told(surface, judged.rules)]
    return (f"## Gate\n\nDecision on {surface}: **{judged.decision.value}**; on the run, policy "
            f"{verdict.policy.value}: {verdict.decision.value}.\n\n{table(('rule', 'outcome', ''), rows)}")


def _index(folder: Path) -> str:
    index = _json(folder / bundle.INDEX_DESCRIPTION)
    shown = {name: index[name] for name in ("kind", "items", "dimension", "memory", "search") if index.get(name)}
    rows = [(name, value) for name, value in flattened(shown).items() if "curve" not in name]
    search = index.get("search") or {"curve": []}
    rows += [(f"recall of exact search at {search['parameter']} {rung['setting']}", f"{rung['recall']:.4f}")
             for rung in search["curve"]]
    graphs = sorted((folder / bundle.ENGINE).glob("*"))
    rows += [(f"engine/{path.name}", f"{path.stat().st_size} bytes") for path in graphs]
    return (f"## Index and engine\n\n{table(('', ''), rows)}\n\nWhich engine serves, and its milliseconds, depend on "
            "the machine: `verifications/<id>.json` of the registry has what verify_release measured, and `pinrec "
            "registry show --card` prints it below this card.")


def _limits(counts: dict[str, int]) -> str:
    return "\n".join((
        "## Limits", "",
        "- Measured offline, on what users did with what other systems had shown them: what they were never shown "
        "counts as not wanted. It says how well logged engagements are found, not what a user would do.",
        f"- It knows the {counts['items']} items of its catalog. Newer ones need `pinrec index refresh` or a new run.",
        f"- Histories end with its data, and are those of {counts['users']} users; others are answered from the "
        "history that comes with the request, if the service is given one.",
        "- One training run with one seed: the intervals are over users, not over trainings.",
        "- A rule with outcome no_baseline or undecided proves nothing about the release that was live."))


def _back(surface: str) -> str:
    return (f"## Going back\n\n    pinrec registry rollback {surface} --registry REGISTRY --reason TEXT\n\nmakes the "
            "previous release live, once it has been found whole and loads, and marks this one so that it is not "
            "promoted again by itself.")


def _json(path: Path) -> dict[str, Any]:
    return json.loads(path.read_bytes())


def _pairs(values: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value:.4f}" if isinstance(value, float) else f"{name} {value}"
                     for name, value in values.items())
