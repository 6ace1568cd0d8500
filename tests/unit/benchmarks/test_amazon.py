"""The Amazon benchmark on a category in which everybody walks the same ring: rows, figures, the written document."""

import json
from pathlib import Path

import amazon
import numpy as np
import pytest
from amazon_rows import ROWS, sampled
from leave_one_out import open_leave_one_out

from pinrec_core.config import Config

RING, USERS, LENGTH = 200, 300, 5
CONFIG = """
name = "tiny"
[log]
surfaces = ["shop"]
positive_actions = ["purchase"]
item_types = ["product"]
retrievable_types = ["product"]
[model]
width = 16
layers = 1
item_dim = 16
max_length = 8
id_buckets = 256
id_dim = 16
transitions = true
[pretrain]
epochs = 2
batch_size = 64
validation_users = 40
[gate.floors]
shop = { "recall@50" = 0.1 }
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A category of ring walkers, its configuration, and room for what is kept."""
    folder = tmp_path_factory.mktemp("amazon")
    (folder / "Ring").mkdir()
    rng = np.random.default_rng(0)
    starts = rng.permutation(np.arange(USERS) % RING)
    lines = (f"{user + 1} {' '.join(str((start + step) % RING + 1) for step in range(LENGTH))}"
             for user, start in enumerate(starts))
    (folder / "Ring" / "Ring.txt").write_text("\n".join(lines) + "\n")
    (folder / "tiny.toml").write_text(CONFIG)
    return folder


@pytest.fixture(scope="module")
def run(folder):
    """Runs the script with arguments and gives what it wrote."""
    def run(*arguments: str) -> dict:
        told = ["amazon.py", "--data", folder / "Ring", "--config", folder / "tiny.toml", "--work", folder / "work",
                "--json", folder / "found.json", *arguments]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("sys.argv", [str(word) for word in told])
            amazon.main()
        return json.loads((folder / "found.json").read_text())

    return run


@pytest.fixture(scope="module")
def found(run) -> dict:
    return run("--seeds", "1", "--rows", "popularity,cooccurrence,sasrec_softmax,pinrec")


def test_every_row_has_its_figures_with_seen_items_removed_and_kept(found):
    assert (found["data"], found["users"], found["items"]) == ("Ring", USERS, RING)
    assert list(found["rows"]) == ["popularity", "cooccurrence", "sasrec_softmax", "pinrec"]
    metrics = {f"{prefix}{name}@{k}" for prefix in ("", "kept/") for name in ("hit_rate", "ndcg")
               for k in (5, 10, 20, 50)}
    for row in found["rows"].values():
        assert row["seeds"] == len(row["seconds"]) == 1
        for split in ("validation", "test"):
            assert set(row[split]) == metrics
            for prefix in ("", "kept/"):
                value = [row[split][f"{prefix}hit_rate@{k}"]["mean"] for k in (5, 10, 20, 50)]
                assert value == sorted(value) and value[0] >= 0 and value[-1] <= 1
            # a ring is never walked twice: what was seen is never the answer, and only takes places
            assert all(row[split][f"hit_rate@{k}"]["mean"] >= row[split][f"kept/hit_rate@{k}"]["mean"]
                       for k in (5, 10, 20, 50))


def test_what_follows_in_the_ring_is_found_and_popularity_is_not_enough(found):
    figure = {name: row["test"]["hit_rate@5"]["mean"] for name, row in found["rows"].items()}
    assert figure["cooccurrence"] > 0.9 and figure["popularity"] < 0.3
    assert figure["pinrec"] > 0.5, "its transitions alone tell the next one"


def test_an_unknown_row_is_named_before_anything_is_done(run, capsys):
    with pytest.raises(SystemExit):
        run("--rows", "popularity,pinrek")
    assert "there is no row 'pinrek'; there are popularity, " in capsys.readouterr().err


def test_no_time_is_no_figure(run):
    found = run("--seeds", "2", "--rows", "popularity,pinrec", "--budget-minutes", "-1")
    assert found["rows"] == {name: {"seeds": 0, "seconds": []} for name in ("popularity", "pinrec")}


def test_a_row_is_tuned_on_validation_alone(folder, run, capsys):
    (folder / "found.json").unlink(missing_ok=True)
    with pytest.raises(FileNotFoundError):
        run("--tune", "cooccurrence")
    assert "hit_rate@10" in capsys.readouterr().out


def test_every_model_is_chosen_on_the_same_users(folder):
    data = open_leave_one_out(folder / "Ring", folder / "work" / "Ring")
    config = Config.load(folder / "tiny.toml")
    first, second = sampled(data.validation, config), sampled(data.validation, config)
    assert len(first) == 40 and (first.user_R == second.user_R).all()
    assert set(ROWS) >= set(amazon.DETERMINISTIC)
