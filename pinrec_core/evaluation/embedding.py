"""Whether item vectors still tell items apart: a model whose vectors fall together may keep its recall for a while.

Legend: N items looked at, D dimensions, P probes.
"""

from __future__ import annotations

from typing import Any

import numpy as np

NEAR = 0.999  # cosine from which two items are near doubles
MOST_ITEMS = 100_000  # items looked at, a seeded sample of more
MOST_PROBES = 1_000  # items whose doubles are looked for among them
_BLOCK = 100  # probes compared at a time


def embedding_health(vectors_ND: np.ndarray, seed: int) -> dict[str, Any]:
    """items, dimension, effective_rank and duplicate_share of unit vectors.

    The latter two are None for fewer than two items and for vectors that are not finite. Of more than MOST_ITEMS items
    a seeded sample stands for all; doubles are then looked for in it alone, so the share is a lower bound.
    """
    rng = np.random.default_rng(seed)
    if len(vectors_ND) > MOST_ITEMS:
        vectors_ND = vectors_ND[np.sort(rng.choice(len(vectors_ND), MOST_ITEMS, replace=False))]
    n, dimension = vectors_ND.shape
    probes = rng.permutation(n)[:MOST_PROBES]
    told = n > 1 and bool(np.isfinite(vectors_ND).all())
    return {"items": n, "dimension": dimension, "effective_rank": effective_rank(vectors_ND) if told else None,
            "duplicate_share": duplicate_share(vectors_ND, probes) if told else None}


def effective_rank(vectors_ND: np.ndarray) -> float:
    """exp of the entropy of the singular values over their sum (Roy and Vetterli, 2007): 1 to D, higher is better.

    >>> round(effective_rank(np.eye(4)), 6), round(effective_rank(np.ones((4, 4))), 6)
    (4.0, 1.0)
    """
    gram_DD = vectors_ND.astype(np.float64).T @ vectors_ND
    spectrum_D = np.sqrt(np.maximum(np.linalg.eigvalsh(gram_DD), 0.0))
    share_D = spectrum_D / spectrum_D.sum()
    share_D = share_D[share_D > 0]
    return float(np.exp(-(share_D * np.log(share_D)).sum()))


def duplicate_share(vectors_ND: np.ndarray, probes: np.ndarray) -> float:
    """Share of the probes (rows) that have another row at a cosine of NEAR or more, in [0, 1]; lower is better.

    >>> duplicate_share(np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]), np.arange(3)).__round__(3)
    0.667
    """
    doubles = 0
    for start in range(0, len(probes), _BLOCK):
        rows = probes[start:start + _BLOCK]
        cosine_PN = vectors_ND[rows] @ vectors_ND.T
        cosine_PN[np.arange(len(rows)), rows] = -1.0  # itself is none
        doubles += int((cosine_PN.max(axis=1) >= NEAR).sum())
    return doubles / len(probes)
