"""`pinrec doctor` as a user calls it: exit codes, lines, table, JSON; what no output shows."""

from __future__ import annotations

import contextlib
import io
import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.cli import main

from .conftest import SECRET_VALUE, TINY

ROOT = Path(__file__).parents[3]


def run(capsys, *arguments: str) -> tuple[int, str, str]:
    """Exit code, standard output, standard error."""
    with pytest.raises(SystemExit) as ended:
        main(["doctor", *arguments])
    out, err = capsys.readouterr()
    return ended.value.code, out, err


@pytest.fixture
def world(tmp_path, monkeypatch) -> Path:
    """A current directory with the days of tiny.toml and a catalog."""
    for day in range(1, 9):
        (tmp_path / f"work/tiny/data/events/date=2026-01-0{day}").mkdir(parents=True)
    (tmp_path / "work/tiny/data/catalog").mkdir()
    (tmp_path / "work/tiny/data/catalog/part.parquet").write_text("rows")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_here_all_is_well(world, capsys):
    code, out, _ = run(capsys, "--config", str(TINY))
    assert code == 0, out
    assert [line.split()[1] for line in out.splitlines() if not line.startswith(" ")] == [
        "python", "packages", "memory", "disk", "config", "events", "catalog", "registry", "redis"]
    assert "ok      events     work/tiny/data/events: 2026-01-01 to 2026-01-08 (limit: 8 days" in out


def test_here_something_is_missing(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    code, out, _ = run(capsys, "--config", str(TINY))
    assert code == 1
    assert "next: pinrec synth work/tiny/data" in out


def test_as_json(world, capsys):
    code, out, _ = run(capsys, "--config", str(TINY), "--target", "local", "--json")
    document = json.loads(out)
    assert code == 0 and document["failed"] == 0
    assert {tuple(each) for each in document["checks"]} == {("name", "status", "seen", "limit", "next")}


def test_a_cluster_of_which_only_docker_may_be_missing(cluster, configure, capsys):
    code, out, _ = run(capsys, "--config", str(configure()), "--target", "there", "--json")
    standing = {each["name"]: each["status"] for each in json.loads(out)["checks"]}
    assert code == 0, out
    assert standing.pop("docker") in ("ok", "warn")
    assert set(standing.values()) == {"ok", "skipped"}


def test_a_broken_cluster_and_no_secret_in_any_output(cluster, configure, capsys, monkeypatch):
    monkeypatch.setenv("PINREC_KFP_TOKEN", "the-token-of-kfp")
    cluster.put("secrets", "hook", {"data": {"OTHER": SECRET_VALUE}}, "kubeflow")
    file = configure(cluster={"notify_secret": "hook", "claim": "gone", "host": f"{cluster.url}/nowhere"},
                     serve={"store": "redis://:the-password@127.0.0.1:1/0"})
    for form in ((), ("--json",)):
        code, out, err = run(capsys, "--config", str(file), "--target", "there", *form)
        assert code == 1 and "no claim gone" in out and "hook has no PINREC_WEBHOOK_SECRET" in out
        for secret in (SECRET_VALUE, "the-token-of-kfp", "the-password", "the-token-of-kubectl"):
            assert secret not in out + err


def test_a_target_that_is_not_there_is_one_line(configure, capsys):
    code, out, err = run(capsys, "--config", str(configure()), "--target", "moon")
    assert (code, out) == (1, "")
    assert err.startswith("error: ") and "no target 'moon'; targets are ['there']" in err


def test_a_table_in_a_terminal(world):
    ours, theirs = pty.openpty()
    process = subprocess.Popen([sys.executable, "-m", "pipelines.cli", "doctor", "--config", str(TINY)], stdout=theirs,
                               stderr=subprocess.DEVNULL, env=os.environ | {"COLUMNS": "200", "PYTHONPATH": str(ROOT),
                                                                            "TERM": "xterm"})
    os.close(theirs)
    shown = io.BytesIO()
    with contextlib.suppress(OSError):  # how Linux tells that the other side is closed
        while chunk := os.read(ours, 4096):
            shown.write(chunk)
    os.close(ours)
    text = shown.getvalue().decode()
    assert process.wait() == 0, text
    assert "─" in text and "\x1b[" in text and "2026-01-01 to 2026-01-08" in text
