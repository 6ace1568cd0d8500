"""One live release, with everything an answer needs: model and index, item ids, names, histories."""

from __future__ import annotations

import json
import logging
import time
import weakref
from contextlib import ExitStack
from pathlib import Path

from pinrec_core import registry as registry_
from pinrec_core import storage
from pinrec_core.evaluation.cohort import PER_VIEW
from pinrec_core.release import bundle
from pinrec_core.release.load import LoadedRelease, load_verified
from pinrec_core.serving.catalog import Catalog, Vocabulary
from pinrec_core.serving.histories import Histories, forget_histories, open_histories

log = logging.getLogger("pinrec")


class Live:
    """A release that answers. Whoever holds it keeps its files; the last one to let go gives them back."""

    def __init__(self, release: LoadedRelease, histories: Histories):
        """Of a checked release."""
        self.release_id, self.surface = release.release_id, release.surface
        self.retriever = release.retriever
        self.max_length = release.model.config.max_length
        self.catalog, self.names = Catalog(release.model.items), Vocabulary(release.model.log)
        self.action_names = release.model.log.action_names
        self.surface_code = release.model.log.surface_names.index(release.surface)
        self.histories = histories
        self.end_ms: int = release.manifest.facts["asked_ms"]  # end of what the histories tell of
        evaluation = json.loads((release.directory / bundle.EVALUATION).read_bytes())
        self.answers_context: bool = evaluation["unit"] == PER_VIEW  # whether its feeds answer a query or close-up item

    @property
    def configured_n(self) -> int:
        """Items of an answer unless asked otherwise."""
        return self.retriever.generation.candidates


def load_live(registry: str, release_id: str, scratch: Path, prefix_mb: float) -> Live:
    """Fetch a release, check every hash, load it on the engine its verification chose.

    `scratch` is a folder that all workers of a server share, `prefix_mb` the memory for what was read of histories.
    Raises IntegrityError and what the storage raises.
    """
    start = time.perf_counter()
    with ExitStack() as stack:
        directory = stack.enter_context(storage.local_tree(registry_.release_path(registry, release_id)))
        release = load_verified(registry, release_id, directory, prefix_mb=prefix_mb)
        live = Live(release, open_histories(directory / bundle.HISTORIES, scratch, release_id))
        stack.callback(forget_histories, scratch, release_id)
        weakref.finalize(live, stack.pop_all().close).atexit = False  # the folders go with the server
    log.info("serve: %s answers with release %s on %s, loaded in %.1f s", live.surface, release_id[:12],
             live.retriever.generate.engine.kind.value, time.perf_counter() - start)
    return live
