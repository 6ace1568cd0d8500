"""A whole run through the components, once for all tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from object_storage import counted_bucket
from steps_of_a_run import Steps, to_the_model, to_the_release


@pytest.fixture(scope="session")
def steps(tmp_path_factory) -> Iterator[Steps]:
    """The whole run: promoted and reported."""
    with counted_bucket() as (bucket, wire):
        made = Steps(tmp_path_factory.mktemp("steps"), bucket, wire)
        to_the_model(made)
        to_the_release(made)
        yield made
