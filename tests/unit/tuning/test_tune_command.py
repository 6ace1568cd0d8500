"""The command: its table and its JSON, and the lines that say what is missing."""

from __future__ import annotations

import json
import sys

import pytest

from pinrec_core.cli.entry import Settings, build_app, execute

ONE = '\n[tune.ranges]\n"pretrain.learning_rate" = { low = 1e-3, high = 1e-2 }\n'


@pytest.fixture
def pinrec(capsys):
    """Calls a command; its exit code, standard output and standard error."""
    def call(*words: str) -> tuple[int, str, str]:
        settings = Settings()
        code = execute(build_app(settings), settings, list(map(str, words)))
        said = capsys.readouterr()
        return code, said.out, said.err
    return call


def test_the_table_names_the_best_and_the_files(pinrec, walks, write_config, tmp_path):
    study = tmp_path / "study"
    call = ("tune", "--config", write_config(ONE), "--dataset", walks, "--study", study, "--trials", 1)
    code, out, err = pinrec(*call)
    assert code == 0, err
    assert "best" in out and "pretrain.learning_rate" in out and str(study / "result/best.toml") in out
    code, out, err = pinrec(*call)
    assert code == 1 and err.splitlines()[-1].endswith("pass --resume to go on with it, or another --study")
    code, out, err = pinrec(*call, "--resume", "--json")
    assert code == 0 and [row["state"] for row in json.loads(out)["rows"]] == ["done"]


def test_a_configuration_without_ranges_is_refused(pinrec, walks, write_config):
    path = write_config("")
    path.write_text(path.read_text().split("[tune]")[0])
    code, _, err = pinrec("tune", "--config", path, "--dataset", walks)
    assert code == 1
    assert err == ("error: configuration 'walks' declares no ranges; write [tune] and [tune.ranges], see "
                   "docs/tuning.md\n")


def test_a_surface_on_the_command_line_is_checked_too(pinrec, walks, write_config, tmp_path):
    code, _, err = pinrec("tune", "--config", write_config(ONE), "--dataset", walks, "--surface", "hom", "--study",
                          tmp_path / "study")
    assert code == 1 and err.startswith("error: ") and "surface 'hom' is not modelled" in err
    assert not (tmp_path / "study").exists()


def test_without_optuna_the_extra_is_named(pinrec, walks, write_config, monkeypatch):
    for name in [name for name in sys.modules if name.startswith("pinrec_core.tuning")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "optuna", None)
    code, _, err = pinrec("tune", "--config", write_config(ONE), "--dataset", walks)
    assert (code, err) == (1, "error: tune needs optuna, which is not installed; pip install 'pinrec[tune]'\n")
