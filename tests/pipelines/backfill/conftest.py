"""A work folder with a log that is none: enough to plan dates."""

from __future__ import annotations

from pathlib import Path

import pytest

from pinrec_core.config import Config
from pipelines.places import Places

TINY = Path(__file__).parents[3] / "pipelines/configs/tiny.toml"


@pytest.fixture
def places(tmp_path) -> Places:
    """A work folder with a file per partition and in the catalog."""
    for day in range(1, 10):
        folder = tmp_path / f"data/events/date=2026-01-0{day}"
        folder.mkdir(parents=True)
        (folder / "part.parquet").write_text("rows")
    (tmp_path / "data/catalog").mkdir()
    (tmp_path / "data/catalog/part.parquet").write_text("rows")
    return Places.of(Config.load(TINY), tmp_path, "", "", "")
