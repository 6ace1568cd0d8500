"""Which engine a release is served by: the fastest that finds what torch finds, up to a bound on the recall it loses.

Every engine answers the replayed requests one at a time, as in serving.
"""

from __future__ import annotations

import numpy as np

from pinrec_core.config import EngineKind, IndexConfig
from pinrec_core.evaluation.metrics import recall, target_ranks, user_means
from pinrec_core.release import bundle
from pinrec_core.release.load import LoadedRelease
from pinrec_core.release.replay import Replayed, ask_again
from pinrec_core.release.verification import Check, EngineTrial
from pinrec_core.retrieval.engine import kinds_in


def try_engines(release: LoadedRelease, torch: Replayed, ks: list[int], index: IndexConfig) -> list[EngineTrial]:
    """A trial of every engine the release can run on; `torch` are the answers of the one that defines right ones."""
    trials = []
    for kind in kinds_in(release.directory / bundle.ENGINE):
        found = torch if kind is EngineKind.TORCH else ask_again(release.retriever_on(kind), torch)
        trials.append(_trial(release.surface, kind, found, torch, ks, index.max_engine_loss))
    return trials


def chosen_engine(wanted: EngineKind, trials: list[EngineTrial]) -> EngineKind:
    """The configured engine, or else the fastest that passed; torch always passes."""
    if wanted is not EngineKind.AUTO:
        return wanted
    return min((trial for trial in trials if trial.passed), key=lambda trial: trial.p50_ms).kind


def engine_check(engine: EngineKind, trials: list[EngineTrial]) -> Check:
    """Whether the chosen engine may serve; it says what became of the others."""
    chosen = next((trial for trial in trials if trial.kind is engine), None)
    tried = "; ".join(trial.sentence for trial in trials)
    if chosen is None:
        return Check(name="engine", passed=False, sentence=f"the release has no graph for engine {engine.value!r}; "
                     "build it with generation.engine set to it")
    return Check(name="engine", passed=chosen.passed, observed=chosen.loss, limit=chosen.limit, n=chosen.n,
                 sentence=f"served by {engine.value}: {tried}")


def latency_check(surface: str, engine: EngineKind, trials: list[EngineTrial], index: IndexConfig) -> Check:
    """Whether the chosen engine answers in time; without a measurement only where there is no limit."""
    chosen, limit = next((trial for trial in trials if trial.kind is engine and trial.n), None), index.max_p99_ms
    observed = chosen.p99_ms if chosen else None
    good = not limit or (observed is not None and observed <= limit)
    allowed = f"at most {limit:g} ms allowed" if limit else "no limit is set (index.max_p99_ms)"
    shown = "was not measured" if observed is None else f"{observed:.2f} ms"
    return Check(name="latency", level=index.latency_level, passed=good, observed=observed, limit=limit or None,
                 n=chosen.n if chosen else 0, sentence=f"{surface} {engine.value} p99 {shown} (n = "
                 f"{chosen.n if chosen else 0} users, one request at a time on one thread), {allowed}")


def _trial(surface: str, kind: EngineKind, found: Replayed, torch: Replayed, ks: list[int],
           limit: float) -> EngineTrial:
    """Recall lost to torch on the same users, the worst of all cut-offs."""
    loss, n = 0.0, len(torch.users)
    if kind is not EngineKind.TORCH and n:
        loss = max(float(_recall(torch, k) - _recall(found, k)) for k in ks)
    p50, p99 = np.percentile(found.latency_R, [50, 99]) * 1000 if n else (0.0, 0.0)
    passed = loss <= limit
    return EngineTrial(
        kind=kind, loss=loss, limit=limit, n=n, p50_ms=float(p50), p99_ms=float(p99), passed=passed,
        sentence=f"{surface} {kind.value} p50 {p50:.2f} ms, loses {loss:.4f} of recall (n = {n}), "
        f"{'at most' if passed else 'more than'} {limit:g}")


def _recall(replayed: Replayed, k: int) -> float:
    cohort = replayed.cohort
    rank_T = target_ranks(replayed.item_RN, cohort.request_T, cohort.item_T)
    return user_means(recall(rank_T, cohort.request_T, len(cohort), k), cohort.row_R, len(replayed.users)).mean()
