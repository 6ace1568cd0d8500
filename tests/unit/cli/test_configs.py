"""pinrec config: what it prints, as text and as JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pinrec_here import pinrec

from pinrec_core.logs.synth import WORLDS, write_world

TINY = str(Path(__file__).parents[3] / "pipelines/configs/tiny.toml")
DEMO = str(Path(TINY).with_name("demo.toml"))


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """A small log of the tiny world."""
    folder = tmp_path_factory.mktemp("data")
    write_world(folder, WORLDS["tiny"].model_copy(update={"users": 60}))
    return folder


def test_show_prints_defaults_too_and_marks_what_differs(capsys):
    assert pinrec("config", "show", TINY) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "* model.width = 32  (default 64)" in lines and "  validate.max_duplicate_share = 0.2" in lines
    assert pinrec("config", "show", TINY, "--changed") == 0
    assert all(line.startswith("* ") for line in capsys.readouterr().out.splitlines())
    assert pinrec("config", "show", TINY, "--json") == 0
    assert json.loads(capsys.readouterr().out)["validate"]["max_duplicate_share"] == 0.2
    assert pinrec("config", "show", TINY, "--json", "--changed") == 0
    assert json.loads(capsys.readouterr().out)["model.width"] == 32


def test_diff_prints_both_values(capsys):
    assert pinrec("config", "diff", TINY, DEMO) == 0
    assert "model.width: 32 -> 64" in capsys.readouterr().out.splitlines()
    assert pinrec("config", "diff", TINY, DEMO, "--json") == 0
    assert {"key": "model.width", "first": 32, "second": 64} in json.loads(capsys.readouterr().out)
    assert pinrec("config", "diff", TINY, TINY) == 0
    assert capsys.readouterr().out == "no difference\n"


def test_explain_prints_meaning_type_default_and_limits(capsys):
    assert pinrec("config", "explain", "pretrain.batch_size") == 0
    assert capsys.readouterr().out == ("pretrain.batch_size\n    users (pretrain) or views (finetune) per step\n"
                                       "    type     whole number\n    default  128\n    limits   above 0\n")
    assert pinrec("config", "explain", "seed", "--json") == 0
    found = {key["name"] for key in json.loads(capsys.readouterr().out)}
    assert {"pretrain.seed", "finetune.seed", "aggregate.seed"} < found
    assert pinrec("config", "explain") == 0
    assert "\nindex.nprobe\n    IVF cells visited" in capsys.readouterr().out


def test_explain_names_the_nearest_key(capsys):
    assert pinrec("config", "explain", "model.widht") == 1
    error = capsys.readouterr().err
    assert error.startswith("error: unknown key 'model.widht'; did you mean 'model.width'?") and error.count("\n") == 1


def test_an_unknown_key_of_a_file_names_the_nearest(tmp_path, capsys):
    path = tmp_path / "wrong.toml"
    path.write_text(Path(TINY).read_text("utf-8").replace("[pretrain]", "[pretrain]\nbatchsize = 3"), "utf-8")
    assert pinrec("config", "validate", str(path)) == 1
    assert "pretrain.batchsize: unknown key; did you mean 'batch_size'" in capsys.readouterr().err


def test_validate_estimates_from_events_and_catalog(data, capsys):
    options = ("--events", str(data / "events"), "--catalog", str(data / "catalog"), "--positions-per-s", "1000")
    assert pinrec("config", "validate", TINY, *options, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["valid"] and found["items"] == 440 and found["index"]["kind"] == "flat"
    (stage,) = found["stages"]
    assert found["estimated"] and stage["stage"] == "pretrain"
    assert found["seconds"]["pretrain"] == pytest.approx(stage["positions"] * stage["epochs"] / 1000)


def test_an_estimate_from_events_is_near_what_the_dataset_has(data, tmp_path, capsys):
    log = ("--events", str(data / "events"), "--catalog", str(data / "catalog"))
    assert pinrec("aggregate-logs", "--config", TINY, *log, "--output", str(tmp_path / "dataset")) == 0
    capsys.readouterr()
    found = []
    for options in (log, ("--dataset", str(tmp_path / "dataset"))):
        assert pinrec("config", "validate", TINY, *options, "--json") == 0
        found.append(json.loads(capsys.readouterr().out))
    about, exact = found
    assert about["model"] == exact["model"] and about["index"] == exact["index"] and not exact["estimated"]
    assert about["stages"][0]["positions"] == pytest.approx(exact["stages"][0]["positions"], rel=0.25)
    assert [stage["stage"] for stage in exact["stages"]][1:] == ["finetune home", "finetune related", "finetune search"]
    assert pinrec("config", "validate", TINY, "--dataset", str(tmp_path / "dataset")) == 0
    assert "finetune related" in capsys.readouterr().out
    assert pinrec("config", "validate", TINY, "--dataset", str(tmp_path / "dataset"), "--events", "x") == 1
    assert "leave out --events" in capsys.readouterr().err
