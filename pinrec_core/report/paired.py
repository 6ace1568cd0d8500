"""The same users in two runs: what the second run did better or worse for each of them.

Legend: U users of both runs.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pinrec_core.errors import IntegrityError
from pinrec_core.evaluation.bootstrap import Estimate, estimates
from pinrec_core.evaluation.table import MODEL
from pinrec_core.release import bundle, stored
from pinrec_core.report.run_facts import RunFacts
from pinrec_core.report.run_settings import releases_of

SAMPLES, CONFIDENCE, SEED = 1000, 0.95, 0  # as [evaluation] has them by default


class Unpaired(Exception):
    """Why two runs have no users to pair."""


class PairedUsers:
    """Per-user values of two runs, joined by user."""

    def __init__(self, first: pa.Table, second: pa.Table):
        self.joined = first.join(second, "user_id", join_type="inner", left_suffix="", right_suffix=" second")

    @classmethod
    def of(cls, registry: str, surface: str, facts: Sequence[RunFacts]) -> Self:
        """Of a surface of two runs. Raises Unpaired if one has no release, or they were asked different things."""
        asked = [one.evaluations.get(surface, {}).get("dataset_fingerprint") for one in facts]
        if None in asked or asked[0] != asked[1]:
            raise Unpaired("the runs were not evaluated on the same dataset")
        releases = [releases_of(one).get(surface) for one in facts]
        if None in releases:
            raise Unpaired("values per user are kept with a release, and not both runs have one")
        try:
            return cls(*(_per_user(registry, release) for release in releases))
        except IntegrityError as error:
            raise Unpaired(str(error)) from error

    def differences(self, metrics: Sequence[str]) -> dict[str, Estimate]:
        """Second minus first with its interval, for the metrics that are means over users; ties of users share draws.

        All metrics see the same resamples. Users who count in one run alone do not count.
        """
        columns = [f"{MODEL}.{name}" for name in metrics]
        kept = [name for name, column in zip(metrics, columns, strict=True)
                if {column, f"{column} second"} <= set(self.joined.column_names)]
        if not kept:
            return {}
        ordered = self.joined.sort_by("user_id")
        value_UC = np.stack([_values(ordered, f"{MODEL}.{name} second") - _values(ordered, f"{MODEL}.{name}")
                             for name in kept], axis=1)
        found = dict(zip(kept, estimates(value_UC, SAMPLES, CONFIDENCE, SEED), strict=True))
        return {name: one for name, one in found.items() if one.n}


def _per_user(registry: str, release_id: str) -> pa.Table:
    manifest = stored.release_manifest(registry, release_id)
    table = pq.read_table(io.BytesIO(stored.stored_part(registry, manifest, bundle.PER_USER)))
    return table.select([name for name in table.column_names if name == "user_id" or name.startswith(f"{MODEL}.")])


def _values(table: pa.Table, name: str) -> np.ndarray:
    return table[name].to_numpy(zero_copy_only=False).astype(np.float64)
