"""The routes of the demonstration: there only when wanted, bounded, and true to the release."""

from __future__ import annotations

import re
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from quoted import says
from release.world import LOG
from starlette.testclient import TestClient

from pinrec_core.registry import release_path
from pinrec_core.release.histories import read_history
from pinrec_core.serving.demo.routes import PAGE

LISTS = ("surfaces", "users?surface=home", "history?surface=home&user_id=u007", "items?surface=home&text=title")


@pytest.fixture
def shown(serve, config, first) -> TestClient:
    """The service with the page, over the first releases."""
    return serve(config.model_copy(update={"demo": True}))


def listed(client: TestClient, address: str) -> dict:
    response = client.get(f"/demo/lists/{address}")
    assert response.status_code == 200, response.text
    return response.json()


@pytest.mark.parametrize("address", ["/demo", "/demo/", "/demo/page.js", *(f"/demo/lists/{name}" for name in LISTS)])
def test_without_the_setting_there_is_none_of_it(standing, address):
    assert standing.get(address).status_code == 404


def test_the_page_has_all_it_refers_to_and_needs_nobody_else(shown):
    page = shown.get("/demo/")
    assert page.status_code == 200 and page.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    wanted, seen = set(re.findall(r'(?:href|src)="([^"#]+)"', page.text)), set()
    while wanted - seen:
        name = (wanted - seen).pop()
        seen.add(name)
        file = shown.get(f"/demo/{name}")
        assert file.status_code == 200, name
        wanted |= set(re.findall(r'from "\./([^"]+)"', file.text))
    assert seen | {"index.html"} == {path.name for path in PAGE.iterdir()}, "and nothing is packaged that is not used"
    texts = "".join(path.read_text("utf-8") for path in PAGE.iterdir()).replace("http://www.w3.org/2000/svg", "")
    assert "//" not in re.sub(r"(?m)(^|\s)//\s.*$", "", texts), "no address of another host"


@pytest.mark.parametrize("query", ["", "?surface=search&user=u007"])
def test_its_address_without_a_slash_leads_there(shown, query):
    response = shown.get(f"/demo{query}", follow_redirects=False)
    assert (response.status_code, response.headers["location"]) == (307, f"demo/{query}")


@pytest.mark.parametrize("name", ["absent.js", "..%2froutes.py", "%2e%2e/routes.py", "routes.py"])
def test_no_other_file_is_given(shown, name):
    assert shown.get(f"/demo/{name}").status_code == 404


def test_surfaces_tell_what_can_be_asked(shown, first):
    found = {each["surface"]: each for each in listed(shown, "surfaces")["surfaces"]}
    assert {surface: each["release_id"] for surface, each in found.items()} == first
    for each in found.values():
        assert [outcome["outcome"] for outcome in each["outcomes"]] == list(LOG.positive_actions)
        assert sum(outcome["share"] for outcome in each["outcomes"]) == pytest.approx(1)
        asked = {"surface": each["surface"], "user_id": "u007", "explain": True, "time_ms": each["time_ms"]}
        answer = shown.post("/v1/retrieve", json=asked).json()
        shares = {outcome["outcome"]: outcome["share"] for outcome in each["outcomes"] if outcome["share"]}
        assert answer["explain"]["budgets"] == pytest.approx(shares), "as an answer uses them unless asked otherwise"
        assert len(answer["items"]) == min(each["n"], 100)


def test_users_come_in_order_and_in_parts(shown, registry, first):
    table = pq.read_table(Path(release_path(registry, first["home"]), "histories.parquet"))
    known = [{"user_id": row["user_id"], "engagements": len(row["item"])} for row in table.to_pylist()]
    total, parts = len(known), []
    for skip in range(0, total + 7, 7):
        part = listed(shown, f"users?surface=home&skip={skip}&limit=7")
        assert part["total"] == total and len(part["users"]) <= 7
        parts += part["users"]
    assert parts == known
    begun = listed(shown, "users?surface=home&prefix=u01")
    assert begun["users"] == [each for each in known if each["user_id"].startswith("u01")] and begun["users"]
    assert listed(shown, "users?surface=home&prefix=nobody") == {"total": 0, "users": []}


def test_a_history_is_what_the_model_reads_latest_first(shown, registry, first):
    known = read_history(Path(release_path(registry, first["home"]), "histories.parquet"), "u007")
    length = shown.post("/v1/retrieve", json={"surface": "home", "user_id": "u007"}).json()["history_length"]
    found = listed(shown, "history?surface=home&user_id=u007")["engagements"]
    assert len(found) == length > 0
    assert [each["timestamp_ms"] for each in found] == known.time_T[::-1][:length].tolist()
    assert [each["item_id"] for each in found] == [f"i{item}" for item in known.item_T[::-1][:length]]
    for each, bits, code in zip(found, known.actions_T[::-1], known.surface_T[::-1], strict=False):
        assert sum(1 << LOG.action_names.index(name) for name in each["actions"]) == bits
        assert each["surface"] == LOG.surface_names[code]
    assert listed(shown, "history?surface=home&user_id=u007&limit=2")["engagements"] == found[:2]
    assert listed(shown, "history?surface=home&user_id=nobody")["engagements"] == []


@pytest.mark.parametrize(("text", "expected"), [
    ("title 99", ["i99"]), ("TITLE 99", ["i99"]), ("i101", ["i101"]), ("itle 11", ["i111", "i114", "i117"]),
    ("no", [])])
def test_items_are_found_by_title_or_id(shown, text, expected):
    found = listed(shown, f"items?surface=home&text={text}")["items"]
    assert [each["item_id"] for each in found] == expected
    assert all(each["item_type"] in LOG.item_types for each in found)


@pytest.mark.parametrize(("address", "field"), [
    ("users?surface=home&limit=101", "limit"), ("users?surface=home&skip=-1", "skip"), ("users", "surface"),
    ("users?surface=hom", "surface"), ("users?surface=home&prefx=a", "prefx"), ("history?surface=home", "user_id"),
    ("history?surface=home&user_id=u1&limit=501", "limit"), ("items?surface=home&text=", "text"),
    (f"items?surface=home&text={'x' * 129}", "text")])
def test_what_is_not_allowed_is_told(shown, address, field):
    response = shown.get(f"/demo/lists/{address}")
    assert (response.status_code, response.json()["field"]) == (422, field)


def test_without_a_release_it_says_so(serve, config):
    client = serve(config.model_copy(update={"demo": True}))
    assert client.get("/demo/").status_code == 200
    response = client.get("/demo/lists/surfaces")
    assert response.status_code == 503
    says("no release is live yet; /readyz says why", response.json()["error"])
