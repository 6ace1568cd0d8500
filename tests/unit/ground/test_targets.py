"""[targets] and [schedules]: what is refused, by name and value, and what a step gets."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from pinrec_core.config import Config, ScheduleConfig, TargetConfig
from pinrec_core.config.target import STEPS
from pinrec_core.errors import ConfigError

ROOT = Path(__file__).parents[3]
PLACES = {"events": "gs://logs/events", "catalog": "gs://logs/catalog", "registry": "gs://logs/registry"}
DATA = "".join(f'\n{name} = "{place}"' for name, place in PLACES.items())
DIGEST = "registry.example/pinrec@sha256:" + "a" * 64


def test_a_step_has_the_targets_settings_where_it_has_none_of_its_own():
    target = TargetConfig(image="pinrec:1", **PLACES, cpu="2", memory="4Gi", node_selector={"pool": "cpu"},
                          steps={"pretrain": {"memory": "16Gi", "accelerators": 1, "node_selector": {"pool": "gpu"}}})
    pretrain, gate = target.step("pretrain"), target.step("gate")
    assert (pretrain.cpu, pretrain.memory, pretrain.accelerators) == ("2", "16Gi", 1)
    assert pretrain.node_selector == {"pool": "gpu"}
    assert (gate.cpu, gate.memory, gate.accelerators, gate.node_selector) == ("2", "4Gi", 0, {"pool": "cpu"})


def test_the_steps_are_the_components():
    files = {path.stem for path in (ROOT / "components").glob("*.py")} - {"__init__", "image", "artifacts"}
    assert files == set(STEPS)


@pytest.mark.parametrize("image", ["pinrec", "pinrec:latest", "registry:5000/pinrec"])
def test_an_image_without_a_version_is_refused(image):
    with pytest.raises(ValidationError, match="names no version"):
        TargetConfig(image=image, **PLACES)


@pytest.mark.parametrize("image", ["pinrec:1.0", "registry:5000/pinrec:1", DIGEST])
def test_an_image_with_a_version_is_taken(image):
    assert TargetConfig(image=image, **PLACES).image == image


def test_production_takes_a_digest_alone():
    assert TargetConfig(image=DIGEST, production=True, **PLACES).production
    with pytest.raises(ValidationError, match="is no digest; write name@sha256"):
        TargetConfig(image="pinrec:1.0", production=True, **PLACES)


@pytest.mark.parametrize(("change", "message"), [
    ({"steps": {"train": {}}}, "steps.train: no such step"),
    ({"claim_folder": "mnt"}, "claim_folder 'mnt'"),
    ({"cpu": "two"}, "cpu"), ({"cpu": "1.5m"}, "cpu"), ({"cpu": "0"}, "cpu"), ({"cpu": "4Gi"}, "cpu"),
    ({"memory": "2"}, "memory"), ({"memory": "1.5Gi"}, "memory"), ({"memory": "2K"}, "memory"),
    ({"memory": "2GB"}, "memory"), ({"steps": {"gate": {"memory": "many"}}}, "steps.gate.memory"),
    ({"steps": {"pretrain": {"accelerator": "gpu"}}}, "steps.pretrain.accelerator"),
    ({"claim": "Pinrec"}, "claim"), ({"notify_secret": "a b"}, "notify_secret"), ({"namespace": ""}, "namespace"),
    ({"node_selector": {"pool": "a b"}}, "node_selector"), ({"node_selector": {"/pool": "a"}}, "node_selector"),
    ({"tolerations": [{"key": ""}]}, "tolerations"), ({"pull_policy": "Sometimes"}, "pull_policy"),
    ({"events": "events"}, "events 'events' is neither gs:// nor below"),
    ({"registry": "/mnt/pinrec/registry"}, "registry '/mnt/pinrec/registry' is neither"),
    ({"claim": "pinrec", "store": "/mnt/other"}, "store '/mnt/other' is neither"),
])
def test_mistakes_of_a_target_are_named(change, message):
    with pytest.raises(ValidationError, match=message):
        TargetConfig(image="pinrec:1", **(PLACES | change))


@pytest.mark.parametrize("settings", [
    {"cpu": "500m", "memory": "512Mi"}, {"cpu": "1.5", "memory": "2G"}, {"cpu": "0.5", "memory": "1024Ki"},
    {"cpu": "", "memory": "", "claim": "", "notify_secret": ""},
    {"node_selector": {"cloud.google.com/gke-nodepool": "cpu", "spot": ""}, "steps": {"notify": {"timeout_s": 60}}},
    {"claim": "pinrec", "store": "/mnt/pinrec/store", "events": "/mnt/pinrec/events"},
    {"claim": "pinrec", "claim_folder": "/data", "registry": "/data/registry"},
])
def test_what_kubernetes_takes_is_taken(settings):
    assert TargetConfig(image="pinrec:1", **(PLACES | settings))


@pytest.mark.parametrize(("change", "message"), [
    ({"cron": "30 4 * * *"}, "has 5 fields, Kubeflow's cron has 6"),
    ({"time_zone": "Berlin"}, "time_zone 'Berlin'"),
    ({"max_concurrency": 0}, "max_concurrency"),
])
def test_mistakes_of_a_schedule_are_named(change, message):
    with pytest.raises(ValidationError, match=message):
        ScheduleConfig(**({"target": "gke", "cron": "0 30 4 * * *", "time_zone": "Europe/Berlin"} | change))


@pytest.mark.parametrize(("lines", "message"), [
    ('[targets.local]\nimage = "pinrec:1"' + DATA, "targets.local: that is this"),
    ('[notify]\nwebhook = "https://a.example"\n[targets.gke]\nimage = "pinrec:1"' + DATA,
     "targets.gke.notify_secret is empty"),
    ('[launch]\nlauncher = "trainjob"\ntrainjob = {image = "pinrec:1", claim = "pinrec"}\n'
     '[targets.gke]\nimage = "pinrec:1"\nclaim = "other"' + DATA, "mounts claim 'other' at /mnt/pinrec"),
    ('[launch]\nlauncher = "trainjob"\ntrainjob = {image = "pinrec:1", claim = "pinrec"}\n'
     f'[targets.gke]\nproduction = true\nimage = "{DIGEST}"\nclaim = "pinrec"' + DATA,
     "launch.trainjob.image 'pinrec:1' is no digest"),
    ('[schedules.nightly]\ntarget = "gke"\ncron = "0 0 4 * * *"\ntime_zone = "UTC"', "no target 'gke'"),
])
def test_a_file_whose_targets_and_schedules_disagree_is_refused(tmp_path, lines, message):
    file = tmp_path / "config.toml"
    file.write_text((ROOT / "pipelines/configs/tiny.toml").read_text("utf-8") + "\n" + lines, "utf-8")
    with pytest.raises(ConfigError, match=message):
        Config.load(file)


def test_a_target_is_found_by_name(tmp_path):
    file = tmp_path / "config.toml"
    file.write_text((ROOT / "pipelines/configs/tiny.toml").read_text("utf-8")
                    + '\n[targets.gke]\nimage = "pinrec:1"' + DATA, "utf-8")
    config = Config.load(file)
    assert config.target("gke") is config.targets["gke"]
    with pytest.raises(ConfigError, match=r"no target 'aws': targets of configuration 'tiny' are \['gke'\]"):
        config.target("aws")
