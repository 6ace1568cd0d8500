"""What manifests/compiled holds: up to date for every target, strictly of its protocols, and named by its content."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from strict_ir import of, read, tasks

from pinrec_core.config.target import LOCAL
from pipelines.compile import Form, compiled, default_output, version_name
from pipelines.training import NAME

ROOT = Path(__file__).parents[3]
CLUSTERS = ("gke", "minikube")
ALL = [(LOCAL, Form.YAML), *((target, form) for target in CLUSTERS for form in Form)]
LARGEST_ANNOTATION = 256 * 1024  # bytes; Kubernetes'
CRD_FIELDS = {"displayName", "description", "pipelineName", "pipelineSpec", "platformSpec"}  # of those that are known
CACHED = {"aggregate_logs", "pretrain", "finetune", "evaluate"}


@pytest.mark.parametrize(("target", "form"), ALL)
def test_a_golden_is_up_to_date(demo, target, form):
    golden = ROOT / default_output(target, form)
    assert compiled(demo, target, form) == golden.read_bytes(), "run `make compile` and commit the files"


def test_there_is_no_golden_that_nothing_compiles(goldens, demo):
    assert set(CLUSTERS) == set(demo.targets)
    assert {path.name for path in goldens.iterdir()} == {default_output(*one).name for one in ALL}


def test_another_process_writes_the_same_bytes(tmp_path):
    """Nothing of a process (hash seed, order of imports, temporary names) is in them."""
    output = tmp_path / "deep/gke.yaml"
    subprocess.run([sys.executable, "-m", "pipelines.cli", "compile", "--config", "pipelines/configs/demo.toml",
                    "--target", "gke", "--format", "resources", "--output", output], cwd=ROOT, check=True,
                   capture_output=True)
    assert output.read_bytes() == (ROOT / default_output("gke", Form.RESOURCES)).read_bytes()
    assert [path.name for path in output.parent.iterdir()] == ["gke.yaml"]


@pytest.mark.parametrize("target", [LOCAL, *CLUSTERS])
def test_every_field_is_known_to_its_protocol(goldens, target):
    found = read((goldens / f"{target}.yaml").read_text("utf-8"))
    assert set(found.pods) == (set() if target == LOCAL else set(found.containers))


@pytest.mark.parametrize("target", [LOCAL, *CLUSTERS])
def test_only_what_may_be_cached_is(goldens, target):
    found = tasks(read((goldens / f"{target}.yaml").read_text("utf-8")).spec)
    assert {name for name, task in found.items() if task.caching_options.enable_cache} == CACHED
    assert {"gate", "promote", "reject", "notify", "resolve_live"} < set(found) - CACHED


@pytest.mark.parametrize("target", CLUSTERS)
def test_a_target_changes_nothing_of_what_is_done(goldens, target):
    """Same graph, same parameters, same code: only what runs it differs."""
    local, cluster = (next(yaml.safe_load_all((goldens / f"{name}.yaml").read_text("utf-8")))
                      for name in (LOCAL, target))
    for spec in (local, cluster):
        for executor in spec["deploymentSpec"]["executors"].values():
            for own in ("image", "env", "resources"):
                executor["container"].pop(own, None)
    assert cluster == local


@pytest.mark.parametrize("target", CLUSTERS)
def test_the_resources_hold_the_same_pipeline_under_a_name_of_its_content(demo, goldens, target):
    pipeline, version = yaml.safe_load_all((goldens / f"{target}_resources.yaml").read_text("utf-8"))
    ir = (goldens / f"{target}.yaml").read_bytes()
    documents = [version["spec"]["pipelineSpec"], version["spec"]["platformSpec"]]
    assert documents == list(yaml.safe_load_all(ir))
    of(*documents)
    assert set(pipeline["spec"]) | set(version["spec"]) <= CRD_FIELDS
    assert (pipeline["kind"], version["kind"]) == ("Pipeline", "PipelineVersion")
    assert pipeline["metadata"] == {"name": NAME, "namespace": demo.targets[target].namespace}
    assert version["metadata"] == {"name": version_name(ir), "namespace": demo.targets[target].namespace}
    assert version["spec"]["pipelineName"] == pipeline["metadata"]["name"] == documents[0]["pipelineInfo"]["name"]
    assert version["spec"]["displayName"] == version["metadata"]["name"]  # the spec of a version is immutable too
    assert {version["apiVersion"], pipeline["apiVersion"]} == {"pipelines.kubeflow.org/v2beta1"}
    assert re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", version["metadata"]["name"])
    assert len(json.dumps(version)) < LARGEST_ANNOTATION  # `kubectl apply` keeps all of it in one


def test_the_name_of_a_version_follows_its_content_alone(demo):
    target = demo.targets["minikube"]
    named = {}
    for name, change in {"same": {}, "elsewhere": {"namespace": "other", "service_account": "other"},
                         "more": {"memory": "3Gi"}, "newer": {"image": "pinrec:0.1.1"}}.items():
        changed = demo.model_copy(update={"targets": {"other": target.model_copy(update=change)}})
        _, version = yaml.safe_load_all(compiled(changed, "other", Form.RESOURCES))
        named[name] = version["metadata"]["name"]
    golden = version_name((ROOT / default_output("minikube", Form.YAML)).read_bytes())
    assert named["same"] == named["elsewhere"] == golden
    assert len({golden, named["more"], named["newer"]}) == 3
