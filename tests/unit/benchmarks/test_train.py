"""benchmarks/train.py on invented engagements of a small size: its figures hang together."""

import pytest
import train_case
from train_data import invented_dataset
from train_report import print_tables

from pinrec_core.config import ModelConfig, PretrainConfig

SIZES = {"items": 300, "length": 12, "width": 16}


@pytest.fixture(scope="module")
def case() -> dict:
    return train_case.invented("", "", steps=16, batch=8, precision="float32", **SIZES)


def test_rates_are_of_one_run(case):
    assert case["positions_s"] > 0 and 0 <= case["padding"] < 1 and case["batch"] == 8
    run_positions = 8 * 24 * SIZES["length"]  # every user has one history of that length
    assert case["epoch_s"] * case["positions_s"] == pytest.approx(run_positions, rel=0.1)
    ids = 2 * max(16_384, SIZES["items"]) * SIZES["width"] // 2 * 4 / 2**20
    assert case["parameters_mb"] > ids


def test_the_parts_of_a_step_make_the_whole():
    data = invented_dataset(SIZES["items"], SIZES["length"], users=100)
    model = ModelConfig(width=16, item_dim=16, id_dim=16, max_length=SIZES["length"], use_content=False)
    found = train_case.profile_of(train_case.Run(data, model, PretrainConfig(batch_size=8)), steps=6)
    assert sum(found["share"].values()) == pytest.approx(1) and min(found["share"].values()) >= -0.01
    assert {"backward", "optimizer", "pool softmax", "item vectors"} <= set(found["share"])


def test_tables_are_printed(case, capsys):
    print_tables({"machine": {}, "items": [SIZES | case]})
    assert "300" in capsys.readouterr().out
