"""[schedules]: cron fields as Kubeflow's cron library reads them, and the one time zone that a cluster has."""

from __future__ import annotations

from pathlib import Path

import pytest

from pinrec_core.config import Config, ScheduleConfig
from pinrec_core.errors import ConfigError

TINY = Path(__file__).parents[3] / "pipelines/configs/tiny.toml"


def schedule(**change: object) -> ScheduleConfig:
    return ScheduleConfig(**({"target": "prod", "cron": "0 30 4 * * *", "time_zone": "UTC"} | change))


@pytest.mark.parametrize("cron", ["0 30 4 * * *", "0 0 */2 ? * MON-FRI", "0 0,30 4-6 1,15 jan-mar 0", "5/10 * * * * *"])
def test_what_kubeflow_takes_is_taken(cron):
    assert schedule(cron=f"  {cron} ").cron == cron


@pytest.mark.parametrize(("cron", "field"), [
    ("60 * * * * *", "second '60'"), ("0 x * * * *", "minute 'x'"), ("0 0 24 * * *", "hour '24'"),
    ("0 0 4 0 * *", "day of month '0'"), ("0 0 4 * 13 *", "month '13'"), ("0 0 4 * * 7", "day of week '7'"),
    ("0 0 4-2 * * *", "hour '4-2'"), ("0 0 */0 * * *", "hour '*/0'"), ("0 0 4,, * * *", "hour '4,,'"),
    ("0 0 4 * * monday", "day of week 'monday'")])
def test_what_kubeflow_would_refuse_is_named(cron, field):
    with pytest.raises(ValueError, match=f"{field} is no cron field".replace("*", r"\*")):
        schedule(cron=cron)


@pytest.mark.parametrize("cron", ["CRON_TZ=Europe/Berlin 0 30 4 * * *", "TZ=UTC 0 30 4 * * *", "@daily"])
def test_a_time_zone_in_the_cron_and_a_word_are_refused(cron):
    with pytest.raises(ValueError, match="Kubeflow's cron has 6"):
        schedule(cron=cron)


@pytest.mark.parametrize("change", [{"max_concurrency": 11}, {"max_concurrency": 0}, {"lag_days": -1}])
def test_limits(change):
    with pytest.raises(ValueError, match=next(iter(change))):
        schedule(**change)


@pytest.mark.parametrize(("cluster", "good"), [("Europe/Berlin", True), ("UTC", False)])
def test_the_time_zone_is_that_of_the_cluster(tmp_path, cluster, good):
    file = tmp_path / "pinrec.toml"
    file.write_text(TINY.read_text("utf-8") + f"""
[targets.prod]
image = "registry.example/pinrec:7"
events = "gs://data/events"
catalog = "gs://data/catalog"
registry = "gs://data/registry"
cron_time_zone = "{cluster}"

[schedules.daily]
target = "prod"
cron = "0 30 4 * * *"
time_zone = "Europe/Berlin"
""", "utf-8")
    if good:
        assert Config.load(file).schedules["daily"].time_zone == cluster
        return
    with pytest.raises(ConfigError, match="schedules.daily.time_zone is 'Europe/Berlin', targets.prod reads cron in"):
        Config.load(file)
