"""What the steps of a run on a cluster take: left by the components themselves, and shown in the report of the run."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from kfp import dsl
from steps_of_a_run import Steps, call

from components.image import RUN_UID

SURFACE_STEPS = ("finetune home", "resolve-live home", "evaluate home", "build-index home", "verify-release home")
STEPS = {"aggregate-logs", "validate-data", "pretrain", "gate", "promote", *SURFACE_STEPS}
CACHED = {"aggregate-logs", "pretrain", "finetune home", "evaluate home"}


def shown(page: Path) -> dict[str, tuple[str, str, str]]:
    """The table of the report: step -> seconds, peak MiB, note."""
    table = re.search(r"<table>\s*<caption>Time and peak memory.*?</table>", page.read_text("utf-8"), re.DOTALL)[0]
    rows = re.findall(r'<tr><th scope="row">(.*?)</th><td class="num">(.*?)</td><td class="num">(.*?)</td>'
                      r"<td>(.*?)</td></tr>", table)
    return {step: tuple(cells) for step, *cells in rows}


def test_every_step_leaves_its_time_and_memory_and_the_report_has_them(steps: Steps):
    runs = Path(steps.registry, "runs")
    assert [path.name for path in runs.iterdir()] == ["run-1"], "notify takes over what cached steps have left"
    kept = {path.stem: json.loads(path.read_bytes()) for path in (runs / "run-1/steps").iterdir()}
    assert set(kept) == STEPS | {"notify"}
    for step, record in kept.items():
        assert record["step"] == step and record["attempts"] == 1
        assert 0 <= record["seconds"] < 300 and 100 < record["peak_mb"] < 20_000, record
    assert kept["pretrain"]["seconds"] > 0.5 > kept["promote"]["seconds"]
    assert shown(Path(steps.artifacts["page"].path)) == {
        step: (f"{record['seconds']:.1f}", f"{record['peak_mb']:,.0f}", "") for step, record in kept.items()
        if step != "notify"}


@pytest.fixture
def again(steps: Steps, tmp_path, monkeypatch) -> Path:
    """The report of the same run once more, whose cached steps Kubeflow has not started."""
    monkeypatch.setenv(RUN_UID, "5d1f00aa")
    where = {"registry": steps.registry, "run_id": "run-2"}
    of = {name: steps.artifacts[name] for name in ("dataset", "model", "validation", "curve")}
    call("validate_data", dataset=of["dataset"], validate=steps.sections["validate"],
         validation=dsl.Artifact(uri=str(tmp_path / "found")), summary=dsl.Markdown(uri=str(tmp_path / "1")), **where)
    call("resolve_live", model=of["model"], surface="home", **where,
         **{name: steps.sections[name] for name in ("generation", "index")})
    verdict = dsl.Artifact(uri=str(tmp_path / "verdict"))
    unreachable = json.loads(steps.sections["gate"]) | {"floors": {"home": {"recall@50": 1.0}}, "on_reject": "succeed"}
    call("gate", evaluations=[steps.artifacts["evaluation"]], validation=of["validation"], curve=of["curve"],
         gate=json.dumps(unreachable), verdict=verdict, summary=dsl.Markdown(uri=str(tmp_path / "2")), **where)
    call("reject", verdict=verdict, gate=json.dumps(unreachable), **where)
    page = dsl.HTML(uri=str(tmp_path / "page"))
    call("notify", notify="{}", page=page, **where)
    return Path(page.path)


def test_a_step_that_did_not_run_says_so_and_has_no_old_time(again: Path):
    rows = shown(again)
    assert {step for step, cells in rows.items() if cells == ("–", "–", "from the cache, did not run")} == CACHED
    ran = {step for step, (seconds, peak, note) in rows.items() if float(seconds.replace("–", "-1")) >= 0 and not note}
    assert ran == set(rows) - CACHED == {"validate-data", "resolve-live home", "gate", "reject"}
