"""Every example that a command's help shows is taken from the help and run, in an order in which each finds its files.

The cluster of submit, schedule and backfill is a server on this machine that checks what it is sent. serve and demo are
processes that are asked over HTTP and stopped.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shlex
import subprocess
import sys
import time
import tomllib
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urljoin

import pytest
import typer
from journey import ROOT, small
from kfp_server import KfpServer, leave_dataset, leave_outcome, serving
from ports import free_port

from pinrec_core.cli.entry import Settings, execute
from pinrec_core.cli.examples import EXAMPLES as STEPS
from pipelines.cli import whole_app
from pipelines.cluster import transport
from pipelines.examples import EXAMPLES as WHOLE

STAYING = ("serve", "demo")
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
def cluster() -> Iterator[KfpServer]:
    """The API of a cluster whose runs end at once, promoted or ready, and leave what real ones leave."""
    def run_it(run: dict) -> None:
        parameters = run["runtime_config"]["parameters"]
        leave_dataset(parameters["registry"], run, Path(parameters["registry"]).parent / "datasets")
        leave_outcome(parameters["registry"], run, "promoted" if parameters["go_live"] else "ready")
        run |= {"state": "SUCCEEDED", "finished_at": server.now()}

    with serving() as server:
        server.on_run = run_it
        yield server


@pytest.fixture(scope="module")
def place(tmp_path_factory, cluster) -> Iterator[Path]:
    """A folder with what the examples begin with: two configurations, and logs as they are downloaded."""
    folder = tmp_path_factory.mktemp("examples")
    (folder / "cluster/registry").mkdir(parents=True)
    minikube = tomllib.loads((ROOT / "pipelines/configs/demo.toml").read_text("utf-8"))["targets"]["minikube"]
    there = {"host": cluster.url, "claim_folder": str(folder), "registry": str(folder / "cluster/registry"),
             "events": str(folder / "work/mine/data/events"), "catalog": str(folder / "work/mine/data/catalog")}
    nightly = {"target": "minikube", "cron": "0 30 4 * * *", "time_zone": "UTC"}
    for name, floor in (("mine", 0.0), ("strict", 0.999)):
        changed = small(folder, {"name": "mine", "targets": {"minikube": minikube | there},
                                 "schedules": {"nightly": nightly}, "serve": {"port": free_port()},
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


@contextlib.contextmanager
def staying(line: str) -> Iterator[str]:
    """The address that a command which stays tells; a termination ends it, with exit code 0."""
    command = [sys.executable, "-m", "pipelines.cli", *shlex.split(line)[1:]]
    surroundings = {"PYTHONPATH": str(ROOT), "BROWSER": "true", "PYTHONUNBUFFERED": "1", "OMP_NUM_THREADS": "1"}
    with Path("staying.log").open("w+") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=os.environ | surroundings)
        try:
            for _ in range(600):
                told = Path(log.name).read_text("utf-8")
                if found := re.search(r"(?:running on|is at) (http://\S+)", told):
                    break
                assert process.poll() is None, told
                time.sleep(0.1)
            yield found[1]
        finally:
            process.terminate()
            code = process.wait(60)
        assert code == 0, Path(log.name).read_text("utf-8")


def retrieved(address: str) -> list[dict]:
    """Items for one user once the service answers at all."""
    body = json.dumps({"surface": "home", "user_id": "u1", "n": 5}).encode()
    for _ in range(300):
        with contextlib.suppress(OSError), urllib.request.urlopen(urljoin(address, "/v1/retrieve"), body) as answer:
            return json.load(answer)["items"]
        time.sleep(0.1)
    raise AssertionError(f"{address} gives no answer")


def test_every_example_runs(place, cluster, monkeypatch):
    monkeypatch.delenv("PINREC_REGISTRY", raising=False)
    monkeypatch.setattr(transport, "PATIENCE", transport.PATIENCE._replace(poll_s=0.02))
    shell, wrong = Shell(), []
    for path in ordered():
        for line in examples_of(path) if path not in STAYING else ():
            if (code := shell.run(line)) not in CODES.get(path, {0}):
                wrong.append(f"{line}: {code}")
    assert not wrong, "\n".join(wrong)
    assert (place / "work/mine/registry/aliases.json").is_file()
    assert len(cluster.runs) == 3, "of submit and of two dates of backfill"
    assert not cluster.recurring, "what was applied was deleted in the end"
    for line in (line for path in STAYING for line in examples_of(path)):
        with staying(line) as address:
            assert len(retrieved(address)) == 5, line
            with urllib.request.urlopen(urljoin(address, "/demo" if " demo " in line else "/readyz")) as page:
                assert page.status == 200
