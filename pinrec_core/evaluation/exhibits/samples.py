"""Some users of the evaluation, drawn and not picked: history, what they then engaged with, what is retrieved."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np

from pinrec_core.data.batch import History
from pinrec_core.data.dataset import Dataset
from pinrec_core.evaluation.cohort import Cohort
from pinrec_core.evaluation.subject import Translation
from pinrec_core.retrieval.retriever import Retriever
from pinrec_core.schemas import NO_ITEM

HISTORY = 8  # last tokens shown
RETRIEVED = 10
TARGETS = 8
DEPTH = 100  # of the list that a target's place is looked for in
_TITLE = 80  # characters


def samples(retriever: Retriever, dataset: Dataset, cohort: Cohort, translation: Translation) -> list[dict[str, Any]]:
    """One entry per request, of one request a user; ids and titles as in the catalog, places from 1."""
    rows = np.unique(cohort.row_R, return_index=True)[1]
    requests = cohort.requests.take(rows)
    histories = requests.histories(dataset, retriever.model.config.max_length)
    found = retriever.retrieve([translation.history(h) for h in histories], cohort.surface, requests.time_R,
                               n=DEPTH)
    item_RN, actions = translation.items(found.item_RN), retriever.model.log.action_names
    catalog, shown = _Catalog(dataset), []
    for r, history in enumerate(histories):
        mine = slice(*requests.offsets_R1[[r, r + 1]])
        place = {int(item): rank + 1 for rank, item in enumerate(item_RN[r]) if item != NO_ITEM}
        targets = requests.item_T[mine]
        shown.append({
            "user": dataset.user_ids[int(requests.user_R[r])].as_py(), "history_length": len(history.item_T),
            "history": catalog.history(history), "n_targets": len(targets),
            "targets": [catalog.item(item) | {"actions": catalog.names(bits), "place": place.get(int(item))}
                        for item, bits in zip(targets[:TARGETS], requests.actions_T[mine], strict=False)],
            "retrieved": [catalog.item(item) | {"outcome": actions[code], "hit": bool(item in targets)}
                          for item, code in zip(item_RN[r][:RETRIEVED], found.outcome_RN[r], strict=False)
                          if item != NO_ITEM]})
    return shown


class _Catalog:
    """Names for what a dataset has as numbers."""

    def __init__(self, dataset: Dataset):
        self._log, self._ids, self._titles = dataset.log, dataset.items["item_id"], dataset.items["title"]

    def item(self, row: int) -> dict[str, Any]:
        return {"item": self._ids[int(row)].as_py(), "title": (self._titles[int(row)].as_py() or "")[:_TITLE]}

    def names(self, bits: int) -> list[str]:
        return [name for code, name in enumerate(self._log.action_names) if int(bits) >> code & 1]

    def history(self, history: History) -> list[dict[str, Any]]:
        """The last tokens, latest first; a context item has no action."""
        tokens = zip(*(column[::-1][:HISTORY] for column in history), strict=True)
        return [self.item(item) | {"actions": self.names(bits), "surface": self._log.surface_names[surface],
                                   "when": datetime.fromtimestamp(int(time) / 1000, UTC).isoformat(" ", "minutes")[:16]}
                for item, bits, surface, time in tokens]
