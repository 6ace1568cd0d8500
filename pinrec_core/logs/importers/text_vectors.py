"""Content vectors from what a catalog says in words: latent semantic analysis (Deerwester et al., 1990).

Words and pairs of words of the title and the attributes are weighted by TF-IDF, then reduced to a few dimensions by a
truncated SVD. It needs no pretrained model, and an item without any history gets a vector all the same.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from pinrec_core.errors import ConfigError

MIN_ITEMS = 2  # a word of one item says nothing about others


def text_vectors(titles: Sequence[str | None], attributes: Sequence[Sequence[str]], dim: int) -> pa.Array:
    """One unit vector of `dim` float32 per item; null where nothing that is known of the item occurs elsewhere.

    The same catalog gives the same vectors (dimensions that tell nothing apart hold rounding errors, which vary). A
    catalog of fewer words than `dim` gives shorter vectors; with none that two items share, all are null. Raises
    ConfigError without the extra `text`.
    """
    try:
        from sklearn.decomposition import TruncatedSVD
        from sklearn.feature_extraction.text import TfidfVectorizer
    except ModuleNotFoundError as error:
        raise ConfigError("content vectors from texts need scikit-learn, which is not installed; install the extra "
                          "with pip install -c constraints.txt '.[steps,text]'") from error

    documents = [_terms(title, labels) for title, labels in zip(titles, attributes, strict=True)]
    nothing = pa.nulls(len(documents), pa.list_(pa.float32()))
    try:
        weights = TfidfVectorizer(analyzer=list, binary=True, min_df=MIN_ITEMS).fit_transform(documents)
    except ValueError:  # scikit-learn's word for an empty vocabulary
        return nothing
    dim = min(dim, min(weights.shape) - 1)
    if not dim:
        return nothing
    vectors = TruncatedSVD(dim, algorithm="arpack", random_state=0).fit_transform(weights)
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors = (vectors / np.maximum(length, 1e-9)).astype(np.float32)
    return pa.array([row if known else None for row, known in zip(vectors, length[:, 0] > 1e-6, strict=True)],
                    pa.list_(pa.float32()))


def _terms(title: str | None, labels: Sequence[str]) -> list[str]:
    words = (title or "").lower().split()
    return [*words, *(f"{first} {second}" for first, second in zip(words, words[1:], strict=False)),
            *(f"@{label}" for label in labels)]
