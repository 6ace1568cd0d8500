"""list, show and diff tell what is there; what cannot be read is told as such."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from pinrec_core.errors import ConfigError, IntegrityError
from pinrec_core.registry import read_aliases, verification_path, whole_id
from pinrec_core.release.operations.details import card, details
from pinrec_core.release.operations.difference import difference
from pinrec_core.release.operations.freeze import freeze
from pinrec_core.release.operations.inventory import listed
from pinrec_core.release.operations.rollback import rollback

from ..world import GENERATION, build


def test_every_release_has_a_line(second_live, releases, world):
    rollback(second_live, "home", reason="empty answers", run_id="r")
    freeze(second_live, "search", reason="r", run_id="r")
    Path(verification_path(second_live, releases["second"][1])).unlink()
    found = {one.release_id: one for one in listed(second_live)}
    assert [one.surface for one in found.values()] == ["home", "home", "search", "search"]
    (home, search), (bad, unverified) = releases["first"], releases["second"]
    assert (found[home].aliases, found[home].verified, found[home].bad) == (("live",), True, "")
    assert (found[bad].aliases, found[bad].bad, found[bad].frozen) == ((), "empty answers", False)
    assert (found[search].aliases, found[search].frozen) == (("live",), True)
    assert not found[unverified].verified
    measured = json.loads((world / "evaluation-home" / "evaluation.json").read_text())["metrics"]
    assert found[home].recall["recall@10"] == measured["recall@10"]["value"] and found[home].date == "2024-10-03"
    folder = Path(second_live, "releases", home)
    beside = sum((folder / name).stat().st_size for name in ("manifest.json", "built.json"))
    assert found[home].size == sum(p.stat().st_size for p in folder.rglob("*") if p.is_file()) - beside
    assert {one.surface for one in listed(second_live, "home")} == {"home"}


def test_a_release_that_cannot_be_read_is_listed_with_its_problem(registry, releases):
    Path(registry, "releases", releases["first"][0], "manifest.json").write_text("{")
    Path(registry, "releases", "half").mkdir()
    problems = {one.release_id: one.problem for one in listed(registry, "search")}
    assert "not a manifest" in problems[releases["first"][0]] and "no such file" in problems["half"]
    assert len(problems) == 4, "both of search, and what could be of any surface"


def test_the_beginning_of_an_id_is_enough_if_there_is_one(registry, releases):
    home = releases["first"][0]
    assert whole_id(registry, home) == home == whole_id(registry, home[:12])
    Path(registry, "releases", f"{home[:12]}0").mkdir()
    with pytest.raises(ConfigError, match=f"'{home[:12]}' is ambiguous: .*{home[:12]}0") as error:
        whole_id(registry, home[:12])
    assert home in str(error.value)
    assert whole_id(registry, home) == home
    with pytest.raises(ConfigError, match="no release in .* starts with 'zz'; there are "):
        whole_id(registry, "zz")
    with pytest.raises(ConfigError, match="must be one plain name"):
        whole_id(registry, "../releases")


def test_show_tells_all_of_one_release(second_live, releases, world):
    home = releases["first"][0]
    found = details(second_live, home)
    assert found["aliases"] == ("previous",) and found["bad"] is None
    assert found["manifest"]["facts"]["surface"] == "home" and found["gate"]["decision"] == "promote"
    measured = json.loads((world / "evaluation-home" / "evaluation.json").read_text())
    assert found["evaluation"] == measured and found["verification"]["passed"]
    assert [entry["run"] for entry in found["history"]] == ["run-1", "run-2"]
    assert found["built"]["code_version"] and json.dumps(found)
    path = Path(second_live, "releases", home, "evaluation.json")
    path.write_text(path.read_text().replace("0.1", "0.9", 1))
    with pytest.raises(IntegrityError, match="evaluation.json: altered"):
        details(second_live, home)


def test_the_card_ends_with_what_was_measured_or_why_nothing_was(registry, releases):
    home = releases["first"][0]
    text = Path(registry, "releases", home, "card.md").read_text()
    told = card(registry, home)
    assert told.startswith(text) and re.search(r"\| p50_ms \| \d+\.\d{3} \|", told)
    Path(verification_path(registry, home)).unlink()
    assert "has no verification" in card(registry, home)


def test_diff_tells_settings_metrics_and_files_that_differ(registry, world, verdicts, releases):
    first, second = releases["first"][0], releases["second"][0]
    found = difference(registry, first, second)
    assert found.config == {} and found.facts["model_fingerprint"][0] != found.facts["model_fingerprint"][1]
    measured = [json.loads((world / f"evaluation-{name}" / "evaluation.json").read_text())["metrics"]
                for name in ("home", "home2")]
    assert found.metrics["recall@10"] == tuple(metrics["recall@10"]["value"] for metrics in measured)
    assert "model/weights.safetensors" in found.files and "model/items.parquet" not in found.files
    changed = build(world, verdicts["first"], registry, "home", generation=GENERATION.model_copy(
        update={"overfetch": 4.0}))
    found = difference(registry, first, changed)
    assert found.config == {"generation.overfetch": (GENERATION.overfetch, 4.0)}
    assert set(found.facts) == {"config_fingerprint"} and set(found.files) == {"generation.json", "card.md"}
    assert all(one == other for one, other in found.metrics.values())
    assert read_aliases(registry)[0].revision == 0
