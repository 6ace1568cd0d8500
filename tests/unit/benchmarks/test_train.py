"""The training benchmark on invented data of seconds: its figures, its hit rates, its report."""

import sys

import numpy as np
import pytest
import torch
import train
from leave_one_out import leave_one_out
from train_case import Run, invented, profile_of
from train_data import invented_dataset, write_peer_reviews
from train_peer_env import PACKAGES, peer_python
from train_quality import K, TimedValidation
from train_report import plot, print_tables

from pinrec_core.config import ModelConfig, PretrainConfig
from pinrec_core.data.batch import collate
from pinrec_core.data.windows import engagement_windows
from pinrec_core.model.pinrec import PinRec
from pinrec_core.training.counts import action_shares
from pinrec_core.training.likeliest import Mixture
from pinrec_core.training.pretrain import fit_base

MODEL = ModelConfig(width=16, layers=1, item_dim=16, id_dim=16, id_buckets=64, max_length=8, use_content=False)
TRAIN = PretrainConfig(epochs=2, batch_size=8, random_negatives=16, in_batch_negatives=16, patience=9)


@pytest.fixture
def cut():
    """Thirty users of seven purchases each, the last two cut off."""
    return leave_one_out(invented_dataset(60, 7, 30))


def test_invented_engagements_are_as_many_as_told():
    data = invented_dataset(100, 5, 4)
    assert data.n_items == 100 and np.diff(data.offsets_U1).tolist() == [5] * 4
    assert data.item_E.max() < 100 and (np.diff(data.time_E.reshape(4, 5)) > 0).all()
    assert len(engagement_windows(data, 5, 0.0).row_G) == 20


def test_the_peer_gets_every_review_in_order(cut, tmp_path):
    write_peer_reviews(cut.full, tmp_path / "beauty/beauty.inter")
    lines = (tmp_path / "beauty/beauty.inter").read_text().splitlines()
    assert lines[0] == "user_id:token\titem_id:token\ttimestamp:float" and len(lines) == 1 + 30 * 7
    rows = np.array([[int(cell) for cell in line.split("\t")] for line in lines[1:]])
    assert (rows[:, 0] == np.repeat(np.arange(30), 7)).all() and (rows[:, 1] == cut.full.item_E).all()
    assert (rows[:, 2] == np.tile(np.arange(7), 30)).all()


@torch.no_grad()
def test_hit_rates_are_those_of_the_plain_ranking(cut):
    torch.manual_seed(0)
    model = PinRec(MODEL, cut.training.log, cut.training.items, action_shares(cut.training)).eval()
    histories = cut.validation.histories(cut.full, MODEL.max_length)
    time_R = torch.from_numpy(cut.validation.time_R)
    mixture = Mixture(model, model.all_item_vectors(), collate(histories), "shop", time_R)
    score_RI = torch.cat([log_p for _, log_p in mixture.log_probabilities()], dim=1)
    for row, history in enumerate(histories):
        score_RI[row, history.item_T] = -torch.inf
    hits = (score_RI.topk(K).indices.numpy() == cut.validation.item_T[:, None]).any(1)
    assert 0 < hits.sum() < len(hits)
    assert TimedValidation(cut, TRAIN).hit_rates(model)[0] == pytest.approx(hits.mean())


def test_a_run_has_a_curve_and_its_seconds(cut, tmp_path):
    validation = TimedValidation(cut, TRAIN)
    fit_base(cut.training, validation, MODEL.model_copy(update={"transitions": True}), TRAIN, tmp_path / "m.jsonl")
    seconds = [point[0] for point in validation.curve]
    assert len(seconds) == 1 + TRAIN.epochs and seconds == sorted(seconds)
    assert 0 < validation.training_s < seconds[-1]
    assert all(alone <= together <= 1 for _, alone, together in validation.curve)


def test_speed_and_parts_of_a_step():
    sizes = {"items": 200, "length": 6, "width": 16}
    found = invented("", "", steps=8, batch=4, precision="float32", **sizes)
    assert found["positions_s"] > 0 and found["padding"] == 0
    assert found["epoch_s"] * found["positions_s"] == pytest.approx(4 * 24 * 6)
    assert found["parameters_mb"] > 2 * 16_384 * 8 * 4 / 2**20  # the id tables alone
    shares = profile_of(Run(invented_dataset(200, 6, 40), MODEL, TRAIN), 4)["share"]
    assert sum(shares.values()) == pytest.approx(1) and {"backward", "pool softmax", "optimizer"} <= set(shares)
    assert all(share >= 0 for share in shares.values())


def test_a_complete_environment_is_not_made_again(tmp_path):
    (tmp_path / "recbole").mkdir()
    (tmp_path / "recbole/.installed").write_text(" ".join(PACKAGES))
    assert peer_python(tmp_path) == tmp_path / "recbole/bin/python"


def test_tables_and_plot(tmp_path, capsys):
    sizes = [{"items": 10, "step_ms": 1.0, "rss_mb": 100.0, "positions_s": 9.5}, {"items": 100, "step_ms": 2.0,
                                                                                  "rss_mb": 200.0, "positions_s": 5.0}]
    document = {
        "date": "2026-11-24", "commit": "abc", "machine": {"threads": 1}, "items": sizes,
        "beauty": [{"side": "pinrec", "width": 64, "positions_s": 16_000.0, "ratio": 25.5, "rss_mb": 900.0}],
        "profile": [{"width": 64, "step_ms": 30.0, "share": {"backward": 0.6, "clip": 0.4}}],
        "quality": {"width": 128, "target": 0.105, "target_s": 200.0, "network_target_s": None, "hit_rate@10": 0.12,
                    "epochs": 14.0, "seconds": 300.0, "rss_mb": 1000.0, "curve": [(1.0, 0.0, 0.0), (9.0, 0.1, 0.11)]}}
    print_tables(document)
    told = capsys.readouterr().out
    assert "16,000" in told and "25.50" in told and "never" in told and "60.0" in told
    plot(document, tmp_path / "plot.png")
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")


def test_a_part_that_is_not_there_is_named(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(sys, "argv", ["train.py", "--data", str(tmp_path), "--parts", "beuty"])
    with pytest.raises(SystemExit):
        train._options()
    assert "there is no part 'beuty'; there are beauty" in capsys.readouterr().err


def test_without_a_curve_there_is_no_plot(tmp_path):
    plot({"beauty": []}, tmp_path / "none.png")
    assert not list(tmp_path.iterdir())
