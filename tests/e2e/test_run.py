"""Promoted, rejected, failed: three ends of the whole workflow, what they say and what they leave."""

from __future__ import annotations

import json
import shutil
import urllib.request
from pathlib import Path

import pytest
from journey import TINY, Outcome, changed, run, served, small
from quoted import says

from pinrec_core.cli.entry import Settings, build_app, execute
from pinrec_core.registry import read_aliases
from pinrec_core.release.answer import recommend

SURFACES = ["home", "related", "search"]
EXPENSIVE = ["aggregate-logs", *3 * ["evaluate"], *3 * ["finetune"], "pretrain"]


def aliases_of(work: Path) -> bytes:
    return (work / "registry/aliases.json").read_bytes()


def test_the_first_run_is_promoted(promoted):
    assert promoted.code == 0, promoted.err
    assert promoted.summary["status"] == "promoted"
    aliases, _ = read_aliases(str(promoted.work / "registry"))
    assert sorted(aliases.surfaces) == SURFACES
    for alias in aliases.surfaces.values():
        release = promoted.work / "registry/releases" / alias.live
        assert {"model", "index", "manifest.json", "verdict.json"} <= {path.name for path in release.iterdir()}
    assert promoted.tasks("failed") == promoted.tasks("cached") == []
    assert len(promoted.tasks("done")) == 21  # 3 + 3 x 3 + gate + 3 x 2 + promote + notify


def test_the_table_and_the_report_are_shown(promoted):
    for surface in SURFACES:
        row = next(line for line in promoted.out.splitlines() if line.split()[:2] == [surface, "recall@50"])
        assert row.split()[-1] == "promote"
    report = next(line.split()[1] for line in promoted.out.splitlines() if line.startswith("report"))
    assert "<html" in Path(report).read_text("utf-8")
    assert "[KFP Executor" not in promoted.out + promoted.err  # the runner's chatter is in the log only


def test_the_run_folder_tells_the_whole_story(promoted):
    found = {path.relative_to(promoted.run).as_posix() for path in promoted.run.rglob("*") if path.is_file()}
    steps = sorted(name for name in found if name.startswith("steps/"))
    per_surface = {f"{folder}/{name}" for surface in SURFACES for folder, name in (
        ("training", f"finetune {surface}.jsonl"), ("settings", f"finetune {surface}.json"),
        ("evaluations", f"{surface}.json"), ("exhibits", f"{surface}.json"), ("verifications", f"{surface}.json"),
        ("surfaces", f"{surface}.html"))}
    assert found - set(steps) == per_surface | {
        "data.json", "statistics.json", "validation.json", "training/pretrain.jsonl", "verdict.json", "promotion.json",
        "message.json", "message.txt", "outcome.json", "report.html"}
    assert steps == sorted(f"steps/{step}.json" for step in (
        "aggregate-logs", "validate-data", "pretrain", "gate", "promote", "notify",
        *(f"{step} {surface}" for step in ("finetune", "resolve-live", "evaluate", "build-index", "verify-release")
          for surface in SURFACES)))
    took = [json.loads((promoted.run / name).read_text("utf-8")) for name in steps]
    assert all(step["attempts"] == 1 and step["seconds"] > 0 and step["peak_mb"] > 50 for step in took), took


def test_every_rule_was_judged_on_what_the_steps_before_it_left(promoted):
    verdict = json.loads((promoted.run / "verdict.json").read_text("utf-8"))
    for surface in SURFACES:
        rules = {rule["rule"]: rule for rule in verdict["surfaces"][surface]["rules"]}
        assert set(rules) == {"surface_evaluated", "finite", "min_users", "floor", "change_against_live",
                              "beats_baseline", "max_drop_per_slice", "coverage", "embedding_health", "data_health"}
        assert rules["change_against_live"]["outcome"] == rules["max_drop_per_slice"]["outcome"] == "no_baseline"
        for name in ("beats_baseline", "coverage", "embedding_health", "data_health"):
            assert rules[name]["level"] == "warn" and rules[name]["observed"] is not None and rules[name]["n"] > 0


