"""exhibits.json of an evaluation: small things to look at, from a seeded sample. Nothing of it decides anything.

    outcomes   recall by asked and by real outcome, and along the shares of two outcomes
    item_map   item vectors in two dimensions, by category
    samples    some users with their history, what they then engaged with, and what is retrieved
    seconds    stands in timings.json as "exhibits"
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pinrec_core.config import EvaluationConfig
from pinrec_core.data.dataset import Dataset
from pinrec_core.evaluation.cohort import Cohort
from pinrec_core.evaluation.exhibits.item_map import item_map
from pinrec_core.evaluation.exhibits.outcomes import outcomes
from pinrec_core.evaluation.exhibits.samples import samples
from pinrec_core.evaluation.subject import Translation
from pinrec_core.retrieval.retriever import Retriever

OUTCOME_USERS = 300  # users whose requests are asked again for every outcome
SAMPLE_USERS = 6  # users that are shown
MAP_ITEMS = 900  # items on the map


def exhibits(retriever: Retriever, dataset: Dataset, cohort: Cohort, item_I: np.ndarray,
             evaluation: EvaluationConfig) -> dict[str, Any]:
    """Of a candidate whose answers to `cohort` were measured; `item_I` (bool) says which of its items are retrieved.

    A part about which nothing can be said (no requests, one outcome, too few items) is None.
    """
    rng = np.random.default_rng(evaluation.seed)
    translation = Translation.between(dataset, retriever.model)
    asked = cohort.of_users(rng.permutation(cohort.user_U)[:OUTCOME_USERS])
    shown = cohort.of_users(rng.permutation(cohort.user_U)[:SAMPLE_USERS])
    vectors_ID = retriever.search_vectors_ID[:, :retriever.model.config.item_dim]
    rows = np.flatnonzero(item_I)
    rows = np.sort(rng.choice(rows, MAP_ITEMS, replace=False)) if len(rows) > MAP_ITEMS else rows
    return {"surface": cohort.surface,
            "outcomes": outcomes(retriever, dataset, asked, translation, evaluation),
            "item_map": item_map(vectors_ID[rows], retriever.model.items.take(rows), int(item_I.sum())),
            "samples": samples(retriever, dataset, shown, translation)}
