"""What a local run leaves behind in this process, and when its cache is another one."""

from __future__ import annotations

import builtins
import io
import logging
import os
import shutil
import sys
from pathlib import Path

import pytest

from pinrec_core.config import AggregateConfig
from pipelines import local
from pipelines.input_state import input_state


@pytest.fixture
def inputs(tmp_path) -> dict[str, str]:
    for name in ("events/date=2026-01-01", "events/date=2026-01-02", "catalog"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "part.parquet").write_text("rows")
    return {"events": str(tmp_path / "events"), "catalog": str(tmp_path / "catalog"), "date": "2026-01-02",
            "aggregate": AggregateConfig(lookback_days=2, eval_days=1).model_dump_json()}


def test_the_cache_follows_the_input_files(tmp_path, inputs):
    before = input_state(inputs)
    assert input_state(inputs) == before
    part = Path(inputs["events"], "date=2026-01-01/part.parquet")
    os.utime(part, ns=(1, 1))
    touched = input_state(inputs)
    part.with_name("more.parquet").write_text("rows")
    added = input_state(inputs)
    Path(inputs["catalog"], "part.parquet").write_text("other rows")
    assert len({before, touched, added, input_state(inputs)}) == 4


def test_a_partition_that_the_date_does_not_read_leaves_the_cache_as_it_is(tmp_path, inputs):
    before = input_state(inputs)
    for date in ("2025-12-31", "2026-01-03"):
        shutil.copytree(tmp_path / "events/date=2026-01-01", tmp_path / f"events/date={date}")
    assert input_state(inputs) == before


def test_output_goes_to_the_stream_and_everything_is_put_back():
    stream, printing, handlers = io.StringIO(), builtins.print, logging.getLogger().handlers[:]
    with pytest.raises(RuntimeError), local._output_to(stream):
        sys.stdout.write("printed\n")
        logging.info("logged")
        builtins.print = lambda *words: None  # what KFP's ParallelFor leaves behind
        logging.getLogger().handlers[:] = []
        raise RuntimeError
    assert stream.getvalue() == "printed\nlogged\n"
    assert builtins.print is printing
    assert logging.getLogger().handlers == handlers


def test_children_share_the_cores_unless_told_otherwise(monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    with local._environment(local.child_environment()):
        assert os.environ["OMP_NUM_THREADS"] == "4"
    assert "OMP_NUM_THREADS" not in os.environ
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    with local._environment(local.child_environment()):
        assert os.environ["OMP_NUM_THREADS"] == "3"
    assert os.environ["OMP_NUM_THREADS"] == "3"