def test_the_live_release_answers(promoted, capsys):
    settings = Settings()
    code = execute(build_app(settings), settings, ["recommend", "--registry", str(promoted.work / "registry"), "-s",
                                                   "home", "-u", "u1", "-n", "5", "--json"])
    said = capsys.readouterr()
    assert code == 0, said.err
    assert len({item["item_id"] for item in json.loads(said.out)}) == 5


def test_the_live_releases_are_served(promoted):
    registry = promoted.work / "registry"
    aliases, _ = read_aliases(str(registry))
    with served(registry, "--demo") as address:
        with urllib.request.urlopen(f"{address}/demo/lists/surfaces") as response:
            told = {each["surface"]: each["context"] for each in json.load(response)["surfaces"]}
        assert told == {"home": False, "related": True, "search": True}, "which feeds answer a close-up or a query"
        for surface in SURFACES:
            asked_ms = json.loads((registry / "releases" / aliases.surfaces[surface].live / "manifest.json").read_text(
                "utf-8"))["facts"]["asked_ms"]
            body = json.dumps({"surface": surface, "user_id": "u1", "n": 20, "time_ms": asked_ms}).encode()
            with urllib.request.urlopen(f"{address}/v1/retrieve", body) as response:
                answer = json.load(response)
            assert answer["release_id"] == aliases.surfaces[surface].live
            wanted = recommend(str(registry), surface, "u1", n=20)
            assert [item["item_id"] for item in answer["items"]] == [item.item_id for item in wanted]


def test_the_same_run_again_does_nothing_and_says_so(promoted):
    before, releases = aliases_of(promoted.work), sorted((promoted.work / "registry/releases").iterdir())
    verifications = {path: path.read_bytes() for path in (promoted.work / "registry/verifications").iterdir()}
    again = run(promoted.work, TINY)
    assert again.code == 0, again.err
    assert again.summary["sentence"].startswith("Nothing to do: home ") and "Nothing to do: home " in again.out
    says("Nothing to do: ... live already (revision ...).", again.out)
    assert again.tasks("cached") == EXPENSIVE
    report = (again.run / "report.html").read_text("utf-8")
    assert report.count("<td>from the cache, did not run</td>") == len(EXPENSIVE)
    assert again.tasks("done") == [*3 * ["build-index"], "gate", "notify", "promote", *3 * ["resolve-live"],
                                   "validate-data", *3 * ["verify-release"]]
    log = next(line.split()[1] for line in again.out.splitlines() if line.startswith("log"))
    text = Path(log).read_text("utf-8")
    assert text.count("is there already, reused") == text.count("passed already under the same settings") == 3
    assert (aliases_of(again.work), sorted((again.work / "registry/releases").iterdir())) == (before, releases)
    assert {path: path.read_bytes() for path in (again.work / "registry/verifications").iterdir()} == verifications


def test_the_live_release_tells_where_it_comes_from(promoted, capsys):
    registry = str(promoted.work / "registry")
    live = read_aliases(registry)[0].surfaces["home"].live
    settings = Settings()
    assert execute(build_app(settings), settings, ["lineage", live[:8], "--registry", registry, "--files"]) == 0
    told = capsys.readouterr().out
    partitions = sorted(path.name for path in (promoted.work / "data/events").iterdir())
    for part in (f"release {live[:12]}", "dataset ", "model ", "base ", "evaluation ", "verdict ", "stage finetuned",
                 "stage base", *partitions, f"{partitions[0]}/"):
        assert part in told, told
    card = (Path(registry) / "releases" / live / "card.md").read_text("utf-8")
    for part in (partitions[0].removeprefix("date="), "`pretrain.epochs`", "`finetune home.epochs`", "recall@50"):
        assert part in card, card
    assert execute(build_app(settings), settings, ["registry", "verify", "--registry", registry]) == 0


@pytest.fixture(scope="module")
def rejected(promoted: Outcome, tmp_path_factory) -> tuple[Outcome, bytes]:
    """The same run with a floor that nothing reaches, and the aliases as they were before."""
    before = aliases_of(promoted.work)
    config = changed(tmp_path_factory.mktemp("rejected"), {"gate.floors.related": {"recall@50": 1.0}})
    return run(promoted.work, config), before


