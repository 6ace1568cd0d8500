"""`make minikube` against programs that write down how they were called: order, what is left alone, where it stops.

minikube, kubectl and docker are not run here; what the real ones are told must be what docs/minikube.md says.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from page import ROOT, blocks

from pinrec_core.logs.synth import WORLDS, write_world

JOB = ROOT / "manifests/jobs/synth.yaml"
RECORDER = """#!/bin/sh
echo "$(basename $0) $*" >> "$CALLS"
case "$(basename $0) $*" in
  $FAILING) exit 1;;
  "minikube image ls") echo "docker.io/library/$THERE";;
  *port-forward*) exec sleep 60;;
esac
"""


@pytest.fixture
def make(tmp_path) -> Callable[..., tuple[int, list[str]]]:
    """make(failing=pattern, there=image): exit code of `make minikube` and the calls it made, in order."""
    programs = tmp_path / ".venv/bin"
    programs.mkdir(parents=True)
    for name in ("minikube", "kubectl", "make", "pinrec"):
        (programs / name).write_text(RECORDER)
        (programs / name).chmod(0o755)
    (programs / "python").symlink_to(sys.executable)
    for name in ("Makefile", "pyproject.toml", "constraints.txt", "pipelines", "manifests"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / ".venv/.installed").touch()
    calls = tmp_path / "calls"

    def run(failing: str = "nothing", there: str = "") -> tuple[int, list[str]]:
        calls.write_text("")
        done = subprocess.run([shutil.which("make"), "minikube"], cwd=tmp_path, capture_output=True, text=True,
                              check=False, timeout=60, env=os.environ | {
                                  "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}", "CALLS": str(calls),
                                  "FAILING": failing, "THERE": there})
        return done.returncode, calls.read_text().splitlines()

    return run


def steps(calls: list[str]) -> list[str]:
    """What was asked of the cluster or made for it."""
    return [call.replace("kubectl --context minikube ", "kubectl ") for call in calls
            if call not in ("minikube status", "minikube image ls")]


def test_a_first_call_takes_the_steps_of_the_page(make):
    code, calls = make(failing="minikube status")
    assert code == 0
    taken = steps(calls)
    said = [" ".join(shlex.split(command)) for block in blocks("docs/minikube.md") for command in block.commands]
    assert set(taken) <= set(said), "the page does not name what make does"
    order = [said.index(step) for step in taken if "port-forward" not in step and not step.startswith("pinrec doctor")]
    assert len(order) >= 12 and any("port-forward" in step for step in taken)
    assert order == sorted(order)
    assert all("--context minikube" in call for call in calls if call.startswith("kubectl"))


def test_a_second_call_starts_no_cluster_and_loads_no_image(make):
    code, calls = make(there="pinrec:0.1.0")
    assert code == 0
    assert not [call for call in calls if call.startswith(("minikube start", "make", "minikube image load"))]
    assert any(call.startswith("pinrec submit") for call in calls)


@pytest.mark.parametrize("failing", ["minikube s*", "*cluster-scoped*", "*condition=Available*", "make image*",
                                     "*overlays*", "*job/pinrec-synth"])
def test_the_first_step_that_fails_is_the_last_but_for_the_doctor(make, failing):
    code, calls = make(failing=failing)
    assert code != 0
    assert calls[-1] == "pinrec doctor --config pipelines/configs/demo.toml --target minikube"
    assert not any(call.startswith("pinrec submit") for call in calls)


def test_a_doctor_that_finds_a_failure_keeps_the_run_from_being_submitted(make):
    code, calls = make(failing="pinrec doctor*")
    assert code != 0 and any(call.startswith("pinrec doctor") for call in calls)
    assert not any("submit" in call or "rollout" in call for call in calls)


def test_the_job_makes_the_world_once(tmp_path):
    pod = yaml.safe_load(JOB.read_text("utf-8"))["spec"]["template"]["spec"]
    shell, option, script = pod["containers"][0]["command"]
    script = script.replace("/mnt/pinrec/data", str(tmp_path / "data")).replace("synth", "synth --world tiny")
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    for _ in range(2):  # the second time it is there
        subprocess.run([shell, option, script], check=True, env=environment)
    write_world(tmp_path / "same", WORLDS["tiny"])
    assert (tmp_path / "data/truth.json").read_bytes() == (tmp_path / "same/truth.json").read_bytes()


def test_the_job_fits_into_a_restricted_namespace():
    job = yaml.safe_load(JOB.read_text("utf-8"))
    pod = job["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault"
    (container,) = pod["containers"]
    assert container["securityContext"] == {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True,
                                            "capabilities": {"drop": ["ALL"]}}
    assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}
    assert job["metadata"]["namespace"] == "kubeflow"


def test_the_job_is_one_by_the_schemas_of_kubernetes():
    kubernetes_validate = pytest.importorskip("kubernetes_validate")
    kubernetes_validate.validate(yaml.safe_load(JOB.read_text("utf-8")), "1.32", strict=True)
