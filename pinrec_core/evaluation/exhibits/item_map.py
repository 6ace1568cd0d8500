"""Item vectors in two dimensions, coloured by category: do items of a kind lie together?

Two principal components (numpy's SVD): distances on the map are those of the vectors as far as two directions show
them, and `explained` says how far that is.

Legend: N items, D dimensions.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pyarrow as pa

CATEGORIES = 6  # with a colour of their own, the most frequent; others share one
OTHERS = "others"


def item_map(vectors_ND: np.ndarray, items: pa.Table, among: int) -> dict[str, Any] | None:
    """{"points": [[x, y, category number], ...], "categories", "explained", "n", "among"}; None below three items.

    `items` has the vectors' rows, `among` counts the items they are a sample of. None too for vectors that are not
    finite.
    """
    if len(vectors_ND) < 3 or vectors_ND.shape[1] < 2 or not np.isfinite(vectors_ND).all():
        return None
    centred_ND = vectors_ND.astype(np.float64) - vectors_ND.mean(axis=0)
    left, spectrum_D, _ = np.linalg.svd(centred_ND, full_matrices=False)
    place_N2 = left[:, :2] * spectrum_D[:2]
    place_N2 *= np.where(place_N2[np.abs(place_N2).argmax(axis=0), [0, 1]] < 0, -1.0, 1.0)  # the sign is arbitrary
    number_N, names = categories(items)
    power = float((spectrum_D**2).sum())
    return {"points": [[round(float(x), 3), round(float(y), 3), int(c)] for (x, y), c in
                       zip(place_N2, number_N, strict=True)],
            "categories": names, "n": len(vectors_ND), "among": among,
            "explained": round(float((spectrum_D[:2]**2).sum()) / power, 4) if power else None}


def categories(items: pa.Table) -> tuple[np.ndarray, list[str]]:
    """Number of each item's category, and the names by number; the last is "others", which may have no items.

    A category is the first attribute of an item. The item table has attributes as hashes, so a category takes its name
    from the titles: the word that is in most of them and hardly elsewhere.
    """
    first = [values[0] if values else None for values in items["attributes"].to_pylist()]
    frequent = [value for value, _ in Counter(v for v in first if v is not None).most_common(CATEGORIES)]
    number = {value: place for place, value in enumerate(frequent)}
    number_N = np.array([number.get(value, len(frequent)) for value in first])
    words = [set((title or "").lower().split()) for title in items["title"].to_pylist()]
    everywhere = Counter(word for title in words for word in title)
    names = [_name([words[row] for row in np.flatnonzero(number_N == place)], everywhere, place + 1)
             for place in range(len(frequent))]
    return number_N, [*names, OTHERS]


def _name(titles: list[set[str]], everywhere: Counter[str], place: int) -> str:
    here = Counter(word for title in titles for word in title)
    for word, count in sorted(here.items(), key=lambda pair: (-pair[1] ** 2 / everywhere[pair[0]], pair[0])):
        if count >= len(titles) / 2 and count >= everywhere[word] / 2:
            return word
        break
    return f"category {place}"
