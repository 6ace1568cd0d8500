"""docs/minikube.md: what needs no cluster is run; of the rest every command, option, target and manifest must exist."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import typer
import yaml
from page import ROOT, Block, blocks

from pinrec_core.cli.entry import Settings
from pipelines.cli import whole_app

PAGE = "docs/minikube.md"
BLOCKS = blocks(PAGE)
HERE = [block for block in BLOCKS if not block.needs_cluster]
ON_CLUSTER = [command for block in BLOCKS if block.needs_cluster for command in block.commands]
PINREC = [command for command in ON_CLUSTER if re.search(r"(^|-- )pinrec ", command)]
# Of programs that are not there everywhere: what the page may ask of them.
MINIKUBE = {"start", "status", "image", "delete"}
KUBECTL = {"apply", "wait", "exec", "get", "rollout", "port-forward", "delete"}


@pytest.fixture(scope="module")
def app() -> typer.main.click.Group:
    """`pinrec` with all its commands, not run."""
    return typer.main.get_command(whole_app(Settings()))


@pytest.fixture
def checkout(tmp_path, monkeypatch) -> Path:
    """A current directory that looks like the project's but keeps work/ to itself; `pinrec` is this one."""
    for path in ROOT.iterdir():
        if path.name not in ("work", ".git"):
            (tmp_path / path.name).symlink_to(path)
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_page_has_both_kinds_of_blocks():
    assert len(HERE) >= 2 and len(BLOCKS) - len(HERE) >= 10
    text = (ROOT / PAGE).read_text("utf-8")
    assert text.count("```") == 2 * len(BLOCKS), "a block that is not marked sh"


@pytest.mark.skipif(not shutil.which("kubectl"), reason="no kubectl here")
@pytest.mark.parametrize("block", HERE, ids=lambda block: f"line {block.line}")
def test_a_block_that_needs_no_cluster_runs(checkout, block: Block):
    done = subprocess.run(["bash", "-euo", "pipefail", "-c", block.body], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr or done.stdout


@pytest.mark.parametrize("command", PINREC)
def test_a_pinrec_command_and_its_options_exist(app, command):
    words = shlex.split(command.split("-- ", 1)[1] if command.startswith("kubectl") else command)
    context = app.make_context("pinrec", words[1:])
    group, rest = app, [*context._protected_args, *context.args]
    while hasattr(group, "commands"):
        name, group, rest = group.resolve_command(context, rest)
        context = group.make_context(name, rest, parent=context)
        rest = [*getattr(context, "_protected_args", ()), *context.args] if hasattr(group, "commands") else rest
    if "config" in context.params:
        assert re.fullmatch(r"(pipelines/configs/demo|work/minikube)\.toml", str(context.params["config"]))


@pytest.mark.parametrize("command", [each for each in ON_CLUSTER if each.startswith("make ")])
def test_a_make_target_exists(command):
    done = subprocess.run([*shlex.split(command), "--dry-run"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("command", [each for each in ON_CLUSTER if each.startswith("kubectl ")])
def test_what_kubectl_is_given_exists(command):
    words = shlex.split(command)
    assert set(words) & KUBECTL
    for option, value in zip(words, words[1:], strict=False):
        if option == "-f":
            assert list(yaml.safe_load_all((ROOT / value).read_text("utf-8")))
        elif option == "-k" and value.startswith("github.com/"):
            assert re.fullmatch(r"github\.com/kubeflow/pipelines/manifests/kustomize/[\w/-]+\?ref=2\.1[5-7]\.\d", value)
        elif option == "-k":
            built = subprocess.run(["kubectl", "kustomize", value], cwd=ROOT, capture_output=True, text=True,
                                   check=False)
            assert built.returncode == 0, built.stderr


def test_every_command_is_of_a_program_that_is_looked_at():
    for command in ON_CLUSTER:
        program, verb = shlex.split(command)[:2]
        assert program in ("pinrec", "kubectl", "make", "curl") or (program == "minikube" and verb in MINIKUBE), command


def test_objects_that_are_named_are_made(checkout):
    """Deployments, services and claims of ours that the page and the Job name are those of the overlay."""
    built = subprocess.run(["kubectl", "kustomize", "manifests/overlays/minikube"], capture_output=True, text=True,
                           check=True)
    made = {(each["kind"], each["metadata"]["name"], each["metadata"].get("namespace"))
            for each in yaml.safe_load_all(built.stdout)}
    assert {("Deployment", "pinrec-serving", "kubeflow"), ("Service", "pinrec-serving", "kubeflow"),
            ("PersistentVolumeClaim", "pinrec", "kubeflow")} <= made


def test_the_target_can_be_submitted_to():
    from pinrec_core.config import Config

    target = Config.load(ROOT / "pipelines/configs/demo.toml").targets["minikube"]
    assert (target.host, target.namespace, target.claim, target.image) == (
        "http://localhost:8888", "kubeflow", "pinrec", "pinrec:0.1.0")
    assert (target.events, target.catalog) == ("/mnt/pinrec/data/events", "/mnt/pinrec/data/catalog")
    assert target.registry == "/mnt/pinrec/registry"
