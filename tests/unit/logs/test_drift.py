"""Drift against the same weekday, and limits suggested from good days."""

from __future__ import annotations

import json
import tomllib
from collections import Counter
from pathlib import Path

import pytest
from quoted import says

from pinrec_core.cli.entry import Settings, build_app, execute
from pinrec_core.config import AggregateConfig, LogConfig, ValidateConfig
from pinrec_core.errors import ConfigError, DataError
from pinrec_core.logs.aggregate import aggregate_logs
from pinrec_core.logs.checks.drift import distance
from pinrec_core.logs.checks.suggest import suggest_rules
from pinrec_core.logs.validate import validate_data

LOG = LogConfig(surfaces=("home", "search"), positive_actions=("click", "save"))
DAYS, DAY_MS, START_MS = 15, 86_400_000, 1_772_323_200_000  # from Sunday 2026-03-01
STEADY = {"home": 30, "search": 10}
LENIENT = {"min_events": 1, "min_users": 1, "min_items": 1, "min_day_ratio": 0.0, "min_surface_positives": 1}


def month(new_logbook, root: Path, last: dict[str, int], action: str = "click", item: str = "") -> Path:
    """A dataset of 15 days with STEADY rows by surface, weekends less; the last day (a Sunday) as told."""
    logbook = new_logbook(root)
    for day in range(DAYS):
        rows = []
        for surface, count in (STEADY if day < DAYS - 1 else last).items():
            for number in range(count if day % 7 else count // 2 if day < DAYS - 1 else count):
                rows.append({"user_id": f"u{number}", "item_id": (item if day == DAYS - 1 else "") or f"i{number % 5}",
                             "item_type": "pin", "surface": surface, "action": action if day == DAYS - 1 else "click",
                             "timestamp_ms": START_MS + day * DAY_MS + number * 1000})
        logbook.write_file(root / "events" / f"date=2026-03-{day + 1:02d}" / "part-0.parquet", rows)
    logbook.catalog = [{"item_id": f"i{number}", "item_type": "pin"} for number in range(5)]
    logbook.write_file(root / "catalog" / "part-0.parquet", logbook.catalog)
    aggregate_logs(str(root / "events"), str(root / "catalog"), root / "dataset", log=LOG, date="2026-03-15",
                   aggregate=AggregateConfig(lookback_days=DAYS, eval_days=1, shards=2))
    return root / "dataset"


def judged(dataset: Path, **limits: object) -> dict[str, dict]:
    output = dataset.with_name("validation")
    validate_data(dataset, output, validate=ValidateConfig(**(LENIENT | limits)))
    return {rule["rule"]: rule for rule in json.loads((output / "validation.json").read_text())["rules"]}


def test_distance() -> None:
    assert distance(Counter(a=1, b=3), Counter(a=10, b=30)) == 0
    assert distance(Counter(a=1), Counter(b=1)) == 1
    assert distance(Counter(a=1, b=1), Counter(a=1)) == pytest.approx(0.5579230452841438)  # scipy, base 2
    assert (distance(Counter(), Counter()), distance(Counter(), Counter(a=1))) == (0, 1)


def test_a_day_like_its_weekday_has_not_drifted(new_logbook, tmp_path: Path) -> None:
    rules = judged(month(new_logbook, tmp_path, {"home": 15, "search": 5}))  # half of a weekday, like other Sundays
    assert rules["min_weekday_ratio"]["observed"] == 1.0
    assert "2026-03-08, 2026-03-01" in rules["max_surface_drift"]["sentence"]
    assert all(rules[f"max_{kind}_drift"]["observed"] < 0.01 for kind in ("surface", "action", "item_type", "top_item"))


@pytest.mark.parametrize(("day", "rule", "first_row"), [
    ({"last": {"home": 5, "search": 15}}, "max_surface_drift", {"surface": "home", "share": 0.25,
                                                                "share_before": 0.75}),
    ({"last": {"home": 15, "search": 5}, "action": "save"}, "max_action_drift", {"action": "click", "share": 0.0,
                                                                                 "share_before": 1.0}),
    ({"last": {"home": 15, "search": 5}, "item": "bot"}, "max_top_item_drift", {"top_item": "bot", "share": 1.0,
                                                                                "share_before": 0.0}),
    ({"last": {"home": 3, "search": 1}}, "min_weekday_ratio", {"date": "2026-03-15", "rows": 4, "rows_before": 20.0}),
    ({"last": {"home": 45, "search": 15}}, "max_weekday_ratio", {"date": "2026-03-15", "rows": 60,
                                                                 "rows_before": 20.0}),
])
def test_each_kind_of_drift_is_seen(new_logbook, tmp_path: Path, day: dict, rule: str, first_row: dict) -> None:
    dataset = month(new_logbook, tmp_path, **day)
    found = judged(dataset)[rule]  # warns, unless it is told to stop the run
    assert not found["passed"] and found["rows"][0] == first_row
    with pytest.raises(DataError, match=f"1 of .* checks failed\n  {rule}: observed") as raised:
        validate_data(dataset, dataset.with_name("again"), validate=ValidateConfig(
            **LENIENT, warn=tuple(name for name in ValidateConfig().warn if name != rule)))
    says("error: ...: ... of ... checks failed ... Repair the log, or change the limit in [validate] if the data is as "
         "it should be", raised.value)


def test_suggested_rules_pass_good_days_and_stop_a_bad_one(new_logbook, tmp_path: Path) -> None:
    good = [month(new_logbook, tmp_path / "one", {"home": 15, "search": 5}),
            month(new_logbook, tmp_path / "two", {"home": 14, "search": 4})]
    text = suggest_rules(good, 0.2)
    section = ValidateConfig(**tomllib.loads(text)["validate"])
    rows = sorted(json.loads((dataset / "statistics.json").read_text())["counts"]["rows_kept"] for dataset in good)
    assert section.min_events == int(rows[0] * 0.8)
    assert f"# seen {rows[0]} (2026-03-15) to {rows[1]} (2026-03-15)" in text
    assert section.max_null_share == dict.fromkeys(("request_id", "position", "context_item_id"), 1.0)
    for number, dataset in enumerate(good):
        validate_data(dataset, tmp_path / f"validation{number}", validate=section)
    bad = month(new_logbook, tmp_path / "bad", {"home": 15, "search": 5}, item="bot")
    with pytest.raises(DataError, match="max_new_item_share"):
        validate_data(bad, tmp_path / "validation", validate=section)


def test_days_before_a_surface_existed_make_no_rule(logbook) -> None:
    for day, clicks in enumerate((0, 10, 8)):
        for user in range(clicks):
            logbook.add(f"u{user}", "a", "click", day * 86_400 + user)
    logbook.write()
    logbook.aggregate()
    section = ValidateConfig(**tomllib.loads(suggest_rules([logbook.root / "dataset"], 0.0))["validate"])
    assert (section.day_ratio_days, section.min_day_ratio) == (2, 0.888)


def test_suggested_rules_say_what_they_cannot_know(logbook) -> None:
    logbook.add("ann", "a", "click", 5)
    logbook.add("ann", "a", "click", 2 * 86_400)
    logbook.write()
    logbook.aggregate()
    text = suggest_rules([logbook.root / "dataset"])
    assert "# max_action_drift: no day had a history" in text
    assert ValidateConfig(**tomllib.loads(text)["validate"]).max_action_drift == ValidateConfig().max_action_drift
    with pytest.raises(ConfigError, match="margin 1 must be"):
        suggest_rules([logbook.root / "dataset"], 1.0)


def test_the_command_prints_or_writes_what_a_configuration_takes(logbook, tmp_path: Path, capsys) -> None:
    logbook.add("ann", "a", "click", 5)
    logbook.add("ann", "a", "click", 2 * 86_400)
    logbook.write()
    logbook.aggregate()
    command = ["data", "suggest-rules", "--dataset", str(logbook.root / "dataset"), "--margin", "0.5"]
    settings = Settings()
    assert execute(build_app(settings), settings, command) == 0
    printed = capsys.readouterr().out
    assert ValidateConfig(**tomllib.loads(printed)["validate"]).min_events == 1
    file = tmp_path / "rules.toml"
    assert execute(build_app(settings), settings, [*command, "-o", str(file)]) == 0
    assert file.read_text() == printed
    assert execute(build_app(settings), settings, [*command, "-o", str(file)]) == 1
    assert "already exists" in capsys.readouterr().err
