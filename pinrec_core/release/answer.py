"""recommend: the live release answers. `pinrec recommend --surface home --user 42 --outcome click=0.5`.

Only what an alias calls live is ever used, and its hashes are checked on every load.
"""

from __future__ import annotations

import difflib
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pinrec_core import registry as registry_
from pinrec_core import storage
from pinrec_core.data.batch import History
from pinrec_core.errors import ConfigError, DataError, PinrecError
from pinrec_core.release import bundle
from pinrec_core.release.histories import read_history
from pinrec_core.release.load import LoadedRelease, load_verified
from pinrec_core.schemas import NO_ITEM


class Recommendation(NamedTuple):
    """One retrieved item."""

    item_id: str
    title: str | None  # None where the catalog has none
    score: float  # cosine of item and the query that claimed it, plus what bias and transitions add, over the scale
    outcome: str  # the action that query asked for
    step: int  # generation step of that query, from 0


def recommend(registry: str, surface: str, user_id: str, *, outcomes: dict[str, float] | None = None, n: int = 20,
              context_item_id: str = "") -> list[Recommendation]:
    """The `n` best items for a user on a surface from its live release, asked at the end of the release's data.

    `outcomes` (action -> share, any positive scale) overrides the configured budgets; `context_item_id` is the query or
    close-up item the feed answers, "" = none. Raises PinrecError if the surface has no live release, DataError for an
    unknown user or item, ConfigError for an unknown outcome or n < 1, naming the nearest that exists; IntegrityError if
    the release was altered.
    """
    if n < 1:
        raise ConfigError(f"n is {n}; ask for at least 1 item")
    release_id = _live_id(registry, surface)
    with storage.local_tree(registry_.release_path(registry, release_id)) as directory:
        release = load_verified(registry, release_id, directory)
        check_outcomes(release, outcomes)
        return answer(release, user_id, outcomes=outcomes, n=n, context_item_id=context_item_id)


def answer(release: LoadedRelease, user_id: str, *, outcomes: dict[str, float] | None = None, n: int = 20,
           context_item_id: str = "") -> list[Recommendation]:
    """The same from a release that is loaded already."""
    history, asked_ms = asked_history(release, user_id, context_item_id), release.manifest.facts["asked_ms"]
    found = release.retriever.retrieve([history], release.surface, np.array([asked_ms]), shares=outcomes, n=n)
    rows = [int(item) for item in found.item_RN[0] if item != NO_ITEM]
    items = release.model.items.select(["item_id", "title"]).take(rows).to_pylist()
    actions = release.model.log.action_names
    return [Recommendation(item["item_id"], item["title"], float(score), actions[outcome], int(step))
            for item, score, outcome, step in zip(items, found.score_RN[0], found.outcome_RN[0], found.step_RN[0],
                                                  strict=False)]


def asked_history(release: LoadedRelease, user_id: str, context_item_id: str = "") -> History:
    """A user's history as the release holds it, followed by the context item, if any. Raises DataError."""
    history = read_history(release.directory / bundle.HISTORIES, user_id)
    if not context_item_id:
        return history
    code = release.model.log.surface_names.index(release.surface)
    return history.followed_by(_item_index(release, context_item_id), code, release.manifest.facts["asked_ms"])


def _live_id(registry: str, surface: str) -> str:
    aliases, _ = registry_.read_aliases(registry)
    live = {name: alias.live for name, alias in aliases.surfaces.items() if alias.live}
    if surface in live:
        return live[surface]
    if not live:
        raise PinrecError(f"{registry}: nothing is live here yet; run the pipeline until it promotes, or check the "
                          "registry's path")
    raise PinrecError(f"surface {surface!r} has no live release; {_nearest(surface, live)}")


def check_outcomes(release: LoadedRelease, outcomes: dict[str, float] | None) -> None:
    """Raise ConfigError for an outcome that the release does not know, naming the nearest."""
    known = release.model.log.positive_actions
    for name in outcomes or {}:
        if name not in known:
            raise ConfigError(f"outcome {name!r} is not one the release retrieves for; {_nearest(name, known)}")


def _item_index(release: LoadedRelease, item_id: str) -> int:
    known = release.model.items["item_id"]
    index = pc.index(known, item_id).as_py()
    if index < 0:
        near = nearest_id(known, item_id)
        raise DataError(f"item {item_id!r} is not among the {len(known)} items of the live release; did you mean "
                        f"{near!r}?")
    return index


def nearest_id(known: pa.ChunkedArray | pa.Array, wanted: str) -> str | None:
    """The likelier of the two ids between which an unknown one would be sorted; reads all ids."""
    before, after = (pc.max(known.filter(pc.less(known, wanted))).as_py(),
                     pc.min(known.filter(pc.greater(known, wanted))).as_py())
    beside = [one for one in (before, after) if one is not None]
    return next(iter(difflib.get_close_matches(wanted, beside, n=1, cutoff=0.0)), None)


def _nearest(name: str, known) -> str:
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.0)
    return f"did you mean {near[0]!r}? There are {', '.join(sorted(known))}"
