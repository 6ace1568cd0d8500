"""validate_data: every limit can stop a run, every broken table is seen, and all is said at once."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pinrec_core.config import ValidateConfig
from pinrec_core.errors import DataError, IntegrityError
from pinrec_core.logs.validate import validate_data
from pinrec_core.manifest import read_manifest, write_manifest

LENIENT = {"min_events": 1, "min_users": 1, "min_items": 1, "max_quarantined_share": 1.0, "max_duplicate_share": 1.0,
           "max_uncatalogued_share": 1.0, "min_day_ratio": 0.0, "min_surface_positives": 1}


@pytest.fixture(scope="module")
def sealed(new_logbook, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten users with a click on each surface and day; one duplicate, one quarantined row, one item off the catalog."""
    logbook = new_logbook(tmp_path_factory.mktemp("log"))
    for day in range(3):
        for user in range(10 if day < 2 else 4):
            logbook.add(f"u{user}", "a", "click", day * 86_400 + user)
            logbook.add(f"u{user}", "z" if user == 3 else "b", "save", day * 86_400 + user + 20, surface="search")
    logbook.add("u0", "a", "click", 0)
    logbook.add("u0", "a", "teleport", 0)
    logbook.write()
    logbook.aggregate(shards=1)
    return logbook.root / "dataset"


@pytest.fixture
def dataset(sealed: Path, tmp_path: Path) -> Path:
    """A copy of the sound dataset that a test may break."""
    return Path(shutil.copytree(sealed, tmp_path / "dataset"))


def validate(dataset: Path, **limits: object) -> dict:
    """The rules of a validation that passes, by name."""
    output = dataset.with_name("validation")
    manifest = validate_data(dataset, output, validate=ValidateConfig(**(LENIENT | limits)))
    assert read_manifest(output, "validation") == manifest
    return {rule["rule"]: rule for rule in json.loads((output / "validation.json").read_text())["rules"]}


def refusal(dataset: Path, **limits: object) -> str:
    """What is said when a validation fails; nothing may be written then."""
    with pytest.raises(DataError) as caught:
        validate(dataset, **limits)
    assert not dataset.with_name("validation").exists()
    return str(caught.value)


def test_a_sound_dataset_passes_with_every_rule_on_record(dataset: Path) -> None:
    rules = validate(dataset)
    assert all(rule["passed"] and rule["sentence"] for rule in rules.values())
    assert rules["max_quarantined_share"]["observed"] == 1 / 50
    assert rules["min_day_ratio"]["observed"] == 8 / 20
    assert rules["min_surface_positives[search]"]["observed"] == 20
    assert {"sequences.timestamp_ms in order", "views.not empty", "schema[items.parquet]"} <= rules.keys()


@pytest.mark.parametrize(("limits", "said"), [
    ({"min_events": 49}, "min_events: observed 48, limit 49"), ({"min_users": 11}, "min_users: observed 10, limit 11"),
    ({"min_items": 4}, "min_items: observed 3, limit 4"),
    ({"max_quarantined_share": 0.01}, "max_quarantined_share: observed 0.02, limit 0.01"),
    ({"max_duplicate_share": 0.01}, "max_duplicate_share: observed 0.02, limit 0.01"),
    ({"max_uncatalogued_share": 0.3}, "max_uncatalogued_share: observed 0.333333, limit 0.3"),
    ({"min_day_ratio": 0.7}, "min_day_ratio: observed 0.4, limit 0.7: 2026-03-03 has 8 rows on modelled surfaces"),
    ({"min_surface_positives": 21}, r"min_surface_positives[search]: observed 20, limit 21"),
])
def test_each_limit_stops_the_run(dataset: Path, limits: dict, said: str) -> None:
    assert said in refusal(dataset, **limits)


def test_all_failures_are_told_at_once_with_examples(dataset: Path) -> None:
    said = refusal(dataset, min_users=11, max_quarantined_share=0.0, max_uncatalogued_share=0.0)
    assert "3 of" in said and "min_users" in said and "teleport" in said and '"item_id": "z"' in said
    assert "in date=2026-03-01/part-0.parquet" in said


def test_only_recent_days_are_compared(logbook) -> None:
    for day, clicks in enumerate((1, 10, 10)):
        for user in range(clicks):
            logbook.add(f"u{user}", "a", "click", day * 86_400 + user)
            logbook.add(f"u{user}", "a", "click", day * 86_400 + user, surface="search")
    logbook.write()
    logbook.aggregate()
    assert "2026-03-01 has 2 rows" in refusal(logbook.root / "dataset", min_day_ratio=0.5, day_ratio_days=3)
    rules = validate(logbook.root / "dataset", min_day_ratio=0.5, day_ratio_days=2)
    assert rules["min_day_ratio"]["observed"] == 1.0


def test_days_before_a_surface_existed_do_not_hide_a_hole(logbook) -> None:
    for day, clicks in enumerate((0, 10, 4)):
        for user in range(clicks):
            logbook.add(f"u{user}", "a", "click", day * 86_400 + user)
            logbook.add(f"u{user}", "a", "click", day * 86_400 + user, surface="search")
    logbook.write()
    logbook.aggregate()
    said = refusal(logbook.root / "dataset", min_day_ratio=0.7, day_ratio_days=2)
    assert "2026-03-03 has 8 rows on modelled surfaces, 0.57 of the median day's 14" in said


