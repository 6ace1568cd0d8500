"""What the routes answer, in this process, over real releases."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from quoted import says
from release.world import DAY_MS, END_MS, LOG

from pinrec_core.release.answer import recommend
from pinrec_core.release.histories import read_history
from pinrec_core.serving import answers
from pinrec_core.serving.messages import Answer

from .conftest import wait_for
from .watched import Watched

HUGE = 10 * 2**20


def names(answer: dict) -> list[str]:
    return [item["item_id"] for item in answer["items"]]


def event(item: str, time_ms: int = END_MS - 5, action: str = "click", surface: str = "home") -> dict:
    return {"item_id": item, "action": action, "surface": surface, "timestamp_ms": time_ms}


@pytest.mark.parametrize("surface", LOG.surfaces)
def test_a_user_gets_what_recommend_gives(ask, registry, first, surface):
    answer = ask(surface=surface, n=15, time_ms=END_MS, outcomes={"click": 0.25, "save": 0.25}, explain=True)
    wanted = recommend(registry, surface, "u007", n=15, outcomes={"click": 0.25, "save": 0.25})
    assert names(answer) == [item.item_id for item in wanted]
    for item, other in zip(answer["items"], wanted, strict=True):
        assert item["score"] == pytest.approx(other.score, abs=1e-5)
        assert (item["outcome"], item["step"], item.get("title")) == (other.outcome, other.step, other.title)
    assert answer["release_id"] == first[surface] and answer["surface"] == surface and answer["history_length"] == 8
    Answer.model_validate(answer)


def test_a_context_item_is_the_last_token(ask, registry):
    answer = ask(surface="search", context={"item_id": "i5"}, time_ms=END_MS, n=20)
    assert names(answer) == [item.item_id for item in recommend(registry, "search", "u007", context_item_id="i5")]
    assert answer["history_length"] == 7  # the model reads 8 tokens, the context item among them
    assert names(answer) != names(ask(surface="search", time_ms=END_MS, n=20))


def test_the_same_history_brought_along_gives_the_same(ask, registry, client, first):
    known = read_history(f"{registry}/releases/{first['home']}/histories.parquet", "u007")
    columns = zip(*(column.tolist() for column in known), strict=True)
    told = [{"item_id": f"i{item}", "actions": [name for bit, name in enumerate(LOG.action_names) if bits >> bit & 1],
             "surface": LOG.surfaces[surface], "timestamp_ms": time_ms} for item, bits, surface, time_ms in columns]
    told.reverse()
    assert ask(history=told, time_ms=END_MS)["items"] == ask(time_ms=END_MS)["items"]


def test_unknown_users_are_new_users(ask):
    answer = ask(user_id="nobody", time_ms=END_MS)
    assert answer["history_length"] == 0 and len(answer["items"]) == 20  # as the release is configured
    assert answer["items"] == ask(history=[], time_ms=END_MS)["items"]


def test_unknown_items_are_left_out_and_told(ask, client):
    answer = ask(history=[event("i1"), event("nope")], exclude=["i2", "gone", "i2"], n=120 // 3, explain=True)
    assert answer["history_length"] == 1
    assert answer["explain"]["unknown"] == {"history": ["nope"], "exclude": ["gone"]}
    text = client.get("/metrics").text
    assert 'pinrec_items_unknown_total{where="history"} 1.0' in text
    assert 'pinrec_items_unknown_total{where="exclude"} 1.0' in text


def test_excluded_items_and_those_seen_stay_away(ask):
    everything = names(ask(n=50, time_ms=END_MS))
    assert not {everything[0], everything[3]} & set(names(ask(n=50, exclude=[everything[0], everything[3]])))
    seen = [event(name) for name in everything[:4]]
    context = {"item_id": everything[5]}
    found = names(ask(history=seen, context=context, exclude=[everything[4]], exclude_seen=True, n=50))
    assert len(found) == 50 and not set(everything[:6]) & set(found)


def test_outcomes_and_what_is_explained(ask):
    answer = ask(outcomes={"save": 0.5}, explain=True)
    assert {item["outcome"] for item in answer["items"]} == {"save"} and all(i["offset"] == 0 for i in answer["items"])
    explained = answer["explain"]
    assert explained["budgets"] == {"save": 1.0} and explained["batch"] == 1
    assert explained["queued_ms"] >= 0 and explained["computed_ms"] > 0
    assert ask(explain=True)["explain"]["budgets"] == pytest.approx({"click": 0.6, "save": 0.4})
    assert "explain" not in ask()


def test_item_types_that_are_retrieved_may_be_asked_for(ask):
    assert ask(item_types=["pin"], time_ms=END_MS)["items"] == ask(time_ms=END_MS)["items"]


def test_more_than_there_is(serve, config, first):
    client = serve(config.model_copy(update={"max_n": 10_000}))
    body = {"surface": "home", "user_id": "u001", "n": 5000}
    assert len(set(names(client.post("/v1/retrieve", json=body).json()))) == 120


def test_events_are_part_of_the_history_from_then_on(ask, client):
    before = ask(user_id="new")
    later = END_MS + DAY_MS
    told = {"user_id": "new", "events": [event("i3", later + 1, "save"), event("i9", later, surface="search"),
                                         event("gone", later)]}
    response = client.post("/v1/events", json=told)
    assert response.status_code == 200 and response.json() == {"stored": 3}
    after = ask(user_id="new", explain=True)
    assert after["history_length"] == 2 and after["explain"]["unknown"]["history"] == ["gone"]
    assert after["items"] != before["items"]
    brought = ask(history=told["events"][:2], time_ms=later + DAY_MS)
    assert names(brought) == names(ask(user_id="new", time_ms=later + DAY_MS))
    assert ask(user_id="new", time_ms=later + 1)["history_length"] == 1  # asked as of before the second one
    assert 'pinrec_items_unknown_total{where="events"} ' in client.get("/metrics").text


def test_events_that_the_release_has_count_once(ask, client, registry, first):
    known = read_history(f"{registry}/releases/{first['home']}/histories.parquet", "u007")
    told = [event(f"i{item}", int(time_ms), LOG.action_names[0 if bits & 1 else 1])
            for item, bits, time_ms in zip(known.item_T, known.actions_T, known.time_T, strict=True)]
    assert client.post("/v1/events", json={"user_id": "u007", "events": told}).status_code == 200
    again = client.post("/v1/retrieve", json={"surface": "home", "user_id": "u007", "time_ms": END_MS}).json()
    assert names(again) == [item.item_id for item in recommend(registry, "home", "u007")]


def test_asked_without_a_time_it_is_now(ask, monkeypatch):
    monkeypatch.setattr(answers.time, "time", lambda: END_MS / 1000 + 86_400)
    assert ask()["items"] == ask(time_ms=END_MS + DAY_MS)["items"] != ask(time_ms=END_MS)["items"]


BAD = [
    (b"", 400, None), (b"{", 400, None), (b"\xff\xfe", 400, None), (b"nonsense", 400, None), (b"[]", 422, "body"),
    (b"null", 422, "body"),
    ({"user_id": "u1"}, 422, "surface"), ({"surface": 3, "user_id": "u1"}, 422, "surface"),
    ({"surface": "hom", "user_id": "u1"}, 422, "surface"), ({"surface": "home"}, 422, "user_id"),
    ({"surface": "home", "user_id": "u1", "history": []}, 422, "user_id"),
    ({"surface": "home", "user_id": 42}, 422, "user_id"), ({"surface": "home", "user_id": ""}, 422, "user_id"),
    *(({"surface": "home", "user_id": "u1", "n": wrong}, 422, "n") for wrong in (0, 51, "5", 5.5, True, 10**30)),
    ({"surface": "home", "user_id": "u1", "nn": 5}, 422, "nn"),
    ({"surface": "home", "user_id": "u1", "outcomes": {"clik": 1.0}}, 422, "outcomes.clik"),
    ({"surface": "home", "user_id": "u1", "outcomes": {"hide": 1.0}}, 422, "outcomes.hide"),
    ({"surface": "home", "user_id": "u1", "outcomes": {"click": -0.1}}, 422, "outcomes.click"),
    ({"surface": "home", "user_id": "u1", "outcomes": {"click": 1.1}}, 422, "outcomes.click"),
    ({"surface": "home", "user_id": "u1", "outcomes": {"click": 0.6, "save": 0.6}}, 422, "outcomes"),
    ({"surface": "home", "user_id": "u1", "outcomes": {"click": 0}}, 422, "outcomes"),
    ({"surface": "home", "user_id": "u1", "outcomes": {}}, 422, "outcomes"),
    ({"surface": "home", "user_id": "u1", "outcomes": ["click"]}, 422, "outcomes"),
    (b'{"surface": "home", "user_id": "u1", "outcomes": {"click": NaN}}', 422, "outcomes.click"),
    ({"surface": "home", "history": [event("i1")] * 21}, 422, "history"),
    ({"surface": "home", "history": [event("i1"), {"item_id": "i1"}]}, 422, "history.1.surface"),
    ({"surface": "home", "history": [event("i1", action="clik")]}, 422, "history.0.action"),
    ({"surface": "home", "history": [event("i1", surface="hom")]}, 422, "history.0.surface"),
    ({"surface": "home", "history": [event("i1", -1)]}, 422, "history.0.timestamp_ms"),
    ({"surface": "home", "history": [event("i1", 2**63)]}, 422, "history.0.timestamp_ms"),
    ({"surface": "home", "history": [event("i1") | {"actions": ["click"]}]}, 422, "history.0"),
    ({"surface": "home", "user_id": "u1", "exclude": ["i1"] * 11}, 422, "exclude"),
    ({"surface": "home", "user_id": "u1", "exclude": [7]}, 422, "exclude.0"),
    ({"surface": "home", "user_id": "u1", "context": {"item_id": "i1x"}}, 422, "context.item_id"),
    ({"surface": "home", "user_id": "u1", "context": "i1"}, 422, "context"),
    ({"surface": "home", "user_id": "u1", "item_types": ["pins"]}, 422, "item_types.0"),
    ({"surface": "home", "user_id": "u1", "exclude_seen": "yes"}, 422, "exclude_seen"),
    ({"surface": "home", "user_id": "x" * HUGE}, 413, None),
]


@pytest.mark.parametrize(("body", "status", "field"), BAD, ids=[f"{status} {field} {number}" for number, (
    _, status, field) in enumerate(BAD)])
def test_a_bad_request_is_told_what_is_wrong(standing, body, status, field):
    response = standing.post("/v1/retrieve", content=body if isinstance(body, bytes) else json.dumps(body))
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    problem = response.json()
    assert problem["error"] and problem.get("field") == field


@pytest.mark.parametrize(("change", "hint"), [
    ({"surface": "hom"}, "did you mean 'home'? There are home, search"),
    ({"outcomes": {"clik": 1.0}}, "did you mean 'click'? There are click, save"),
    ({"context": {"item_id": "i119x"}}, "did you mean 'i119'"), ({"item_types": ["pins"]}, "did you mean 'pin'?"),
    ({"userid": "u1"}, "did you mean 'user_id'?")])
def test_the_nearest_that_is_known_is_told(standing, change, hint):
    response = standing.post("/v1/retrieve", json={"surface": "home", "user_id": "u1"} | change)
    assert response.status_code == 422 and hint in response.json()["hint"]


def test_all_of_it_is_one_object(standing):
    response = standing.post("/v1/retrieve", json={"surface": "home", "user_id": "42", "outcomes": {"clik": 1.0}})
    says("{\"error\": \"outcome 'clik' is unknown\", \"field\": \"outcomes.clik\", \"hint\": \"did you mean 'click'? "
         "There are click, save\"}", json.dumps(response.json()))


def test_limits_are_named(standing):
    told = standing.post("/v1/retrieve", json={"surface": "home", "history": [event("i1")] * 21}).json()["error"]
    assert "at most 20" in told and "21" in told
    assert "20000 bytes" in standing.post("/v1/retrieve", content=b"x" * 20_001).json()["error"]


def test_a_body_without_its_length_is_limited_too(standing):
    response = standing.post("/v1/retrieve", content=(b"x" * 1000 for _ in range(HUGE // 1000)))
    assert response.status_code == 413


@pytest.mark.parametrize(("body", "field"), [
    ({"user_id": "u1", "events": []}, "events"), ({"events": [event("i1")]}, "user_id"),
    ({"user_id": "u1", "events": [event("i1")] * 21}, "events"),
    ({"user_id": "u1", "events": [event("i1"), event("i1", action="clik")]}, "events.1.action"),
    ({"user_id": "u1", "events": [event("i1", surface="hom")]}, "events.0.surface")])
def test_bad_events_are_told_what_is_wrong(standing, body, field):
    response = standing.post("/v1/events", json=body)
    assert response.status_code == 422 and response.json()["field"] == field


def test_routes_and_methods_that_are_not_there(standing):
    for response, status in ((standing.get("/v2"), 404), (standing.get("/v1/retrieve"), 405)):
        assert response.status_code == status and set(response.json()) == {"error"}


@pytest.mark.parametrize("header", ["soon", "-5", "0", "1.5", ""])
def test_a_deadline_is_a_number(standing, header):
    body = {"surface": "home", "user_id": "u1"}
    response = standing.post("/v1/retrieve", json=body, headers={"X-Deadline-Ms": header})
    assert response.status_code == 422 and response.json()["field"] == "X-Deadline-Ms"


def test_a_deadline_may_be_lowered_and_not_raised(client, serve, config):
    body = {"surface": "home", "user_id": "u1"}
    tight = serve(config.model_copy(update={"deadline_ms": 50}))
    for each, header in ((client, "50"), (tight, "60000")):
        live = each.app.state.service.releases.live["home"]
        live.retriever = Watched(live.retriever)
        response = each.post("/v1/retrieve", json=body, headers={"X-Deadline-Ms": header})
        assert response.status_code == 504 and "deadline" in response.json()["error"]
        live.retriever.free.set()
    assert client.post("/v1/retrieve", json=body, headers={"X-Deadline-Ms": "20000"}).status_code == 200


def test_when_too_many_wait_it_is_told_to_come_back(serve, config, first):
    client = serve(config.model_copy(update={"queue": 1}))
    live = client.app.state.service.releases.live["home"]
    live.retriever = Watched(live.retriever)

    def ask(_: int) -> httpx.Response:
        return client.post("/v1/retrieve", json={"surface": "home", "user_id": "u1"})

    with ThreadPoolExecutor(5) as pool:
        asked = [pool.submit(ask, 0)]
        wait_for(lambda: live.retriever.calls)  # it is being computed; one more may wait
        asked += [pool.submit(ask, number) for number in range(4)]
        wait_for(lambda: sum(each.done() for each in asked) == 3)
        live.retriever.free.set()
        responses = [each.result() for each in asked]
    refused = [response for response in responses if response.status_code == 429]
    assert sorted(response.status_code for response in responses) == [200, 200, 429, 429, 429]
    assert all(response.headers["retry-after"] == "1" and "wait" in response.json()["error"] for response in refused)


@pytest.mark.parametrize("thread", ["inference", "releases"])
def test_without_one_of_its_threads_it_is_not_healthy(client, thread):
    service = client.app.state.service
    if thread == "inference":
        service.batcher.stop()
    else:
        service.releases.stop()
        wait_for(lambda: not service.releases.is_alive)
    response = client.get("/healthz")
    assert response.status_code == 503 and f"the thread '{thread}' has ended" in response.json()["error"]


def test_health_readiness_and_pages(client, first):
    assert client.get("/healthz").json() == {"healthy": True}
    state = client.get("/readyz").json()
    assert state == {"ready": True, "surfaces": first, "refused": {}, "store": {"kind": "memory", "works": True}}
    assert "swagger" in client.get("/docs").text
    described = client.get("/openapi.json").json()
    assert set(described["paths"]) == {"/v1/retrieve", "/v1/events", "/healthz", "/readyz", "/metrics"}
    retrieve = described["paths"]["/v1/retrieve"]["post"]
    assert {"200", "400", "413", "422", "429", "504"} <= set(retrieve["responses"])
    limits = described["components"]["schemas"]["RetrieveRequest"]["properties"]
    assert limits["exclude"]["maxItems"] == 10 and limits["history"]["anyOf"][0]["maxItems"] == 20
    assert limits["n"]["anyOf"][0]["maximum"] == 50 and limits["n"]["anyOf"][0].get("minimum") == 1


def test_the_examples_are_valid_requests(standing):
    paths = standing.get("/openapi.json").json()["paths"]
    for path in ("/v1/retrieve", "/v1/events"):
        examples = paths[path]["post"]["requestBody"]["content"]["application/json"]["examples"]
        assert examples
        for example in examples.values():
            fields = standing.post(path, json=example["value"]).json().get("field", "")
            assert fields in ("", "surface", "context.item_id"), example  # well formed; this registry is another one


def test_with_nothing_live_it_is_up_and_not_ready(serve, config):
    client = serve(config)
    assert client.get("/healthz").status_code == 200
    state = client.get("/readyz")
    assert state.status_code == 503 and "nothing is live in" in state.json()["why"]
    for path, body in (("/v1/retrieve", {"surface": "home", "user_id": "u1"}),
                       ("/v1/events", {"user_id": "u1", "events": [event("i1")]})):
        response = client.post(path, json=body)
        assert response.status_code == 503 and response.headers["retry-after"] == "1"


def test_readiness_tells_what_was_refused(serve, config, first, point):
    point(search="0" * 64)
    client = serve(config)
    state = client.get("/readyz").json()
    assert state["ready"] and state["surfaces"] == {"home": first["home"]}
    assert state["refused"]["search"]["release_id"] == "0" * 64 and "incomplete" in state["refused"]["search"]["reason"]
    response = client.post("/v1/retrieve", json={"surface": "search", "user_id": "u1"})
    assert response.status_code == 503
    says("the live release of ... could not be loaded; /readyz says why", response.json()["error"])


def test_a_swap_between_two_requests(client, first, second, point):
    service, body = client.app.state.service, {"surface": "home", "user_id": "u1"}
    before = client.post("/v1/retrieve", json=body).json()
    point(home=second["home"])
    service.releases.refresh()
    after = client.post("/v1/retrieve", json=body).json()
    assert (before["release_id"], after["release_id"]) == (first["home"], second["home"])
    assert names(before) != names(after)
    text = client.get("/metrics").text
    assert f'pinrec_release_info{{release_id="{first["home"]}",surface="home"}} 0.0' in text
    assert f'pinrec_release_info{{release_id="{second["home"]}",surface="home"}} 1.0' in text


def test_without_a_store_events_are_not_taken_and_answers_are_given(serve, config, first):
    client = serve(config.model_copy(update={"workers": 2}))
    declined = client.post("/v1/events", json={"user_id": "u1", "events": [event("i1")]})
    assert declined.status_code == 501
    says("there is no event store", declined.json()["error"])
    assert client.post("/v1/retrieve", json={"surface": "home", "user_id": "u1"}).status_code == 200
    assert client.get("/readyz").json()["store"] == {"kind": "none"}


def test_when_redis_dies_answers_go_on(serve, config, first, redis_server):
    client = serve(config.model_copy(update={"store": redis_server.url, "store_pause_s": 0.01,
                                             "store_timeout_ms": 5000}))
    body, told = {"surface": "home", "user_id": "u1"}, {"user_id": "u1", "events": [event("i1", END_MS + 1)] * 2}
    alone = client.post("/v1/retrieve", json=body | {"time_ms": END_MS + 2}).json()
    assert client.post("/v1/events", json=told).json() == {"stored": 2}
    with_event = client.post("/v1/retrieve", json=body | {"time_ms": END_MS + 2}).json()
    assert names(with_event) != names(alone)
    redis_server.kill()
    assert client.post("/v1/retrieve", json=body | {"time_ms": END_MS + 2}).json() == alone
    assert client.post("/v1/events", json=told).status_code == 503
    state = client.get("/readyz")
    assert state.status_code == 200 and state.json()["store"]["works"] is False
    assert 'pinrec_store_failures_total{what="error"}' in client.get("/metrics").text
    redis_server.start()
    time.sleep(0.05)
    assert client.post("/v1/events", json=told).json() == {"stored": 2}
    assert client.post("/v1/retrieve", json=body | {"time_ms": END_MS + 2}).json() == with_event


def test_requests_are_counted_by_surface_and_status(client, ask):
    ask()
    client.post("/v1/retrieve", json={"surface": "moon", "user_id": "u1"})
    client.post("/v1/retrieve", content=b"{")
    text = client.get("/metrics").text
    for surface, status in (("home", 200), ("", 422), ("", 400)):
        assert f'pinrec_requests_total{{route="/v1/retrieve",status="{status}",surface="{surface}"}} 1.0' in text
    assert "pinrec_batch_requests_sum 1.0" in text and "pinrec_queue_length 0.0" in text
    assert 'pinrec_request_seconds_count{route="/v1/retrieve"} 3.0' in text


def test_a_failure_of_ours_is_told_in_the_log_alone(client, monkeypatch, caplog):
    monkeypatch.setattr(client.app.state.service.releases, "live", None)
    response = client.post("/v1/retrieve", json={"surface": "home", "user_id": "u1"})
    assert response.status_code == 500 and response.json() == {"error": "the service failed; its log says why"}
    assert any(record.exc_info for record in caplog.records)