def test_an_unreachable_floor_is_rejected_in_words(rejected):
    outcome, _ = rejected
    assert outcome.code == 3, outcome.err
    evaluation = json.loads((outcome.run / "evaluations/related.json").read_text("utf-8"))
    measured = evaluation["metrics"]["recall@50"]
    sentence = next(line for line in outcome.err.splitlines() if line.startswith("Rejected"))
    for word in ("related recall@50", f"{measured['value']:.3f}", f"n = {measured['n']}", "1.000"):
        assert word in sentence, sentence
    says("Rejected, nothing was changed: ... is below its floor ....", sentence)
    assert outcome.summary["status"] == "rejected"


def test_a_rejection_moves_nothing(rejected):
    outcome, before = rejected
    assert aliases_of(outcome.work) == before
    assert outcome.tasks("refused") == ["reject"]
    assert not {"build-index", "verify-release", "promote"} & set(outcome.tasks("done"))


def test_a_second_run_reuses_what_training_made(rejected):
    outcome, _ = rejected
    assert outcome.tasks("cached") == EXPENSIVE
    assert outcome.tasks("done") == ["gate", "notify", *3 * ["resolve-live"], "validate-data"]


def test_a_new_event_file_is_never_answered_from_the_cache(promoted, tmp_path):
    shutil.copytree(promoted.work / "data", tmp_path / "data")
    shutil.copytree(promoted.work / "cache", tmp_path / "cache")
    partition = max((tmp_path / "data/events").iterdir())
    next(partition.iterdir()).write_bytes(b"PAR1 cut short")
    outcome = run(tmp_path, TINY)
    assert outcome.code == 1
    assert outcome.tasks("cached") == []


@pytest.mark.parametrize(("what", "breaks"), [
    ("a day is missing", lambda events: shutil.rmtree(events / "date=2026-01-04")),
    ("a file is cut short", lambda events: cut(events / "date=2026-01-04"))])
def test_broken_input_fails_and_says_what_to_do(what, breaks, promoted, tmp_path):
    shutil.copytree(promoted.work / "data", tmp_path / "data")
    breaks(tmp_path / "data/events")
    outcome = run(tmp_path, TINY)
    assert outcome.code == 1, what
    assert "2026-01-04" in outcome.summary["sentence"]
    assert outcome.summary["sentence"].startswith("Failed: step aggregate-logs: ")
    says("Failed: step ...: ....", outcome.err)
    assert "Traceback" not in outcome.err  # a user's mistake is told in one sentence
    assert outcome.tasks("failed") == ["aggregate-logs"] and outcome.tasks("done") == ["notify"]
    assert not (tmp_path / "registry/aliases.json").exists()


def test_yesterdays_dataset_is_taken_over(month, tmp_path):
    config = small(tmp_path, {})
    settings, yesterday = Settings(), tmp_path / "yesterday"
    data = ["--events", str(month / "data/events"), "--catalog", str(month / "data/catalog")]
    assert execute(build_app(settings), settings, ["aggregate-logs", "-c", str(config), *data, "--date", "2026-01-31",
                                                   "-o", str(yesterday)]) == 0
    outcome = run(tmp_path, config, *data, "--date", "2026-02-01", "--previous", str(yesterday))
    assert outcome.code == 0, outcome.err
    log = next(line.split()[1] for line in outcome.out.splitlines() if line.startswith("log"))
    assert "3 partitions taken over, 1 new: 2026-02-01" in Path(log).read_text("utf-8")


def test_without_data_nothing_starts(tmp_path):
    outcome = run(tmp_path, TINY)
    assert outcome.code == 1
    assert outcome.err.startswith("error: ")
    says("error: ...: nothing there; write it with `pinrec import` or `pinrec synth`, or pass --events and --catalog",
         outcome.err)


def cut(partition: Path) -> None:
    """Leave the first half of a partition's file."""
    path = next(partition.iterdir())
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
