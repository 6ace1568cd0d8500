"""Every example that a command's help shows is taken from the help and run, in an order in which each finds its files.

What needs a cluster or never ends (submit, schedule, serve, demo, backfill on a target) is only parsed, by the
command's own parser; other tests run those commands.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from journey import ROOT, small

from pinrec_core.cli.entry import Settings, execute
from pinrec_core.cli.examples import EXAMPLES as STEPS
from pipelines.cli import whole_app
from pipelines.examples import EXAMPLES as WHOLE

PARSED = ("serve", "demo", "submit", "schedule apply", "schedule list", "schedule pause", "schedule resume",
          "schedule delete")
CODES = {"reject": {3}, "doctor": {0, 1}}  # the machine of a test may lack something; all others end with 0
KUAIRAND = """user_id,video_id,date,time_ms,tab,is_click,is_like,is_follow,is_comment,is_forward,is_hate,long_view,\
is_profile_enter
7,1,20220426,1650945600000,1,0,0,0,0,0,0,0,0
7,2,20220426,1650945601000,1,1,0,0,0,0,0,1,0
"""
VIDEOS = """video_id,author_id,video_type,upload_dt,upload_type,video_duration,music_id,tag
1,50,NORMAL,2022-04-10,Web,12000,9,"39,4"
2,51,AD,2022-04-11,Kmovie,9000,0,unknown
"""


def commands() -> dict[str, typer.core.TyperCommand]:
    """Every command by its path."""
    def below(command, path: str) -> Iterator:
        for name, one in getattr(command, "commands", {}).items():
            yield from below(one, f"{path} {name}".strip())
        if not hasattr(command, "commands"):
            yield path, command
    return dict(below(typer.main.get_command(whole_app(Settings())), ""))


COMMANDS = commands()


def pinrec(arguments: list[str]) -> tuple[int, str]:
    """Run a command in this process: exit code, standard output."""
    settings, out = Settings(), io.StringIO()
    with contextlib.redirect_stdout(out):
        code = execute(whole_app(settings), settings, arguments)
    return code, out.getvalue()


def examples_of(path: str) -> list[str]:
    """The lines below "Examples:" in the help of a command."""
    code, text = pinrec([*path.split(), "--help"])
    assert code == 0
    _, _, shown = text.partition("Examples:\n")
    return [line.strip() for line in shown.strip().splitlines()]


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Iterator[Path]:
    """A folder with what the examples begin with: two configurations, and logs as they are downloaded."""
    folder = tmp_path_factory.mktemp("examples")
    targets = tomllib.loads((ROOT / "pipelines/configs/demo.toml").read_text("utf-8"))["targets"]["minikube"]
    for name, floor in (("mine", 0.0), ("strict", 0.999)):
        changed = small(folder, {"name": "mine", "targets": {"minikube": targets},
                                 "tune": {"surface": "home",
                                          "ranges": {"finetune.learning_rate": {"low": 1e-4, "high": 1e-2}}},
                                 "gate.floors": {"home": {"recall@50": floor}}})
        changed.rename(folder / f"{name}.toml")
    (folder / "pipelines").symlink_to(ROOT / "pipelines")
    (folder / "KuaiRand-Pure").mkdir()
    (folder / "KuaiRand-Pure/log_standard_a_pure.csv").write_text(KUAIRAND)
    (folder / "KuaiRand-Pure/video_features_basic_pure.csv").write_text(VIDEOS)
    (folder / "Beauty").mkdir()
    (folder / "Beauty/Beauty.txt").write_text("1 5 6 7\n2 5 8 6\n")
    (folder / "log.csv").write_text("uid,sku,time\nu1,i1,2026-01-01T10:00:00\nu2,i2,2026-01-02T11:00:00\n")
    before = Path.cwd()
    os.chdir(folder)
    yield folder
    os.chdir(before)


class Shell:
    """As much of a shell as the examples use: $(...), NAME=..., $NAME."""

    def __init__(self) -> None:
        self.variables: dict[str, str] = {}

    def run(self, line: str) -> int:
        """Run one line; its exit code."""
        if found := re.fullmatch(r"(\w+)=\$\((.*)\)", line):
            code, out = pinrec(shlex.split(found[2])[1:])
            self.variables[found[1]] = out.strip()
            return code
        line = re.sub(r"\$\((.*?)\)", lambda inner: self._output(inner[1]), line)
        line = re.sub(r"\$([A-Z]+)", lambda name: self.variables[name[1]], line)
        return pinrec(shlex.split(line)[1:])[0]

    @staticmethod
    def _output(line: str) -> str:
        return subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=True).stdout.strip()


def ordered() -> list[str]:
    """Commands in an order in which each finds what it reads: the log, runs on earlier dates, then the steps."""
    steps = list(STEPS)
    first = steps.index("synth") + 1
    return [*steps[:first], *WHOLE, *steps[first:]]


def test_every_command_has_examples_and_shows_them():
    assert set(STEPS) | set(WHOLE) == set(COMMANDS), "give the new command examples"
    for path, lines in (STEPS | WHOLE).items():
        assert examples_of(path) == list(lines), path
        assert all(f"pinrec {path} " in f"{line} " for line in lines), path


@pytest.mark.parametrize("path", [path for path in ordered() if path in PARSED])
def test_examples_that_need_a_cluster_are_parsed(path):
    for line in examples_of(path):
        COMMANDS[path].make_context(path, shlex.split(line)[1 + len(path.split()):])


def test_every_other_example_runs(place, monkeypatch):
    monkeypatch.delenv("PINREC_REGISTRY", raising=False)
    shell, wrong = Shell(), []
    for path in ordered():
        for line in examples_of(path) if path not in PARSED else ():
            if "--target minikube" in line and path == "backfill":
                COMMANDS[path].make_context(path, shlex.split(line)[2:])
            elif (code := shell.run(line)) not in CODES.get(path, {0}):
                wrong.append(f"{line}: {code}")
    assert not wrong, "\n".join(wrong)
    assert (place / "work/mine/registry/aliases.json").is_file()
