"""The alerts: what the runbook says of them is what is applied, and Prometheus' own tool shows each to fire and not to.

Without promtool (Debian: package prometheus) the rules are not run.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
RULES = ROOT / "manifests/components/alerts/rules.yaml"
CASES = Path(__file__).with_name("alerts") / "alerts_test.yaml"
SECTION = re.compile(r"^### (Pinrec\w+)\n\n```promql\n(.*?)\n```\n\n(\w+), for (\w+)\.\n\n(\S)", re.M | re.S)
PLAIN_RULES = re.compile(r"^ +(sed .*rules\.yaml > pinrec_rules\.yaml)$", re.MULTILINE)


def alerts() -> list[dict]:
    """All rules."""
    groups = yaml.safe_load(RULES.read_text("utf-8"))["spec"]["groups"]
    return [rule for group in groups for rule in group["rules"]]


@pytest.fixture
def promtool(tmp_path):
    """Run promtool beside the rules, made plain by the command of docs/deploy.md: promtool(*arguments) -> output."""
    if not shutil.which("promtool"):
        pytest.skip("promtool is not installed, so the alerts are not run")
    (command,) = PLAIN_RULES.findall((ROOT / "docs/deploy.md").read_text("utf-8"))
    subprocess.run(command.replace("> ", f"> {tmp_path}/"), shell=True, check=True, cwd=ROOT)

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(["promtool", *arguments], cwd=tmp_path, capture_output=True, text=True)

    return run


def test_the_runbook_has_every_alert_and_no_other():
    page = (ROOT / "docs/runbook.md").read_text("utf-8")
    told = [found[:4] for found in SECTION.findall(page)]
    assert told == [(rule["alert"], rule["expr"], rule["labels"]["severity"].capitalize(), rule["for"])
                    for rule in alerts()]
    assert len(told) == len(re.findall(r"^#+ Pinrec", page, re.MULTILINE)) == len(set(told))


def test_every_alert_says_where_to_read_and_how_bad_it_is():
    for rule in alerts():
        assert rule["annotations"]["runbook"] == f"docs/runbook.md#{rule['alert'].lower()}"
        assert rule["annotations"]["summary"] and set(rule["annotations"]) == {"runbook", "summary"}
        assert rule["labels"]["severity"] in {"critical", "warning"} and set(rule["labels"]) == {"severity"}


def test_every_alert_is_shown_to_fire_and_to_be_quiet():
    cases = {(case["alertname"], bool(case["exp_alerts"])) for test in yaml.safe_load(CASES.read_text("utf-8"))["tests"]
             for case in test["alert_rule_test"]}
    assert cases == {(rule["alert"], fires) for rule in alerts() for fires in (True, False)}


def test_prometheus_takes_the_rules(promtool):
    done = promtool("check", "rules", "pinrec_rules.yaml")
    assert done.returncode == 0 and f"{len(alerts())} rules found" in done.stdout, done.stdout + done.stderr


def test_each_alert_fires_when_it_should_and_not_just_below(promtool, tmp_path):
    shutil.copy(CASES, tmp_path)
    done = promtool("test", "rules", CASES.name)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_rule_that_never_fires_would_be_noticed(promtool, tmp_path):
    cases = yaml.safe_load(CASES.read_text("utf-8"))
    few = [test for test in cases["tests"] if test["name"].startswith("PinrecUnavailable")]
    (tmp_path / CASES.name).write_text(yaml.safe_dump(cases | {"tests": few}), "utf-8")
    rules = tmp_path / "pinrec_rules.yaml"
    text = rules.read_text("utf-8")
    rules.write_text(text.replace('status="503"', 'status="530"'), "utf-8")
    done = promtool("test", "rules", CASES.name)
    assert done.returncode and "PinrecUnavailable fires" in done.stdout + done.stderr
