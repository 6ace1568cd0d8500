"""What a clean process does to a release: load it, ask it again for users of its evaluation, compare and measure."""

from __future__ import annotations

import resource
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from pinrec_core.config import IndexConfig
from pinrec_core.data.dataset import Dataset
from pinrec_core.errors import IntegrityError
from pinrec_core.evaluation.metrics import recall, target_ranks, user_means
from pinrec_core.evaluation.table import MODEL
from pinrec_core.release import bundle
from pinrec_core.release.answer import answer
from pinrec_core.release.engines import chosen_engine, engine_check, latency_check, try_engines
from pinrec_core.release.load import LoadedRelease, load_release
from pinrec_core.release.replay import Replayed, replay
from pinrec_core.release.verification import Check, Verification, fingerprints_of
from pinrec_core.retrieval.index import set_threads
from pinrec_core.retrieval.sweep import ANN_K

_ANSWER_N = 20  # items asked for by the one request that goes the whole way, user id to titles
_RECALL = f"{MODEL}.recall@"  # columns of per_user.parquet that are replayed
_ROUNDING = 1e-5  # of a vector's coordinates, between machines


def verify(directory: Path, release_id: str, dataset: Path, index: IndexConfig) -> Verification:
    """All checks of one release directory. Raises IntegrityError if it cannot be loaded as what it claims to be."""
    set_threads(1)  # as in serving, so that latency means the same
    torch.set_num_threads(1)
    start = time.perf_counter()
    release = load_release(directory, release_id)
    measured = {"load_s": time.perf_counter() - start, "peak_rss_mb_after_load": _peak_mb()}
    opened = Dataset.open(dataset)
    given, evaluated_on = opened.manifest.fingerprint, release.manifest.facts["dataset_fingerprint"]
    if given != evaluated_on:
        raise IntegrityError(f"dataset {dataset} has fingerprint {given}, release {release_id} was evaluated on "
                             f"{evaluated_on}; pass that dataset")
    evaluated = pq.read_table(directory / bundle.PER_USER)
    vector_ID = release.model.search_vectors(release.surface).numpy()  # made afresh from the loaded weights
    replayed = replay(release, opened, evaluated, index.verify_users)
    trials = try_engines(release, replayed, _cut_offs(evaluated), index)
    engine = chosen_engine(release.retriever.generation.engine, trials)
    checks = (_integrity(release), *recall_checks(release.surface, replayed, evaluated, index.recall_tolerance),
              _vectors(release, vector_ID), _ann_recall(release, replayed, vector_ID, index.min_ann_recall),
              engine_check(engine, trials), latency_check(release.surface, engine, trials, index),
              _whole_answer(release, replayed))
    measured |= {"requests": float(len(replayed.latency_R)), "peak_rss_mb": _peak_mb()}
    for trial in (trial for trial in trials if trial.kind is engine and trial.n):
        measured |= {"p50_ms": trial.p50_ms, "p99_ms": trial.p99_ms}
    return Verification(release_id=release_id, surface=release.surface,
                        passed=not any(check.rejects for check in checks),
                        fingerprints=fingerprints_of(release.manifest), checks=checks, measured=measured,
                        engine=engine, engines=tuple(trials))


def recall_checks(surface: str, replayed: Replayed, evaluated: pa.Table, tolerance: float) -> list[Check]:
    """One check per evaluated cut-off: mean recall of the replay against the evaluation's, on the same users."""
    place = {user: row for row, user in enumerate(evaluated["user_id"].to_pylist())}
    rows = [place[user] for user in replayed.users]
    if not rows:
        return [Check(name="replay_recall", passed=False, n=0, sentence=f"{surface}: none of the evaluation's users "
                      "is in the dataset, so nothing shows that the release answers as the evaluated model did")]
    cohort = replayed.cohort
    rank_T = target_ranks(replayed.item_RN, cohort.request_T, cohort.item_T)
    checks = []
    for k in _cut_offs(evaluated):
        now_U = user_means(recall(rank_T, cohort.request_T, len(cohort), k), cohort.row_R, len(rows))
        then_U = evaluated[f"{_RECALL}{k}"].to_numpy()[rows]
        checks.append(_recall_check(surface, k, float(now_U.mean()), float(then_U.mean()), len(rows), tolerance))
    return checks


def _cut_offs(evaluated: pa.Table) -> list[int]:
    return [int(name.removeprefix(_RECALL)) for name in evaluated.column_names if name.startswith(_RECALL)]


def _recall_check(surface: str, k: int, now: float, then: float, n: int, tolerance: float) -> Check:
    difference = abs(now - then)
    good = difference <= tolerance  # False for NaN
    relation = "within" if good else "not within"
    return Check(name="replay_recall", passed=good, observed=difference if np.isfinite(difference) else None,
                 limit=tolerance, n=n, sentence=f"{surface} recall@{k} replayed {now:.4f}, evaluated {then:.4f} "
                 f"(n = {n}): {relation} {tolerance:g} of each other")


def _integrity(release: LoadedRelease) -> Check:
    files = len(release.manifest.files)
    return Check(name="integrity", passed=True, observed=files, sentence=f"all {files} files have the hashes of "
                 f"release {release.release_id[:12]}, and its index belongs to its model")


def _vectors(release: LoadedRelease, vector_ID: np.ndarray) -> Check:
    """Whether what is served is what the weights give."""
    off = float(np.abs(release.retriever.search_vectors_ID - vector_ID).max())
    return Check(name="vectors", passed=off <= _ROUNDING, observed=off if np.isfinite(off) else None, limit=_ROUNDING,
                 sentence=f"{release.surface} item vectors differ by at most {off:.1e} from those of the weights, "
                 f"{_ROUNDING:g} is allowed for rounding")


def _ann_recall(release: LoadedRelease, replayed: Replayed, vector_ID: np.ndarray, limit: float) -> Check:
    """Of the loaded index against exact search over vectors made afresh."""
    index = release.retriever.index
    observed = index.ann_recall(replayed.search_MD, vector_ID, ANN_K)
    good = bool(np.isfinite(observed)) and observed >= limit
    return Check(name="ann_recall", passed=good, observed=observed if np.isfinite(observed) else None, limit=limit,
                 n=len(replayed.users), sentence=f"{release.surface} {index.kind.value} index finds {observed:.4f} of "
                 f"the exact top {min(ANN_K, index.n_items)} of {len(replayed.search_MD)} generated queries, "
                 f"{'at least' if good else 'less than the required'} {limit:g}")


def _whole_answer(release: LoadedRelease, replayed: Replayed) -> Check:
    """One request from a user id to item ids, through the release's own histories."""
    expected = min(_ANSWER_N, release.retriever.index.n_items)
    found = answer(release, replayed.users[0], n=_ANSWER_N) if replayed.users else []
    distinct = len({item.item_id for item in found})
    return Check(name="whole_answer", passed=distinct == expected, observed=distinct, limit=expected,
                 sentence=f"{release.surface}: one user asked by id got {distinct} distinct items, {expected} are "
                 "expected")


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
