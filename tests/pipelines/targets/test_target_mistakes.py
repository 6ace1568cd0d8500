"""Mistakes are caught: in the configuration with one line, in a compiled file by its protocols."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from google.protobuf.json_format import ParseError
from strict_ir import of

from pinrec_core.cli.exit_codes import EXIT_FAILED
from pipelines import cli

ROOT = Path(__file__).parents[3]
DEMO = ROOT / "pipelines/configs/demo.toml"


@pytest.fixture
def documents(goldens) -> list[dict]:
    return list(yaml.safe_load_all((goldens / "gke.yaml").read_text("utf-8")))


def pod_of(documents: list[dict], step: str) -> dict:
    return documents[1]["platforms"]["kubernetes"]["deploymentSpec"]["executors"][f"exec-{step}"]


def container_of(documents: list[dict], step: str) -> dict:
    return documents[0]["deploymentSpec"]["executors"][f"exec-{step}"]["container"]


@pytest.mark.parametrize(("mistake", "error", "message"), [
    (lambda d: pod_of(d, "gate").update(serviceAccount="pinrec"), ParseError, "serviceAccount"),
    (lambda d: pod_of(d, "gate").update(activeDeadlineSeconds="2h"), ParseError, "activeDeadlineSeconds"),
    (lambda d: container_of(d, "gate").update(imagePullPolicy="Never"), ParseError, "imagePullPolicy"),
    (lambda d: d[0]["root"]["dag"]["tasks"]["notify"].update(retries=3), ParseError, "retries"),
    (lambda d: d[1]["platforms"]["kubernetes"].update(podSpec={}), ParseError, "podSpec"),
    (lambda d: container_of(d, "gate")["resources"].update(resourceMemoryLimit="4GB"), ValueError, "'4GB' is no quan"),
    (lambda d: container_of(d, "gate").update(image="registry.example/pinrec"), ValueError, "image"),
    (lambda d: pod_of(d, "notify")["secretAsEnv"][0].pop("secretName"), ValueError, "secret without a name"),
    (lambda d: pod_of(d, "pretrain")["tolerations"][0].update(operator="Exists"), ValueError, "toleration"),
])
def test_a_compiled_file_with_a_mistake_is_not_read(documents, mistake, error, message):
    of(*documents)
    mistake(documents)
    with pytest.raises(error, match=message):
        of(*documents)


def compile_changed(tmp_path: Path, old: str, new: str, *options: str) -> int:
    """Exit code of `pinrec compile` for the demo with one change; raises if there is nothing to change."""
    text = DEMO.read_text("utf-8")
    assert old in text
    config = tmp_path / "changed.toml"
    config.write_text(text.replace(old, new), "utf-8")
    with pytest.raises(SystemExit) as end:
        cli.main(["compile", "--config", str(config), "--target", "gke", "--output", str(tmp_path / "out/gke.yaml"),
                  *options])
    return end.value.code


@pytest.mark.parametrize(("old", "new", "message"), [
    ('image = "registry.example/pinrec@sha256:' + "0123456789abcdef" * 4, 'image = "registry.example/pinrec:0.1.0',
     "targets.gke: image 'registry.example/pinrec:0.1.0' of a production target is no digest"),
    ('image = "pinrec:0.1.0"', 'image = "pinrec:latest"', "targets.minikube: image 'pinrec:latest' names no version"),
    ('notify_secret = "pinrec-webhook"', 'notify_secret = "Webhook Secret"', "targets.gke.notify_secret"),
    ('memory = "4Gi"', 'memory = "4GB"', "targets.gke.memory"),
    ('memory = "4Gi"', 'memory = "4096"', "targets.gke.memory"),
    ('cpu = "2"', 'cpu = "2k"', "cpu"),
    ('registry = "gs://example-pinrec/registry"', 'registry = "/data/registry"', "no pod sees it"),
    ('claim = "pinrec"', "", "events '/mnt/pinrec/data/events' is neither gs:// nor below"),
    ('key = "nvidia.com/gpu"', 'keys = "nvidia.com/gpu"', "unknown key"),
    ("[targets.gke.steps.finetune]", "[targets.gke.steps.fine_tune]", "no such step"),
    ('target = "gke"', 'target = "gcp"', "schedules.nightly.target: no target 'gcp'"),
])
def test_a_mistake_of_the_configuration_is_one_line_and_nothing_is_written(tmp_path, capfd, old, new, message):
    assert compile_changed(tmp_path, old, new) == EXIT_FAILED
    error = capfd.readouterr().err.strip()
    assert message in error and error.startswith("error: ") and len(error.splitlines()) == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("arguments", "message"), [
    (("--target", "gke"), "target 'gke' is described in a configuration; pass --config FILE with [targets.gke]"),
    (("--config", str(DEMO), "--target", "aws"), "no target 'aws': targets of configuration 'demo' are ['gke', 'minik"),
    (("--format", "resources"), "target 'local' is this machine"),
])
def test_a_target_that_is_not_described_is_named(tmp_path, capfd, arguments, message):
    with pytest.raises(SystemExit) as end:
        cli.main(["compile", *arguments, "--output", str(tmp_path / "out/gke.yaml")])
    error = capfd.readouterr().err.strip()
    assert (end.value.code, len(error.splitlines())) == (EXIT_FAILED, 1)
    assert message in error
    assert not (tmp_path / "out").exists()
