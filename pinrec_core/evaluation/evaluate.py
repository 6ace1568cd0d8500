"""The evaluate step: one model on one surface, through the code that serves, beside baselines and the live release.

    evaluation.json    surface, unit, counts; metrics with intervals, also by slice; the table of rows; the live release
                       (also by slice) and every baseline with the paired difference; how the item vectors lie
    per_user.parquet   the same metrics per user and row, for paired comparisons
    exhibits.json      what the report shows of a small sample: outcomes, a map of the items, some users
    timings.json       seconds per part; outside the manifest, so that equal inputs give equal fingerprints
"""

from __future__ import annotations

import json
import logging
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from pinrec_core import storage
from pinrec_core.config import EvaluationConfig, GenerationConfig, IndexConfig
from pinrec_core.data.dataset import Dataset
from pinrec_core.errors import ConfigError
from pinrec_core.evaluation.baselines import baseline_lists
from pinrec_core.evaluation.cohort import build_cohort
from pinrec_core.evaluation.document import document, live_part, per_user
from pinrec_core.evaluation.embedding import embedding_health
from pinrec_core.evaluation.exhibits.collect import exhibits
from pinrec_core.evaluation.live import open_live
from pinrec_core.evaluation.slices import Slices, slices_of
from pinrec_core.evaluation.subject import Answers, ask, fresh_retriever, plain_answers, suited
from pinrec_core.evaluation.table import LIVE, MODEL, Table
from pinrec_core.manifest import Manifest, fingerprint_of, read_manifest, write_manifest
from pinrec_core.model.io import load_model
from pinrec_core.retrieval.allow import allowed_items

EVALUATION_NAME, PER_USER_NAME, TIMINGS_NAME = "evaluation.json", "per_user.parquet", "timings.json"
EXHIBITS_NAME = "exhibits.json"
log = logging.getLogger("pinrec")


def evaluate(dataset: Path, model: Path, output: Path, *, surface: str, generation: GenerationConfig,
             evaluation: EvaluationConfig, index: IndexConfig, registry: str, live_id: str | None = None,
             model_uri: str = "") -> Manifest:
    """Measure `model` on `surface` and write an output of kind "evaluation"; `registry` "" = nothing is live.

    `live_id` is the release to compare with, "" for none; None = what is live now.

    Of `index` only the surface's allow list counts: what it leaves out is not retrieved, here as in the release.

    `model_uri` says where later steps find the model when that is not the local path read here (another pod's disk).

    The live release, if any, answers the same requests with the same generation settings, as far as they suit it: a
    changed set of offsets or actions must not end the comparison. Raises ConfigError for an unknown surface or a list
    shorter than the largest k, IntegrityError for damaged inputs. An empty cohort is no error: its metrics are null
    with n = 0, which no gate passes.
    """
    depth = max(evaluation.ks)
    if depth > generation.candidates:
        raise ConfigError(f"evaluation.ks reach {depth}, generation.candidates is only {generation.candidates}; "
                          "raise it")
    model = Path(model)
    clock, data = _Clock(), Dataset.open(Path(dataset))
    parents = {"dataset": data.manifest.fingerprint, "model": read_manifest(model, "model").fingerprint}
    cohort = build_cohort(data, surface, evaluation)
    clock.lap("open")
    candidate = load_model(model, verify=False)
    allowed = allowed_items(candidate, surface, index)
    retriever = fresh_retriever(candidate, surface, generation, allowed.item_I)
    answers = {MODEL: ask(retriever, data, cohort, depth)}
    vectors_ID = retriever.search_vectors_ID[:, :candidate.config.item_dim]  # without the biases behind them
    embedding = embedding_health(vectors_ID[allowed.item_I], evaluation.seed)
    clock.lap("model")
    shown = exhibits(retriever, data, cohort, allowed.item_I, evaluation)
    clock.lap("exhibits")
    with open_live(registry, surface, live_id) as live:
        release_id = live.release_id if live else None
        if live:
            theirs = fresh_retriever(live.model, surface, suited(generation, live.model),
                                     allowed_items(live.model, surface, index).item_I)
            answers[LIVE] = ask(theirs, data, cohort, depth)
            parents["live_model"] = live.fingerprint
    clock.lap("live")
    lists = baseline_lists(data, cohort, depth, evaluation)
    baselines = {name: plain_answers(item_RN, cohort) for name, item_RN in lists.items()}
    clock.lap("baselines")
    slices = slices_of(cohort, data)
    table = _table(Table(cohort, evaluation.ks), slices, answers, baselines)
    found = table.estimated(evaluation)
    clock.lap("estimates")
    result = document(table, found, answers | baselines, slices, data) | {
        "live": live_part(release_id, found, answers, slices), "embedding": embedding,
        "model_fingerprint": parents["model"], "dataset_fingerprint": parents["dataset"],
        "model_path": model_uri or str(model.absolute()), "allow_sha256": allowed.sha256}
    _tell(result, evaluation.ks[0], sum(clock.seconds.values()))
    with storage.staged_directory(output) as aside:
        storage.write_bytes(str(aside / EVALUATION_NAME), json.dumps(result, indent=1, allow_nan=False).encode())
        storage.write_bytes(str(aside / EXHIBITS_NAME), json.dumps(shown, allow_nan=False).encode())
        pq.write_table(per_user(table, data), aside / PER_USER_NAME)
        manifest = write_manifest(
            aside, kind="evaluation", parents=parents,
            config_fingerprint=fingerprint_of(generation, evaluation, surface),
            counts={name: result[f"n_{name}"] for name in ("users", "requests", "targets")},
            facts={"surface": surface, "unit": cohort.unit, "model_path": result["model_path"]})
        storage.write_bytes(str(aside / TIMINGS_NAME), json.dumps(clock.seconds, indent=1).encode())
    return manifest


def _tell(result: dict[str, Any], k: int, seconds: float) -> None:
    headline = result["metrics"][f"recall@{k}"]["value"]
    log.info("evaluate %s: %d users, %d targets, recall@%d %s, %.1f s", result["surface"], result["n_users"],
             result["n_targets"], k, "none" if headline is None else f"{headline:.4f}", seconds)


class _Clock:
    """Seconds since the previous lap, by name."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.seconds[name], self._last = round(now - self._last, 3), now


def _table(table: Table, slices: Slices, answers: dict[str, Answers], baselines: dict[str, Answers]) -> Table:
    """All columns: every row as a whole, candidate and live release also by slice, and the paired differences."""
    for row, answer in (answers | baselines).items():
        table.add(row, answer)
    for row, answer in answers.items():
        table.add_slices(row, answer, slices)
    table.add_differences(MODEL, [row for row in (*answers, *baselines) if row != MODEL])
    return table
