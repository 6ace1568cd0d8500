"""What the alerts ask for is what a running service tells: metrics, labels, their values, and each by its type."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from ports import free_port
from prometheus_client.parser import text_string_to_metric_families
from release.world import END_MS

from .conftest import wait_for
from .processes import ROOT, Server

PROMETHEUS = {"namespace", "instance", "job"}  # labels that Prometheus adds to all it scrapes
SELECTOR = re.compile(r"\b(pinrec_\w+)(?:\{([^}]*)\})?(\[)?")
MATCHER = re.compile(r'(\w+)(=~?)"([^"]*)"')
GROUPED = re.compile(r"\b(?:by|on) \(([^)]*)\)")
RULES = Path(ROOT, "manifests/components/alerts/rules.yaml")


def expressions() -> list[str]:
    """Of all alerts."""
    groups = yaml.safe_load(RULES.read_text("utf-8"))["spec"]["groups"]
    return [rule["expr"] for group in groups for rule in group["rules"]]


class Told:
    """What /metrics has: name of a series -> its type, and the values of each of its labels."""

    def __init__(self, text: str, statuses: set[str]):
        self.types: dict[str, str] = {}
        self.labels: dict[str, dict[str, set[str]]] = {}
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                self.types[sample.name] = family.type
                for label, value in sample.labels.items():
                    self.labels.setdefault(sample.name, {}).setdefault(label, set()).add(value)
        self.labels["pinrec_requests_total"]["status"] |= statuses

    def problems(self, expression: str) -> list[str]:
        """What an expression asks for that is not there, or asks in another way than its type wants."""
        names = {found[1] for found in SELECTOR.finditer(expression)}
        known = PROMETHEUS.union(*(self.labels.get(name, {}) for name in names))
        wrong = [f"label {label}" for group in GROUPED.findall(expression) for label in group.split(", ")
                 if label not in known]
        for name, matchers, ranged in (found.groups() for found in SELECTOR.finditer(expression)):
            if name not in self.types:
                wrong.append(f"metric {name}")
            elif (self.types[name] == "gauge") == bool(re.search(rf"rate\({name}\b", expression)):
                wrong.append(f"{self.types[name]} {name}")
            elif self.types[name] != "gauge" and not ranged:
                wrong.append(f"{self.types[name]} {name} without a range")
            else:
                wrong += self._unmatched(name, matchers or "")
        return wrong

    def _unmatched(self, name: str, matchers: str) -> list[str]:
        wrong = []
        for label, how, value in MATCHER.findall(matchers):
            there = self.labels.get(name, {}).get(label, set())
            wanted = value.split("|") if how == "=~" else [re.escape(value)]
            wrong += [f"{name}{{{label}}} {one}" for one in wanted if not any(re.fullmatch(one, has) for has in there)]
        return wrong


@pytest.fixture
def told(tmp_path, registry, first, second, point) -> Told:
    """A server of two workers, asked, with a store that is away and a release that is not there."""
    with Server(tmp_path, registry, store=f"redis://127.0.0.1:{free_port()}/0") as server:
        wait_for(lambda: server.answering(first["home"]) == 2)
        history = [{"item_id": "nobody's", "action": "click", "surface": "home", "timestamp_ms": END_MS}]
        assert server.client.post("/v1/retrieve", json={"surface": "home", "user_id": "u007"}).status_code == 200
        assert server.client.post("/v1/retrieve", json={"surface": "home", "history": history}).status_code == 200
        event = {"user_id": "u007", "events": [history[0] | {"item_id": "i1"}]}
        assert server.client.post("/v1/events", json=event).status_code == 503
        point(search="0" * 64)
        wait_for(lambda: server.counter(
            f'pinrec_refused_release_info{{release_id="{"0" * 64}",surface="search"}}') == 2)
        paths = server.client.get("/openapi.json").json()["paths"]
        statuses = {status for path in paths.values() for way in path.values() for status in way["responses"]}
        return Told(server.client.get("/metrics").text, statuses)


def test_the_service_tells_what_the_alerts_ask_for(told):
    told.labels["pinrec_items_unknown_total"]["where"].add("events")  # told by a store that works: test_events.py
    assert {expression: problems for expression in expressions() if (problems := told.problems(expression))} == {}
    limits = told.labels["pinrec_request_seconds_bucket"]["le"]
    for expression in expressions():
        for limit in re.findall(r"^histogram_quantile.*> ([\d.]+)$", expression):
            assert limit in limits, "between two bounds a quantile is a guess"
    for page in ("docs/runbook.md", "docs/serving.md"):
        named = set(re.findall(r"`(pinrec_[a-z_]+)[`{]", Path(ROOT, page).read_text("utf-8")))
        assert named <= told.types.keys() | {name.removesuffix("_bucket") for name in told.types}, page
    for wrong in ("rate(pinrec_queue_length[5m]) > 0", "pinrec_store_failures_total > 0", "pinrec_queue > 0",
                  "sum by (surfaces) (pinrec_release_info) > 0", 'rate(pinrec_requests_total{status="530"}[5m]) > 0',
                  'rate(pinrec_requests_total{route="/v2/retrieve"}[5m]) > 0', 'pinrec_release_info{worker="1"} > 0'):
        assert len(told.problems(wrong)) == 1, wrong
