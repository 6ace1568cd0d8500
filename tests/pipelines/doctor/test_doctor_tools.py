"""docker, kubectl and minikube: what is here, and recorded output of what is not."""

from __future__ import annotations

import json
import shutil

import pytest

from pipelines.doctor import pods, tools
from pipelines.doctor.ask import Unanswered, ask
from pipelines.doctor.examination import Check, checks, examine
from pipelines.doctor.finding import Status
from pipelines.doctor.subject import Subject

# `minikube version -o json`, `minikube status -o json` and the type ListImage (pkg/minikube/cruntime) behind
# `minikube image ls --format json`, of minikube's own repository and threads.
VERSION = {"commit": "8220a6eb95f0a4d75f7f2d7b14cef975f050512d", "minikubeVersion": "v1.32.0"}
RUNNING = {"Name": "minikube", "Host": "Running", "Kubelet": "Running", "APIServer": "Running",
           "Kubeconfig": "Configured", "Worker": False}
IMAGES = [{"id": "6270bb605e12", "repoDigests": [], "repoTags": ["registry.k8s.io/pause:3.9"], "size": "744000"},
          {"id": "5107333e08a8", "repoDigests": ["docker.io/library/x@sha256:00"], "repoTags": [], "size": "1"},
          {"id": "4950bb10b3f8", "repoDigests": [], "repoTags": ["docker.io/library/pinrec:0.1.0"], "size": "21000000"}]


def minikube(version: dict = VERSION, status: str = json.dumps(RUNNING), code: int = 0) -> str:
    """A shell script that prints what minikube printed."""
    return f"""case "$1" in
version) echo '{json.dumps(version)}';;
status) echo '{status}'; exit {code};;
image) echo '{json.dumps(IMAGES)}';;
esac"""


def test_a_program_that_is_missing_is_named():
    with pytest.raises(Unanswered, match="no-such-program not found"):
        ask(["no-such-program"])


def test_a_program_that_hangs_is_ended(program):
    program("docker", "sleep 60")
    with pytest.raises(Unanswered, match="docker did not answer within 0.2 s"):
        ask(["docker", "version"], limit_s=0.2)


@pytest.mark.skipif(not shutil.which("docker"), reason="no docker client here")
def test_a_docker_client_without_an_engine(monkeypatch, tmp_path):
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/docker.sock")
    found = tools.docker(Subject())
    assert found.status is Status.WARN and found.seen.startswith("no engine answers: ")
    assert "Is the docker daemon running?" in found.seen and "systemctl start docker" in found.next


@pytest.mark.parametrize(("version", "status"), [("20.10.24", Status.OK), ("28.2.2", Status.OK),
                                                 ("19.03.1", Status.WARN)])
def test_docker_engines(program, version, status):
    program("docker", f"echo '{json.dumps({'Client': {'Version': '28.2.2'}, 'Server': {'Version': version}})}'")
    assert tools.docker(Subject()).status is status


def test_no_programs_at_all(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert tools.docker(Subject()).seen == "docker not found"
    assert tools.kubectl(Subject()).status is Status.FAIL
    found = tools.minikube(Subject())
    assert (found.status, found.seen) == (Status.FAIL, "minikube not found")
    assert "https://minikube.sigs.k8s.io" in found.next


@pytest.mark.skipif(not shutil.which("kubectl"), reason="no kubectl here")
def test_the_kubectl_here():
    found = tools.kubectl(Subject())
    assert found.status is Status.OK and ", kustomize v5" in found.seen


def test_a_kubectl_with_an_old_kustomize(program):
    program("kubectl", """echo '{"clientVersion": {"gitVersion": "v1.24.0"}, "kustomizeVersion": "v4.5.4"}'""")
    assert tools.kubectl(Subject()).status is Status.FAIL


def test_a_running_minikube(program):
    program("minikube", minikube())
    assert tools.minikube(Subject()).seen == "v1.32.0, running"


def test_a_minikube_of_several_nodes(program):
    worker = RUNNING | {"Name": "minikube-m02", "APIServer": "Irrelevant", "Kubeconfig": "Irrelevant", "Worker": True}
    program("minikube", minikube(status=json.dumps([RUNNING, worker])))
    assert tools.minikube(Subject()).status is Status.OK


@pytest.mark.parametrize(("script", "seen", "then"), [
    (minikube({"minikubeVersion": "v1.24.0"}), "v1.24.0", tools.GET_MINIKUBE),
    (minikube(status=json.dumps(RUNNING | {"Host": "Stopped", "Kubelet": "Stopped", "APIServer": "Stopped"}), code=7),
     "v1.32.0, APIServer Stopped, Host Stopped, Kubelet Stopped", "minikube start"),
    (minikube(status="* Profile not found. Run minikube profile list to view all profiles.", code=85),
     "v1.32.0, no cluster: no JSON: * Profile not found. Run minikube profile list to view all profiles.",
     "make minikube"),
    ("echo crashed >&2; exit 1", "no JSON: crashed", tools.GET_MINIKUBE)])
def test_a_minikube_that_will_not_do(program, script, seen, then):
    program("minikube", script)
    found = tools.minikube(Subject())
    assert (found.status, found.seen, found.next) == (Status.FAIL, seen, then)


def test_the_image_in_minikube(program, configure):
    program("minikube", minikube())
    assert pods.image(Subject.of(configure("minikube"), "minikube")).status is Status.OK
    absent = pods.image(Subject.of(configure("minikube", cluster={"image": "pinrec:0.2.0"}), "minikube"))
    assert (absent.status, absent.next) == (Status.FAIL, "minikube image build -t pinrec:0.2.0 .")


def test_an_answer_of_another_shape_is_a_finding(program, configure):
    program("minikube", "echo '{}'")
    subject = Subject.of(configure("minikube"), "minikube")
    found = dict(examine(subject, [Check("minikube", tools.minikube)]))["minikube"]
    assert (found.status, found.seen) == (Status.FAIL, "the answer has no 'minikubeVersion'")


def test_minikube_is_looked_at_for_its_own_target_alone(configure):
    names = [check.name for check in checks(Subject.of(configure("minikube"), "minikube"))]
    assert "minikube" in names and "minikube" not in [check.name for check in checks(Subject.of(configure(), "there"))]
    assert Subject.of(configure("minikube"), "minikube").kubectl.context == "minikube"
