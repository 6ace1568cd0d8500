"""The demo configuration and what it compiles to."""

from __future__ import annotations

from pathlib import Path

import pytest

from pinrec_core.config import Config

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="session")
def demo() -> Config:
    """Both clusters of pipelines/configs/demo.toml."""
    return Config.load(ROOT / "pipelines/configs/demo.toml")


@pytest.fixture(scope="session")
def goldens() -> Path:
    """The folder of the compiled pipelines."""
    return ROOT / "manifests/compiled"
