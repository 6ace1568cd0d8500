"""The command line around the steps: errors, exit codes, defaults, and how little is loaded to get there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import typer
from pinrec_here import pinrec

import pinrec_core
from pinrec_core.cli import serve
from pinrec_core.cli.entry import Settings, build_app, execute
from pinrec_core.cli.logs import _nested
from pinrec_core.cli.options import last_date
from pinrec_core.errors import ConfigError, DataError, PinrecError, ReleaseRejected

CONFIGS = Path(__file__).parents[3] / "pipelines/configs"


def test_version(capsys):
    assert pinrec("--version") == 0
    assert capsys.readouterr().out == f"pinrec {pinrec_core.__version__}\n"


def test_wrong_usage_is_2_and_goes_to_stderr(capsys):
    assert pinrec("no-such-command") == 2
    assert "no-such-command" in capsys.readouterr().err


def test_a_users_mistake_is_one_line_and_1(capsys, tmp_path):
    assert pinrec("config", "validate", str(tmp_path / "absent.toml")) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1 and "absent.toml" in error


def test_debug_adds_the_traceback(capsys, tmp_path):
    assert pinrec("--debug", "config", "validate", str(tmp_path / "absent.toml")) == 1
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize(("error", "code", "word"), [
    (PinrecError("x"), 1, "error"), (ReleaseRejected("x"), 3, "rejected")])
def test_exit_codes_follow_from_the_error(error, code, word, capsys):
    settings = Settings()
    app = build_app(settings)

    @app.command("fail")
    def fail() -> None:
        raise error

    assert execute(app, settings, ["fail"]) == code
    assert capsys.readouterr().err == f"{word}: x\n"


@pytest.mark.parametrize("name", sorted(path.name for path in CONFIGS.glob("*.toml")))
def test_every_configuration_that_is_shipped_is_valid(name, capsys):
    assert pinrec("config", "validate", str(CONFIGS / name)) == 0
    assert "valid" in capsys.readouterr().out


def test_import_events_with_a_mapping(tmp_path, capsys):
    (tmp_path / "log.csv").write_text("uid,sku,when\nu1,i1,1767225600\nu2,i2,1767312000\n")
    fields = ["user_id=uid", "item_id=sku", "timestamp=when", "timestamp_unit=s", "item_type_constant=pin",
              "surface_constant=home", "action_constant=click"]
    options = [word for field in fields for word in ("--map", field)]
    assert pinrec("import", "events", str(tmp_path / "log.csv"), str(tmp_path / "out"), *options) == 0
    assert sorted(path.name for path in (tmp_path / "out/events").iterdir()) == ["date=2026-01-01", "date=2026-01-02"]
    assert "rows_read" in capsys.readouterr().out


def test_an_unknown_field_of_a_mapping_is_named(tmp_path, capsys):
    assert pinrec("import", "events", str(tmp_path), str(tmp_path / "out"), "--map", "user=uid") == 1
    assert "user" in capsys.readouterr().err


def test_an_unknown_world_is_named(tmp_path, capsys):
    assert pinrec("synth", str(tmp_path / "out"), "--world", "moon") == 1
    assert "demo, tiny" in capsys.readouterr().err


def test_a_refresh_without_a_live_release_is_one_line_and_1(tmp_path, capsys):
    options = ("--surface", "home", "--catalog", str(tmp_path), "--dataset", str(tmp_path), "--promote")
    assert pinrec("index", "refresh", "--registry", str(tmp_path), *options) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: surface 'home' has no live release") and error.count("\n") == 1


def test_an_outcome_needs_a_share(tmp_path, capsys):
    assert pinrec("recommend", "-s", "home", "-u", "u1", "--registry", str(tmp_path), "--outcome", "click") == 1
    assert "ACTION=SHARE" in capsys.readouterr().err


def test_nested_settings():
    assert _nested("--map", ["a=1", "b.c=x=y"]) == {"a": "1", "b": {"c": "x=y"}}
    with pytest.raises(ConfigError, match="--map 'a'"):
        _nested("--map", ["a"])


def test_the_last_date_is_the_last_partition(tmp_path):
    for name in ("date=2026-01-09", "date=2026-01-10", "other"):
        (tmp_path / name).mkdir()
    assert last_date(str(tmp_path)) == "2026-01-10"
    with pytest.raises(DataError, match="no date="):
        last_date(str(tmp_path / "other"))


def test_starting_loads_nothing_heavy():
    heavy = {"torch", "apache_beam", "faiss", "kfp", "pyarrow", "numpy", "matplotlib", "google.cloud.storage"}
    code = ("import sys; from pinrec_core.cli.entry import *; s = Settings(); execute(build_app(s), s, ['--help']); "
            f"print('loaded', sorted({heavy!r} & set(sys.modules)))")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "loaded []"


def test_previous_is_the_dataset_that_is_taken_over(capsys, caplog, tmp_path):
    world = tmp_path / "world"
    assert pinrec("synth", str(world), "--world", "tiny", "--users", "40", "--days", "8") == 0
    log = ("--config", str(CONFIGS / "tiny.toml"), "--events", str(world / "events"),
           "--catalog", str(world / "catalog"))
    assert pinrec("aggregate-logs", *log, "--output", str(tmp_path / "one")) == 0
    assert pinrec("aggregate-logs", *log, "--output", str(tmp_path / "two"), "--previous", str(tmp_path / "one")) == 0
    assert "8 partitions taken over, 0 new: none" in caplog.text
    assert (tmp_path / "one/manifest.json").read_bytes() == (tmp_path / "two/manifest.json").read_bytes()
    assert pinrec("aggregate-logs", *log, "--output", str(tmp_path / "three"), "--previous", str(world)) == 1
    assert "world/manifest.json: no such file" in capsys.readouterr().err


def test_serve_needs_a_registry(capsys, monkeypatch):
    monkeypatch.delenv("PINREC_REGISTRY", raising=False)
    assert pinrec("serve") == 1
    assert "pass --registry" in capsys.readouterr().err


@pytest.mark.parametrize(("config", "given", "expected"), [
    ("tiny.toml", {}, {"registry": "work/tiny/registry", "workers": 1}),
    ("tiny.toml", {"registry": "gs://b/r", "workers": 3}, {"registry": "gs://b/r", "workers": 3}),
    ("", {"registry": "r", "port": 0}, {"registry": "r", "port": 0, "host": "127.0.0.1"})])
def test_what_serve_is_told(config, given, expected):
    settings = serve.settings_of(CONFIGS / config if config else None, given)
    assert {name: getattr(settings, name) for name in expected} == expected


def test_serve_reads_registry_and_store_from_the_environment(monkeypatch):
    command = typer.main.get_command(build_app(Settings())).commands["serve"]
    monkeypatch.setenv("PINREC_REGISTRY", "gs://b/r")
    monkeypatch.setenv("PINREC_STORE", "redis://:secret@store:6379/0")
    told = command.make_context("serve", []).params
    assert (told["registry"], told["store"]) == ("gs://b/r", "redis://:secret@store:6379/0")
    assert command.make_context("serve", ["--store", "redis://other:1/0"]).params["store"] == "redis://other:1/0"


def test_serve_takes_no_impossible_values():
    with pytest.raises(ConfigError, match="port: .*less than or equal to 65535"):
        serve.settings_of(None, {"registry": "r", "port": 70_000})
    with pytest.raises(ConfigError, match="workers"):
        serve.settings_of(None, {"registry": "r", "workers": 0})
    with pytest.raises(ConfigError, match="store 'mysql://x' is no Redis URL"):
        serve.settings_of(None, {"registry": "r", "store": "mysql://x"})