def test_a_rule_that_warns_is_kept_and_logged_but_stops_nothing(dataset: Path, caplog) -> None:
    limits = {"min_users": 11, "max_quarantined_share": 0.0}
    rules = validate(dataset, warn=tuple(limits), **limits)
    for name in limits:
        assert (rules[name]["passed"], rules[name]["severity"]) == (False, "warn")
        assert f"validate: {name}: observed" in caplog.text
    assert rules["min_items"]["severity"] == "error"
    shown = rules["max_quarantined_share"]
    assert shown["file"] == "date=2026-03-01/part-0.parquet" and "teleport" in shown["rows"][0]["record"]
    document = json.loads((dataset.with_name("validation") / "validation.json").read_text())
    assert document["warnings"] == list(limits)
    shutil.rmtree(dataset.with_name("validation"))
    assert "1 of" in refusal(dataset, warn=("min_users",), **limits)


@pytest.mark.parametrize(("name", "near"), [("min_user", "did you mean 'min_users'"), ("warn", "rules are min_events"),
                                            ("drift_weeks", "names no rule")])
def test_only_rules_can_warn(name: str, near: str) -> None:
    with pytest.raises(ValueError, match=near):
        ValidateConfig(warn=(name,))


@pytest.mark.parametrize(("limits", "said"), [
    ({"max_null_share": {"position": 0.5}}, "max_null_share[position]: observed 1, limit 0.5"),
    ({"max_top_item_share": 0.4}, "max_top_item_share: observed 0.5, limit 0.4: 0.5000 (4 of 8) of the rows of 2026"),
    ({"max_unordered_share": 0.0}, "max_unordered_share: observed"),
])
def test_rules_that_are_off_until_they_are_set(dataset: Path, limits: dict, said: str) -> None:
    assert said in refusal(dataset, **limits)


def test_no_more_than_five_offending_rows_are_shown(logbook) -> None:
    for user in range(20):
        logbook.add(f"u{user}", "a", "click", user)
        logbook.add(f"u{user}", "a", "click", user, surface="search")
        logbook.add(f"u{user}", "a", "teleport", user)
    logbook.add(None, "a", "click", 5)
    logbook.write()
    logbook.aggregate()
    limits = {"max_quarantined_share": 0.0}
    shown = validate(logbook.root / "dataset", warn=tuple(limits), **limits)["max_quarantined_share"]
    assert [row["reason"] for row in shown["rows"]] == ["unknown_action", "null_user_id", *["unknown_action"] * 3]


def test_without_history_drift_is_skipped_and_said_so(dataset: Path) -> None:
    rules = validate(dataset)
    assert rules["max_action_drift"]["observed"] is None
    assert "skipped: no Tuesday in the 4 weeks before 2026-03-03" in rules["max_action_drift"]["sentence"]


def test_a_dataset_of_an_older_version(dataset: Path) -> None:
    (dataset / "sketches.json").unlink()
    reseal(dataset)
    assert "older version" in refusal(dataset)


def rewrite(dataset: Path, name: str, change: Callable[[dict], dict]) -> None:
    """Change the first row of a table and seal the dataset again, as a faulty writer would have."""
    path = next(dataset.glob(name))
    table = pq.read_table(path)
    rows = table.to_pylist()
    rows[0] |= change(rows[0])
    pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), path)
    reseal(dataset)


def reseal(dataset: Path) -> None:
    """Write a manifest whose hashes hold."""
    old = json.loads((dataset / "manifest.json").read_text())
    write_manifest(dataset, kind="dataset", counts=old["counts"], facts=old["facts"])


@pytest.mark.parametrize(("name", "change", "rule"), [
    ("items.parquet", lambda row: {"item_type": 9}, "items.item_type within log.item_types: observed 1, limit 0"),
    ("items.parquet", lambda row: {"train_count": -1}, "items.train_count not negative"),
    ("sequences/*", lambda row: {"item": [99, *row["item"][1:]]}, "sequences.item within the item table"),
    ("sequences/*", lambda row: {"timestamp_ms": row["timestamp_ms"][::-1]}, "sequences.timestamp_ms in order"),
    ("sequences/*", lambda row: {"timestamp_ms": [5, *row["timestamp_ms"][1:]]}, "sequences.timestamp_ms within the"),
    ("sequences/*", lambda row: {"actions": [4, *row["actions"][1:]]}, "sequences.actions has a positive bit"),
    ("sequences/*", lambda row: {"actions": [9, *row["actions"][1:]]}, "sequences.actions within the vocabulary"),
    ("sequences/*", lambda row: {"item": row["item"][1:]}, "sequences.lists share one length"),
    ("sequences/*", lambda row: {"item": [None, *row["item"][1:]]}, "sequences.no nulls"),
    ("sequences/*", lambda row: {"user_id": "zzz"}, "sequences.user_id ascending"),
    ("sequences/*", lambda row: {"split": 3}, "sequences.split within SPLITS"),
    ("views/*", lambda row: {"surface": 2}, "views.surface within the vocabulary"),
    ("views/*", lambda row: {"context_item": 99}, "views.context_item within the item table"),
    ("views/*", lambda row: {"item": [], "actions": [], "position": []}, "views.not empty"),
])
def test_a_broken_table_is_seen_and_shown(dataset: Path, name: str, change: Callable, rule: str) -> None:
    rewrite(dataset, name, change)
    said = refusal(dataset)
    assert rule in said and '"row": ' in said and "1 of" in said


def test_another_schema_is_named_by_column(dataset: Path) -> None:
    path = next(dataset.glob("views/*"))
    pq.write_table(pq.read_table(path).drop_columns(["position"]), path)
    reseal(dataset)
    assert "schema[views]: observed 1, limit 0" in refusal(dataset) and "position" in refusal(dataset)


def test_an_altered_dataset_is_refused(dataset: Path) -> None:
    (dataset / "statistics.json").write_text("{}")
    with pytest.raises(IntegrityError, match="altered"):
        validate(dataset)
