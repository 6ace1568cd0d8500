"""A whole run through the components, once for all tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from object_storage import counted_bucket
from steps_of_a_run import Steps, to_the_model, to_the_release

from components.image import RUN_UID


@pytest.fixture(scope="session")
def steps(tmp_path_factory) -> Iterator[Steps]:
    """The whole run: promoted and reported."""
    with counted_bucket() as (bucket, wire):
        made = Steps(tmp_path_factory.mktemp("steps"), bucket, wire)
        with pytest.MonkeyPatch.context() as pods:
            pods.setenv(RUN_UID, "0b0f7c5e")  # as the pods of a cluster have it
            to_the_model(made)
            to_the_release(made)
        yield made
