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
    ({"cpu": "two"}, "cpu"),
])
def test_mistakes_of_a_target_are_named(change, message):
    with pytest.raises(ValidationError, match=message):
        TargetConfig(image="pinrec:1", **PLACES, **change)


@pytest.mark.parametrize(("change", "message"), [
    ({"cron": "30 4 * * *"}, "has 5 fields, Kubeflow's cron has 6"),
    ({"time_zone": "Berlin"}, "time_zone 'Berlin'"),
    ({"max_concurrency": 0}, "max_concurrency"),
])
def test_mistakes_of_a_schedule_are_named(change, message):
    with pytest.raises(ValidationError, match=message):
        ScheduleConfig(**({"target": "gke", "cron": "0 30 4 * * *", "time_zone": "Europe/Berlin"} | change))


@pytest.mark.parametrize(("lines", "message"), [
    ('[targets.local]\nimage = "pinrec:1"\nevents = "e"\ncatalog = "c"\nregistry = "r"', "targets.local: that is this"),
    ('[schedules.nightly]\ntarget = "gke"\ncron = "0 0 4 * * *"\ntime_zone = "UTC"', "no target 'gke'"),
])
def test_a_file_whose_targets_and_schedules_disagree_is_refused(tmp_path, lines, message):
    file = tmp_path / "config.toml"
    file.write_text((ROOT / "pipelines/configs/tiny.toml").read_text("utf-8") + "\n" + lines, "utf-8")
    with pytest.raises(ConfigError, match=message):
        Config.load(file)
